"""Packages that some engines need and that are not installed by default."""

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
    """Check, without importing it, that the package of an engine is installed.

    Raises:
        UsageError: it is missing; with the engine, the package and the pip command.
    """
    module, package = _PACKAGES.get(engine, (None, None))
    if module is not None and importlib.util.find_spec(module) is None:
        raise UsageError(
            f"engine {engine!r} needs the package {package}, which is not installed here",
            hint="pip install 'vfxmatte[engines]'",
        )


def with_version(package: str) -> str:
    """Return a package and its version, for engines' descriptions: `pymatting 1.1.16`."""
    return f"{package} {version(package)}"
