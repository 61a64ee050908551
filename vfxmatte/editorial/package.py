"""Access to OpenTimelineIO, an optional package, with its errors explained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from vfxmatte.editorial.soundness import check_otio
from vfxmatte.errors import ShotError, UsageError


def opentimelineio() -> ModuleType:
    """Import the package; raises UsageError with the command that installs it."""
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
    """Read the timelines of a file: .otio, or any kind that an installed adapter reads.

    Raises ShotError if there is no such file, or it is not a cut.
    """
    otio = opentimelineio()
    if not path.is_file():
        raise ShotError("there is no such cut", path=path)
    if path.suffix.lower() == ".otio":
        check_otio(path)
    try:
        root = otio.adapters.read_from_file(str(path))
    except otio.exceptions.NoKnownAdapterForExtensionError as error:
        known = " ".join(f".{s}" for s in sorted(otio.adapters.suffixes_with_defined_adapters()))
        raise ShotError(
            f"OpenTimelineIO does not read this kind of file here; it reads {known}",
            path=path,
            hint="export .otio, or pip install OpenTimelineIO-Plugins for AAF and XML",
        ) from error
    except Exception as error:  # adapters raise any exception
        raise ShotError(f"this cut cannot be read: {error}", path=path) from error
    return list(_timelines_in(root))


def _timelines_in(item: Any) -> Iterator[Any]:
    """Yield timelines in the file's order, from nested collections (projects, bins) too."""
    schema = opentimelineio().schema
    if isinstance(item, schema.Timeline):
        yield item
    elif isinstance(item, schema.SerializableCollection):
        for one in item:
            yield from _timelines_in(one)


def only_timeline(timelines: Sequence[Any], path: Path, name: str | None) -> Any:
    """Return the only timeline, or the one of a name; raises ShotError for none or several."""
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
