"""A cut as shots to matte: each media once, with the frames that the cut shows of it.

Clips of the same media are one shot, unless they ask for different names, trimaps or settings: its
frames are the union of theirs, its mattes lie in one folder. Of a clip that cannot be matted the
reason is kept, and the other shots go on.

A clip may say more of itself in its metadata: `{"vfxmatte": {"shot": NAME, "trimaps": PATH,
"settings": {…as in shot.toml…}, "skip": true}}`, the path relative to the cut's folder.
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
from vfxmatte.pipeline.settings import Missing, RunSettings, digest
from vfxmatte.pipeline.shot import (
    PLATE_FOLDER,
    SETTINGS_FILE,
    TRIMAP_FOLDER,
    Shot,
    find_keyframes,
    read_settings,
)
from vfxmatte.types import FrameRange

_KEYS = frozenset({"shot", "trimaps", "settings", "skip"})


@dataclass(frozen=True, kw_only=True, eq=False)
class CutClip:
    """One clip that is matted, and the frames that are made for it, handles included."""

    clip: Any = field(repr=False)
    name: str
    frames: FrameRange


@dataclass(frozen=True, kw_only=True, eq=False)
class CutShot:
    """One plate with the frames of all clips that show it.

    name: safe as a folder's and the only one in the cut. ranges: apart from each other, ascending.
    keyframes: the painted trimaps by frame number, which lie in `trimaps`. output: where its
    mattes go.
    notes: what a person should know, such as handles that the plate does not have.
    """

    name: str
    clips: tuple[CutClip, ...]
    media: Media = field(repr=False)
    ranges: tuple[FrameRange, ...]
    keyframes: dict[int, Path]
    trimaps: Path
    output: Path
    settings: RunSettings
    notes: tuple[str, ...] = ()

    def parts(self) -> list[Shot]:
        """A `Shot` for each range, all with the same output; run them one after the other."""
        whole = Shot(
            name=self.name,
            plate=self.media.plate,
            keyframes=self.keyframes,
            output=self.output,
            settings=self.settings,
        )
        return [replace(whole, settings=replace(self.settings, frames=r)) for r in self.ranges]


@dataclass(frozen=True, kw_only=True, eq=False)
class Cut:
    """What was found in a cut.

    problems: why single clips cannot be matted. notes: what was left out. timeline: as
    OpenTimelineIO has it.
    """

    path: Path
    shots: tuple[CutShot, ...]
    problems: tuple[VfxmatteError, ...]
    notes: tuple[str, ...]
    timeline: Any = field(repr=False)
    places: Places = field(default_factory=Places, repr=False)


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
    """The shots of a cut; reads names and headers, no pixels.

    output: each shot gets the folder output/NAME. trimaps: a folder with the folder NAME of each
    shot; without it they are looked for beside the media. handles: so many frames more on either
    side, as far as there are any. only: names of clips or shots, `*` and `?` allowed; empty takes
    all. adjust: the last word on each shot's settings. timeline: the name of one, in a file with
    several. rate: frames a second of an EDL's time codes. maps: `FROM=TO`, for media whose paths
    begin otherwise here. media: folders to search for media, before those of $VFXMATTE_MEDIA.
    Raises UsageError (no OpenTimelineIO, handles below 0, nothing that `only` names), ShotError.
    """
    if handles < 0:
        raise UsageError(f"handles must be 0 or more, found {handles}")
    path = clean_path(path)
    places = Places.of(maps, media)
    root = None if trimaps is None else clean_path(trimaps)
    reader = _Reader(path, root, handles, adjust, places)
    found, notes = _timeline(path, timeline, rate)
    for use in uses_in(found):
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
        timeline=found,
        places=places,
    )


def _timeline(path: Path, name: str | None, rate: float | None) -> tuple[Any, tuple[str, ...]]:
    """The timeline of a file, and notes on how it was read."""
    if path.suffix.lower() == ".edl" and path.is_file() and adapter_is_there(ADAPTER):
        edl = read_edl(path, rate)
        return only_timeline([edl.timeline], path, name), edl.notes
    if rate is not None:
        raise UsageError("--rate is for EDLs, which do not say theirs", path=path)
    return only_timeline(read_timelines(path), path, name), ()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """A clip on its way to become part of a shot."""

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
        """Clips with the same one are the same shot."""
        plate = str(self.media.plate.absolute())
        named = self.shot if self.is_named else None
        return digest([plate, named, self.trimaps, self.settings, self.media.step])


class _Reader:
    """Takes clips one by one and keeps what was found."""

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
        self.found: list[_Found] = []
        self.problems: list[VfxmatteError] = []
        self.notes: list[str] = []

    def take(self, use: Use, only: Sequence[str]) -> None:
        """One clip; a problem is kept, not raised."""
        clip = use.clip
        name = clip.name or "unnamed"
        try:
            told = _told(clip)
            shot = safe_name(str(told.get("shot") or clip.name))
            wanted = not only or any(fnmatchcase(n, one) for n in (name, shot) for one in only)
            if wanted and not self._is_left_out(clip, name, told):
                self.found.append(self._look(use, name, shot, told))
        except VfxmatteError as error:
            self.problems.append(error.at(shot=name))

    def _is_left_out(self, clip: Any, name: str, told: dict[str, Any]) -> bool:
        generator = opentimelineio().schema.GeneratorReference
        made = isinstance(clip.media_reference, generator)
        if made:
            self.notes.append(f"{name} is left out: it is generated ({generator_kind(clip)})")
        elif told.get("skip"):
            self.notes.append(f"{name} is left out: its metadata says skip")
        return made or bool(told.get("skip"))

    def _look(self, use: Use, name: str, shot: str, told: dict[str, Any]) -> _Found:
        needed = None if use.clip.source_range is None else use.shown or use.wide
        media = media_of(
            use.clip,
            self.folder,
            needed,
            first_frame=lambda plate: self._settings(plate, told).first_frame,
            places=self.places,
        )
        shot = shot or safe_name(media.plate.name.split("#")[0]) or "shot"
        frames, notes = _frames(use, media, self.handles)
        return _Found(
            clip=use.clip,
            name=name,
            shot=shot,
            is_named="shot" in told,
            media=media,
            address=address_in_cut(use.clip, self.folder, self.places),
            frames=frames,
            trimaps=self._trimaps(media.plate, told),
            settings=self._settings(media.plate, told, media.missing),
            notes=tuple(f"{name}: {note}" for note in (media.note, *notes) if note),
        )

    def _trimaps(self, plate: Path, told: dict[str, Any]) -> Path | None:
        """Where the clip itself, or the place of its media, says that its trimaps are."""
        if "trimaps" in told:
            return self.folder / str(told["trimaps"])
        if self.trimaps is not None:
            return None  # ROOT/NAME, once the name is known
        return (_shot_folder(plate) or plate.parent) / TRIMAP_FOLDER

    def _settings(
        self, plate: Path, told: dict[str, Any], missing: Missing | None = None
    ) -> RunSettings:
        """shot.toml's, the reference's policy for missing frames, the clip's, the caller's."""
        folder = _shot_folder(plate)
        base = RunSettings() if folder is None else read_settings(folder / SETTINGS_FILE)
        if missing is not None:
            base = replace(base, missing=missing)
        base = self.adjust(changed(base, told.get("settings", {})))
        return replace(base, frames=None)

    def _leave_out_ambiguous(self) -> None:
        """Clips of different media that a search has found at one place are problems."""
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
        if self.places.folders:
            self._leave_out_ambiguous()
        groups: dict[str, list[_Found]] = {}
        for one in self.found:
            groups.setdefault(one.key, []).append(one)
        firsts = [group[0] for group in groups.values()]
        names = unique_names([(one.shot, one.media.plate) for one in firsts])
        made = []
        for name, group in zip(names, groups.values(), strict=True):
            try:
                made.append(self._shot(name, group, output))
            except VfxmatteError as error:
                self.problems.append(error.at(shot=name))
        return made

    def _shot(self, name: str, group: list[_Found], output: Path) -> CutShot:
        first = group[0]
        place = first.trimaps or (self.trimaps or Path()) / name
        keyframes = find_keyframes(place)
        if not keyframes:
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


def generator_kind(clip: Any) -> str:
    """`black`, `bars` and the like."""
    return str(clip.media_reference.generator_kind or "of no known kind")


def _told(clip: Any) -> dict[str, Any]:
    """What the clip's metadata says to this program; raises ShotError for unknown words."""
    value = opentimelineio().core.serialize_json_to_string(clip.metadata.get(METADATA_KEY, {}))
    told = json.loads(value)
    unknown = sorted(set(told) - _KEYS) if isinstance(told, dict) else ["(not a table)"]
    if unknown:
        raise ShotError(
            f"the clip's metadata says {METADATA_KEY}: {', '.join(unknown)}",
            hint=f"it may say {', '.join(sorted(_KEYS))}",
        )
    return dict(told)


