"""OpenTimelineIO, which is installed only where cuts are read, and what it says in errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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


def read_timelines(path: Path) -> list[Any]:
    """The timelines of a file (.otio, or any other that an installed adapter reads).

    Raises ShotError: no such file, or not a cut.
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
            hint="export .otio, or pip install OpenTimelineIO-Plugins for AAF and XML",
        ) from error
    except Exception as error:  # adapters raise whatever they like
        raise ShotError(f"this cut cannot be read: {error}", path=path) from error
    return list(_timelines_in(found))


def _timelines_in(found: Any) -> Iterator[Any]:
    """Timelines in the order of the file, through collections in collections (projects, bins)."""
    schema = opentimelineio().schema
    if isinstance(found, schema.Timeline):
        yield found
    elif isinstance(found, schema.SerializableCollection):
        for one in found:
            yield from _timelines_in(one)


def only_timeline(timelines: Sequence[Any], path: Path, name: str | None) -> Any:
    """The one timeline, or the one of a name.

    Raises ShotError: there is none, or several to choose from.
    """
    chosen = [one for one in timelines if name is None or one.name == name]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(one.name or "unnamed" for one in timelines)
    if name is not None:
        raise ShotError(
            f"{len(chosen) or 'no'} timelines are called {name!r}; there is {names}", path=path
        )
    raise ShotError(
        f"expected one timeline, found {len(chosen)}{': ' if names else ''}{names}",
        path=path,
        hint="give --timeline NAME, or export the one that is to be matted",
    )


def adapter_is_there(name: str) -> bool:
    """Return True if OpenTimelineIO has an adapter of this name here."""
    return name in opentimelineio().adapters.available_adapter_names()
