"""The shots of a cut: each media once, with the frames that the cut shows of it.

Clips of the same media are one shot, unless their names, trimaps or settings differ: its frames are
the union of theirs, its mattes lie in one folder. A clip that cannot be matted is reported, and the
other shots are matted.

A clip's metadata may hold `{"vfxmatte": {"shot": NAME, "trimaps": PATH, "settings": {…as in
shot.toml…}, "skip": true}}`, the path relative to the cut's folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from vfxmatte.common.configuration import changed
from vfxmatte.common.paths import clean_path
from vfxmatte.common.wording import counted
from vfxmatte.editorial.edl import ADAPTER, read_edl
from vfxmatte.editorial.media import Media, address_in_cut, media_of
from vfxmatte.editorial.names import safe_name, unique_names
from vfxmatte.editorial.package import (
    adapter_is_there,
    only_timeline,
    opentimelineio,
    read_timelines,
)
from vfxmatte.editorial.places import Places
from vfxmatte.editorial.uses import METADATA_KEY, Use, uses_in
from vfxmatte.errors import ShotError, UsageError, VfxmatteError
from vfxmatte.pipeline.keyframes import find_keyframes
from vfxmatte.pipeline.settings import Missing, RunSettings, digest
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.shot_folder import (
    PLATE_FOLDER,
    SETTINGS_FILE,
    SIDE_FOLDERS,
    TRIMAP_FOLDER,
    read_settings,
    side_folders,
)
from vfxmatte.types import FrameRange

_KEYS = frozenset({"shot", "trimaps", "settings", "skip"})


@dataclass(frozen=True, kw_only=True, eq=False)
class CutClip:
    """One clip to matte."""

    clip: Any = field(repr=False)
    """OpenTimelineIO's clip."""
    name: str
    """The clip's name."""
    frames: FrameRange
    """Frames to matte, handles included."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CutShot:
    """One plate with the frames of all clips that show it."""

    name: str
    """A safe folder name, unique in the cut."""
    clips: tuple[CutClip, ...]
    """The clips that show the plate."""
    media: Media = field(repr=False)
    """The plate and its times."""
    ranges: tuple[FrameRange, ...]
    """Frames to matte: separate ranges, ascending."""
    keyframes: dict[int, Path]
    """Painted trimaps by frame number."""
    trimaps: Path
    """Folder of the trimaps."""
    output: Path
    """Folder of the mattes."""
    settings: RunSettings
    """Settings of the shot; `frames` is None."""
    notes: tuple[str, ...] = ()
    """Remarks for the user, e.g. on handles that the plate lacks."""

    def parts(self) -> list[Shot]:
        """Return a `Shot` for each range, all with the same output, to run one after the other."""
        whole = Shot(
            name=self.name,
            plate=self.media.plate,
            keyframes=self.keyframes,
            output=self.output,
            settings=self.settings,
            sides=side_folders(_shot_folder(self.media.plate)),
        )
        return [replace(whole, settings=replace(self.settings, frames=r)) for r in self.ranges]


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
    reader = _Reader(path, root, handles, adjust, places)
    chosen, notes = _timeline(path, timeline, rate)
    for use in uses_in(chosen):
        reader.take(use, only)
    if only and not (reader.found or reader.problems):
        raise UsageError(f"no clip of the cut is called {' or '.join(only)}", hint="see --dry-run")
    if not (reader.found or reader.problems or reader.notes):
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


@dataclass(frozen=True, kw_only=True, eq=False)
class _ClipMedia:
    """A clip that can be matted, before clips are grouped to shots."""

    clip: Any
    name: str
    shot: str
    is_named: bool
    media: Media
    address: str
    frames: FrameRange
    trimaps: Path | None
    settings: RunSettings
    notes: tuple[str, ...]

    @property
    def key(self) -> str:
        """A key that is equal for clips of the same shot."""
        plate = str(self.media.plate.absolute())
        named = self.shot if self.is_named else None
        return digest([plate, named, self.trimaps, self.settings, self.media.step])


class _Reader:
    """Collects clips, problems and notes, and groups the clips to shots."""

    def __init__(
        self,
        path: Path,
        trimaps: Path | None,
        handles: int,
        adjust: Callable[[RunSettings], RunSettings],
        places: Places,
    ) -> None:
        self.folder, self.trimaps, self.places = path.absolute().parent, trimaps, places
        self.handles, self.adjust = handles, adjust
        self.found: list[_ClipMedia] = []
        self.problems: list[VfxmatteError] = []
        self.notes: list[str] = []

    def take(self, use: Use, only: Sequence[str]) -> None:
        """Add one clip; an error becomes a problem."""
        clip = use.clip
        name = clip.name or "unnamed"
        try:
            options = _options(clip)
            shot = safe_name(str(options.get("shot") or clip.name))
            chosen = not only or any(fnmatchcase(n, one) for n in (name, shot) for one in only)
            if chosen and not self._is_left_out(clip, name, options):
                self.found.append(self._find(use, name, shot, options))
        except VfxmatteError as error:
            self.problems.append(error.at(shot=name))

    def _is_left_out(self, clip: Any, name: str, options: dict[str, Any]) -> bool:
        generator = opentimelineio().schema.GeneratorReference
        is_generated = isinstance(clip.media_reference, generator)
        if is_generated:
            kind = clip.media_reference.generator_kind or "of no known kind"
            self.notes.append(f"{name} is left out: it is generated ({kind})")
        elif options.get("skip"):
            self.notes.append(f"{name} is left out: its metadata says skip")
        return is_generated or bool(options.get("skip"))

    def _find(self, use: Use, name: str, shot: str, options: dict[str, Any]) -> _ClipMedia:
        needed = None if use.clip.source_range is None else use.shown or use.wide
        media = media_of(
            use.clip,
            self.folder,
            needed,
            first_frame=lambda plate: self._settings(plate, options).first_frame,
            places=self.places,
        )
        shot = shot or safe_name(media.plate.name.split("#")[0]) or "shot"
        frames, notes = _frames(use, media, self.handles)
        return _ClipMedia(
            clip=use.clip,
            name=name,
            shot=shot,
            is_named="shot" in options,
            media=media,
            address=address_in_cut(use.clip, self.folder, self.places),
            frames=frames,
            trimaps=self._trimaps(media.plate, options),
            settings=self._settings(media.plate, options, media.missing),
            notes=tuple(f"{name}: {note}" for note in (media.note, *notes) if note),
        )

    def _trimaps(self, plate: Path, options: dict[str, Any]) -> Path | None:
        """Return the trimap folder by the clip or by its media; None: by the shot's name."""
        if "trimaps" in options:
            return self.folder / str(options["trimaps"])
        if self.trimaps is not None:
            return None
        return (_shot_folder(plate) or plate.parent) / TRIMAP_FOLDER

    def _settings(
        self, plate: Path, options: dict[str, Any], missing: Missing | None = None
    ) -> RunSettings:
        """Merge shot.toml, the reference's policy for missing frames, the clip, and the caller."""
        folder = _shot_folder(plate)
        base = RunSettings() if folder is None else read_settings(folder / SETTINGS_FILE)
        if missing is not None:
            base = replace(base, missing=missing)
        base = self.adjust(changed(base, self._placed(options.get("settings", {}))))
        return replace(base, frames=None)

    def _placed(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Return a clip's settings with finished, garbage and core mattes beside the cut."""
        places = {n: settings[n] for n in SIDE_FOLDERS if isinstance(settings.get(n), str)}
        return {**settings, **{name: str(self.folder / place) for name, place in places.items()}}

    def _leave_out_ambiguous(self) -> None:
        """Report clips of different media that a search has found at the same path."""
        addresses: dict[Path, set[str]] = {}
        for one in self.found:
            addresses.setdefault(one.media.plate, set()).add(one.address)
        for one in [o for o in self.found if len(addresses[o.media.plate]) > 1]:
            self.found.remove(one)
            error = ShotError(
                f"{len(addresses[one.media.plate])} media of the cut are found at one place",
                path=one.media.plate,
                hint="give --media the folder above the shots', or --map FROM=TO; the cut has "
                + " and ".join(sorted(addresses[one.media.plate])),
            )
            self.problems.append(error.at(shot=one.name))

    def shots(self, output: Path) -> list[CutShot]:
        """Group the clips to shots."""
        if self.places.folders:
            self._leave_out_ambiguous()
        groups: dict[str, list[_ClipMedia]] = {}
        for one in self.found:
            groups.setdefault(one.key, []).append(one)
        firsts = [group[0] for group in groups.values()]
        names = unique_names([(one.shot, one.media.plate) for one in firsts])
        shots = []
        for name, group in zip(names, groups.values(), strict=True):
            try:
                shots.append(self._shot(name, group, output))
            except VfxmatteError as error:
                self.problems.append(error.at(shot=name))
        return shots

    def _shot(self, name: str, group: list[_ClipMedia], output: Path) -> CutShot:
        first = group[0]
        place = first.trimaps or (self.trimaps or Path()) / name
        keyframes = find_keyframes(place)
        sides = side_folders(_shot_folder(first.media.plate))
        if not keyframes and "keys" not in sides and first.settings.keys is None:
            raise ShotError(
                "this shot has no keyframe trimap",
                path=place,
                hint="paint one there, name another place with --trimaps or in the clip's "
                "metadata, or leave the shot out with --only",
            )
        clips = [CutClip(clip=one.clip, name=one.name, frames=one.frames) for one in group]
        return CutShot(
            name=name,
            clips=tuple(clips),
            media=first.media,
            ranges=_union([one.frames for one in group]),
            keyframes=keyframes,
            trimaps=place,
            output=output / name,
            settings=first.settings,
            notes=tuple(dict.fromkeys(note for one in group for note in one.notes)),
        )


def _options(clip: Any) -> dict[str, Any]:
    """Read the clip's metadata for this program; raises ShotError for unknown keys."""
    value = opentimelineio().core.serialize_json_to_string(clip.metadata.get(METADATA_KEY, {}))
    options = json.loads(value)
    unknown = sorted(set(options) - _KEYS) if isinstance(options, dict) else ["(not a table)"]
    if unknown:
        raise ShotError(
            f"the clip's metadata says {METADATA_KEY}: {', '.join(unknown)}",
            hint=f"it may say {', '.join(sorted(_KEYS))}",
        )
    return dict(options)


def _shot_folder(plate: Path) -> Path | None:
    """Return SHOT of SHOT/plate/plate.####.exr or SHOT/plate.mov, see `Shot.open`."""
    if plate.parent.name == PLATE_FOLDER:
        return plate.parent.parent
    return plate.parent if plate.stem == PLATE_FOLDER and plate.is_file() else None


def _frames(use: Use, media: Media, handles: int) -> tuple[FrameRange, list[str]]:
    """Return the frames to matte for one clip, and notes on them.

    Raises ShotError if the cut shows frames that the media does not have.
    """
    if use.wide is None:
        return media.frames(0, media.count - 1), [f"{use.why}: the whole media is taken"]
    notes = [f"time effect: {use.why}"] if use.why else []
    low, high = media.offsets(use.wide)
    low, high = low - handles, high + handles
    lowest, highest = media.on_disk()
    first, last = max(low, lowest, 0), min(high, highest, media.count - 1)
    if use.shown is not None:  # the cut needs these frames; the run reports missing ones
        shown = media.offsets(use.shown)
        if shown[0] < 0 or shown[1] >= media.count:
            raise _outside(use.shown, media)
        first, last = min(first, shown[0]), max(last, shown[1])
    if last < first:
        raise _outside(use.wide, media)
    for lacking, where in ((first - low, "before"), (high - last, "after")):
        if lacking > 0 and not media.is_still:
            frames = counted(lacking, "frame")
            notes.append(f"{frames} fewer than asked for {where} the shot: there are no more")
    return media.frames(first, last), notes


def _outside(times: Any, media: Media) -> ShotError:
    shown, there = media.frames(*media.offsets(times)), media.frames(0, media.count - 1)
    return ShotError(
        f"the cut shows frames {shown}, the media has {there}",
        path=media.plate,
        hint="the clip's source range and its media's available range do not agree: relink it",
    )


def _union(ranges: Sequence[FrameRange]) -> tuple[FrameRange, ...]:
    """Join overlapping and adjoining ranges of the same step; ascending."""
    joined: list[FrameRange] = []
    for one in sorted(ranges, key=lambda r: (r.first, r.last)):
        if joined and one.first <= joined[-1].last + one.step:
            before = joined.pop()
            one = replace(before, last=max(before.last, one.last))
        joined.append(one)
    return tuple(joined)