def _shot_folder(plate: Path) -> Path | None:
    """SHOT of SHOT/plate/plate.####.exr or SHOT/plate.mov, as `Shot.open` knows it."""
    if plate.parent.name == PLATE_FOLDER:
        return plate.parent.parent
    return plate.parent if plate.stem == PLATE_FOLDER and plate.is_file() else None


def _frames(use: Use, media: Media, handles: int) -> tuple[FrameRange, list[str]]:
    """The frames to matte for one clip, and what to say about them.

    Raises ShotError: the cut shows frames that the media does not have.
    """
    if use.wide is None:
        return media.frames(0, media.count - 1), [f"{use.why}: the whole media is taken"]
    notes = [f"time effect: {use.why}"] if use.why else []
    low, high = media.offsets(use.wide)
    low, high = low - handles, high + handles
    lowest, highest = media.on_disk()
    first, last = max(low, lowest, 0), min(high, highest, media.count - 1)
    if use.shown is not None:  # what the cut shows must be there; the run will say what is not
        shown = media.offsets(use.shown)
        if shown[0] < 0 or shown[1] >= media.count:
            raise _outside(use.shown, media)
        first, last = min(first, shown[0]), max(last, shown[1])
    if last < first:
        raise _outside(use.wide, media)
    for lacking, where in ((first - low, "before"), (high - last, "after")):
        if lacking > 0 and not media.is_still:
            frames = "1 frame" if lacking == 1 else f"{lacking} frames"
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
    """Overlapping and adjoining ranges as one, ascending; all have the same step."""
    joined: list[FrameRange] = []
    for one in sorted(ranges, key=lambda r: (r.first, r.last)):
        if joined and one.first <= joined[-1].last + one.step:
            before = joined.pop()
            one = replace(before, last=max(before.last, one.last))
        joined.append(one)
    return tuple(joined)
