"""The clips of a cut: their media, frames and settings, grouped to shots.

A clip's metadata may hold `{"vfxmatte": {"shot": NAME, "trimaps": PATH, "settings": {…as in
shot.toml…}, "skip": true}}`, the path relative to the cut's folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from vfxmatte.common.configuration import changed
from vfxmatte.editorial.clip_frames import frames_to_matte, joined_ranges
from vfxmatte.editorial.cut_shot import CutClip, CutShot, shot_folder_of
from vfxmatte.editorial.media import Media, address_in_cut, media_of
from vfxmatte.editorial.names import safe_name, unique_names
from vfxmatte.editorial.package import opentimelineio
from vfxmatte.editorial.places import Places
from vfxmatte.editorial.uses import METADATA_KEY, Use
from vfxmatte.errors import ShotError, VfxmatteError
from vfxmatte.pipeline.keyframes import find_keyframes
from vfxmatte.pipeline.settings import Missing, RunSettings, digest
from vfxmatte.pipeline.shot_folder import (
    SETTINGS_FILE,
    SIDE_FOLDERS,
    TRIMAP_FOLDER,
    read_settings,
    side_folders,
)
from vfxmatte.types import FrameRange

_KEYS = frozenset({"shot", "trimaps", "settings", "skip"})


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipMedia:
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


class ClipReader:
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
        self.clips: list[ClipMedia] = []
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
                self.clips.append(self._find(use, name, shot, options))
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

    def _find(self, use: Use, name: str, shot: str, options: dict[str, Any]) -> ClipMedia:
        needed = None if use.clip.source_range is None else use.required or use.wide
        media = media_of(
            use.clip,
            self.folder,
            needed,
            first_frame=lambda plate: self._settings(plate, options).first_frame,
            places=self.places,
        )
        shot = shot or safe_name(media.plate.name.split("#")[0]) or "shot"
        frames, notes = frames_to_matte(use, media, self.handles)
        return ClipMedia(
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
        return (shot_folder_of(plate) or plate.parent) / TRIMAP_FOLDER

    def _settings(
        self, plate: Path, options: dict[str, Any], missing: Missing | None = None
    ) -> RunSettings:
        """Merge shot.toml, the reference's policy for missing frames, the clip, and the caller."""
        folder = shot_folder_of(plate)
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
        for one in self.clips:
            addresses.setdefault(one.media.plate, set()).add(one.address)
        for one in [o for o in self.clips if len(addresses[o.media.plate]) > 1]:
            self.clips.remove(one)
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
        groups: dict[str, list[ClipMedia]] = {}
        for one in self.clips:
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

    def _shot(self, name: str, group: list[ClipMedia], output: Path) -> CutShot:
        first = group[0]
        place = first.trimaps or (self.trimaps or Path()) / name
        keyframes = find_keyframes(place)
        sides = side_folders(shot_folder_of(first.media.plate))
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
            ranges=joined_ranges([one.frames for one in group]),
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
