"""OpenTimelineIO, which is installed only where cuts are read, and what it says in errors."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from vfxmatte.editorial.soundness import check_otio
from vfxmatte.errors import ShotError, UsageError


def opentimelineio() -> ModuleType:
    """The package; raises UsageError that says how to install it."""
    try:
        import opentimelineio as otio
    except ImportError as error:
        raise UsageError(
            "cuts are read with OpenTimelineIO, which is not installed",
            hint="pip install 'vfxmatte[editorial]'",
        ) from error
    module: ModuleType = otio
    return module


def read_timeline(path: Path) -> Any:
    """The one timeline of a file (.otio, or any other that an installed adapter reads).

    Raises ShotError: no such file, not a cut, no timeline or several of them.
    """
    otio = opentimelineio()
    if not path.is_file():
        raise ShotError("there is no such cut", path=path)
    if path.suffix.lower() == ".otio":
        check_otio(path)
    try:
        found = otio.adapters.read_from_file(str(path))
    except otio.exceptions.NoKnownAdapterForExtensionError as error:
        known = " ".join(f".{s}" for s in sorted(otio.adapters.suffixes_with_defined_adapters()))
        raise ShotError(
            f"OpenTimelineIO does not read this kind of file here; it reads {known}",
            path=path,
            hint="export .otio, or pip install OpenTimelineIO-Plugins for EDL, AAF and XML",
        ) from error
    except Exception as error:  # adapters raise whatever they like
        raise ShotError(f"this cut cannot be read: {error}", path=path) from error
    return _only_timeline(found, path, otio)


def _only_timeline(found: Any, path: Path, otio: ModuleType) -> Any:
    if isinstance(found, otio.schema.Timeline):
        return found
    inside = []
    if isinstance(found, otio.schema.SerializableCollection):
        inside = [one for one in found if isinstance(one, otio.schema.Timeline)]
    if len(inside) == 1:
        return inside[0]
    names = ", ".join(one.name or "unnamed" for one in inside)
    raise ShotError(
        f"expected one timeline, found {len(inside)}{': ' if names else ''}{names}",
        path=path,
        hint="export the one timeline that is to be matted",
    )
