"""Packages that some engines need and that a plain installation has not."""

from __future__ import annotations

import importlib.util
from importlib.metadata import version

from vfxmatte.errors import UsageError

_PACKAGES = {
    "closed-form": ("pymatting", "pymatting"),
    "knn": ("pymatting", "pymatting"),
    "gmm": ("sklearn", "scikit-learn"),
    "kmeans": ("sklearn", "scikit-learn"),
}


def check_installed(engine: str) -> None:
    """Whether the package that an engine needs is there, without importing it.

    Raises UsageError, naming the engine, the package and the pip command, where it is missing.
    """
    module, package = _PACKAGES.get(engine, (None, None))
    if module is not None and importlib.util.find_spec(module) is None:
        raise UsageError(
            f"engine {engine!r} needs the package {package}, which is not installed here",
            hint="pip install 'vfxmatte[engines]'",
        )


def with_version(package: str) -> str:
    """`pymatting 1.1.16`: part of what decides an engine's mattes."""
    return f"{package} {version(package)}"
