"""The shots of a cut: each media once, with the frames that the cut shows of it.

Clips of the same media are one shot, unless their names, trimaps or settings differ: its frames are
the union of theirs, its mattes lie in one folder. A clip that cannot be matted is reported, and the
other shots are matted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vfxmatte.common.paths import clean_path
from vfxmatte.editorial.clips import ClipReader
from vfxmatte.editorial.cut_shot import CutShot
from vfxmatte.editorial.edl import ADAPTER, read_edl
from vfxmatte.editorial.package import adapter_is_there, only_timeline, read_timelines
from vfxmatte.editorial.places import Places
from vfxmatte.editorial.uses import uses_in
from vfxmatte.errors import ShotError, UsageError, VfxmatteError
from vfxmatte.pipeline.settings import RunSettings


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """The content of a cut."""

    path: Path
    """The cut's file."""
    shots: tuple[CutShot, ...]
    """Shots to matte."""
    problems: tuple[VfxmatteError, ...]
    """Errors of clips that cannot be matted."""
    notes: tuple[str, ...]
    """Remarks on how the cut was read, and on what was left out."""
    timeline: Any = field(repr=False)
    """OpenTimelineIO's timeline."""
    places: Places = field(default_factory=Places, repr=False)
    """Locations of media on this machine."""


def read_cut(
    path: str | Path,
    output: str | Path,
    *,
    trimaps: str | Path | None = None,
    handles: int = 0,
    only: Sequence[str] = (),
    adjust: Callable[[RunSettings], RunSettings] = lambda settings: settings,
    timeline: str | None = None,
    rate: float | None = None,
    maps: Sequence[str] = (),
    media: Sequence[Path] = (),
) -> Cut:
    """Find the shots of a cut; reads names and headers, no pixels.

    Args:
        output: each shot gets the folder output/NAME.
        trimaps: a folder with a folder NAME for each shot; None searches beside the media.
        handles: extra frames on either side, as far as the media has them.
        only: names of clips or shots, `*` and `?` allowed; empty takes all.
        adjust: changes each shot's settings last.
        timeline: name of the timeline, in a file with several.
        rate: frames per second of an EDL's time codes.
        maps: `FROM=TO`, for media whose paths begin differently on this machine.
        media: folders to search for media, before those of $VFXMATTE_MEDIA.
    Raises:
        UsageError: no OpenTimelineIO, handles below 0, no clip matches `only`. ShotError.
    """
    if handles < 0:
        raise UsageError(f"handles must be 0 or more, found {handles}")
    path = clean_path(path)
    places = Places.of(maps, media)
    root = None if trimaps is None else clean_path(trimaps)
    reader = ClipReader(path, root, handles, adjust, places)
    chosen, notes = _timeline(path, timeline, rate)
    for use in uses_in(chosen):
        reader.take(use, only)
    if only and not (reader.clips or reader.problems):
        raise UsageError(f"no clip of the cut is called {' or '.join(only)}", hint="see --dry-run")
    if not (reader.clips or reader.problems or reader.notes):
        raise ShotError(
            "the cut shows no clip",
            path=path,
            hint="enabled clips in enabled video tracks are matted; is this the right timeline?",
        )
    return Cut(
        path=path,
        shots=tuple(reader.shots(clean_path(output))),
        problems=tuple(reader.problems),
        notes=(*notes, *reader.notes),
        timeline=chosen,
        places=places,
    )


def _timeline(path: Path, name: str | None, rate: float | None) -> tuple[Any, tuple[str, ...]]:
    """Read the timeline of a file; return it with notes on how it was read."""
    if path.suffix.lower() == ".edl" and path.is_file() and adapter_is_there(ADAPTER):
        read, notes = read_edl(path, rate)
        return only_timeline([read], path, name), notes
    if rate is not None:
        raise UsageError("--rate is for EDLs, which do not say theirs", path=path)
    return only_timeline(read_timelines(path), path, name), ()
