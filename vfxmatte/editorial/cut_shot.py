"""A shot of a cut: one plate with the frames of all clips that show it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vfxmatte.editorial.media import Media
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.shot_folder import PLATE_FOLDER, side_folders
from vfxmatte.types import FrameRange


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
            sides=side_folders(shot_folder_of(self.media.plate)),
        )
        return [replace(whole, settings=replace(self.settings, frames=r)) for r in self.ranges]


def shot_folder_of(plate: Path) -> Path | None:
    """Return SHOT of SHOT/plate/plate.####.exr or SHOT/plate.mov, see `Shot.open`."""
    if plate.parent.name == PLATE_FOLDER:
        return plate.parent.parent
    return plate.parent if plate.stem == PLATE_FOLDER and plate.is_file() else None
