"""Packages that some engines need and that a plain installation has not."""

from __future__ import annotations

import importlib
from importlib.metadata import version
from types import ModuleType

from vfxmatte.errors import UsageError


def needed(module: str, engine: str, package: str) -> ModuleType:
    """The module; raises UsageError, naming the engine and the pip command, where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"engine {engine!r} needs the package {package}, which is not installed here",
            hint="pip install 'vfxmatte[engines]'",
        ) from error


def with_version(package: str) -> str:
    """`pymatting 1.1.16`: part of what decides an engine's mattes."""
    return f"{package} {version(package)}"
