"""The cut with its mattes: a matching track of mattes above each video track."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vfxmatte.editorial.cut import Cut
from vfxmatte.editorial.cut_shot import CutClip, CutShot
from vfxmatte.editorial.media import address_of, path_of
from vfxmatte.editorial.package import only_timeline, opentimelineio, read_timelines
from vfxmatte.editorial.places import Places
from vfxmatte.editorial.uses import MATTES_KEY, METADATA_KEY, is_left_out
from vfxmatte.errors import OutputError, ShotError
from vfxmatte.io.result_names import matte_path
from vfxmatte.io.temporary import write_whole

_MADE_FROM = "mattes_of"


def check_target(path: Path, cut: Cut) -> None:
    """Raise OutputError if the file is the cut itself, or was not written by `write_mattes`."""
    if path.suffix.lower() != ".otio":
        raise OutputError("a cut with mattes is written as .otio", path=path)
    if path.exists() and (path.samefile(cut.path) or not _is_ours(path)):
        raise OutputError(
            "this file is there already and is not a cut with mattes",
            path=path,
            hint="give another name to --otio-out",
        )


def write_mattes(cut: Cut, path: Path) -> Path:
    """Write the cut with a track of mattes above each video track; return the path.

    A clip's matte reference covers the clip's frames at the times of its plate, so trims, retimes
    and transitions of the cut apply to the mattes too. Clips without mattes on disk are disabled
    there. Addresses are absolute. Raises OutputError.
    """
    check_target(path, cut)
    otio = opentimelineio()
    timeline = cut.timeline.deepcopy()
    _make_absolute(timeline, cut.path.absolute().parent, cut.places)
    references = _references(cut)
    stack = timeline.tracks
    tracks = [(at, track) for at, track in enumerate(stack) if not is_left_out(track)]
    for at, track in reversed(tracks):  # so that positions below stay
        own = [references.get(id(clip)) for clip in cut.timeline.tracks[at].find_clips()]
        stack.insert(at + 1, _matte_track(track, own))
    metadata = dict(timeline.metadata.get(METADATA_KEY, {}))
    timeline.metadata[METADATA_KEY] = {**metadata, _MADE_FROM: str(cut.path)}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, otio.adapters.write_to_string(timeline, "otio_json"))
    return path


def _references(cut: Cut) -> dict[int, Any]:
    """Return references to the mattes on disk, by the `id` of OpenTimelineIO's clip."""
    return {
        id(clip.clip): matte_reference(shot, clip)
        for shot in cut.shots
        for clip in shot.clips
        if any(_path(shot, number).is_file() for number in clip.frames)
    }


def matte_reference(shot: CutShot, clip: CutClip) -> Any:
    """Create a reference to a clip's mattes, an image sequence at the times of its plate."""
    otio = opentimelineio()
    frames, media = clip.frames, shot.media
    start = media.time_of(frames.first)
    duration = media.time_of(frames.last + frames.step) - start
    example = _path(shot, frames.first)
    metadata = {METADATA_KEY: {"shot": shot.name, "plate": str(media.plate)}}
    if media.is_still:
        return otio.schema.ExternalReference(
            target_url=example.absolute().as_uri(),
            available_range=clip.clip.media_reference.available_range,
            metadata=metadata,
        )
    return otio.schema.ImageSequenceReference(
        target_url_base=address_of(shot.output),
        name_prefix="matte.",
        name_suffix=example.suffix,
        start_frame=frames.first,
        frame_step=frames.step,
        rate=start.rate,
        frame_zero_padding=max(4, media.padding),
        available_range=otio.opentime.TimeRange(start, duration),
        metadata=metadata,
    )


def _path(shot: CutShot, number: int) -> Path:
    return matte_path(shot.output, number, shot.settings.output.format, padding=shot.media.padding)


def _matte_track(track: Any, references: list[Any | None]) -> Any:
    """Copy a track, replacing media by mattes; references are in the order of `find_clips`."""
    otio = opentimelineio()
    mattes = track.deepcopy()
    mattes.name = f"{track.name or 'video'} mattes"
    mattes.metadata[METADATA_KEY] = {MATTES_KEY: True}
    for clip, reference in zip(mattes.find_clips(), references, strict=True):
        clip.source_range = _trimmed(clip)
        if reference is None:
            clip.enabled = False
            reference = otio.schema.MissingReference()
        key = clip.active_media_reference_key
        clip.set_media_references({key: reference}, key)
        clip.metadata.pop(METADATA_KEY, None)
    return mattes


def _trimmed(clip: Any) -> Any | None:
    """Return a clip's range, so that another media reference does not change its length."""
    try:
        return clip.trimmed_range()
    except opentimelineio().exceptions.OTIOError:
        return None


def _make_absolute(timeline: Any, folder: Path, places: Places) -> None:
    """Make the plates' addresses independent of the cut's folder."""
    schema = opentimelineio().schema
    for clip in timeline.find_clips():
        for reference in clip.media_references().values():
            if isinstance(reference, schema.ImageSequenceReference):
                name = "target_url_base"
            elif isinstance(reference, schema.ExternalReference):
                name = "target_url"
            else:
                continue
            address = getattr(reference, name)
            if "://" not in address:
                is_folder = name.endswith("e")
                setattr(reference, name, _absolute(address, folder, places, is_folder=is_folder))


def _absolute(address: str, folder: Path, places: Places, *, is_folder: bool) -> str:
    try:
        path = path_of(address, folder, places) if address else folder
    except ShotError:
        return address
    text = os.path.normpath(path)
    return address_of(Path(text)) if is_folder else text.replace(os.sep, "/")


def _is_ours(path: Path) -> bool:
    try:
        timeline = only_timeline(read_timelines(path), path, None)
    except ShotError:  # a file of another kind
        return False
    return _MADE_FROM in dict(timeline.metadata.get(METADATA_KEY, {}))
