"""The target of a run: its plate, scene and folder, and loading its mattes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import bpy

from . import compositor
from .place import Place, plate_block, shot_folder
from .plate import Plate
from .problem import Problem
from .results import Mattes, ShotFolder


@dataclass(frozen=True)
class Target:
    """Plate, scene and results' folder; stays valid through renaming, undo and other choices."""

    scene_uid: int
    block_uid: int
    plate: Plate
    folder: ShotFolder

    @classmethod
    def of(cls, place: Place, shot: Plate) -> Target:
        """Return the target for the current choices; raises Problem."""
        uids = place.scene.session_uid, plate_block(place).session_uid
        return cls(*uids, shot, shot_folder(place))

    @property
    def scene(self) -> Any | None:
        """The scene, or None if it was removed."""
        return _with_uid(bpy.data.scenes, self.scene_uid)

    @property
    def block(self) -> Any | None:
        """The MovieClip or Image, or None if it was removed."""
        return _with_uid((*bpy.data.movieclips, *bpy.data.images), self.block_uid)


def _with_uid(blocks: Iterable[Any], uid: int) -> Any | None:
    return next((block for block in blocks if block.session_uid == uid), None)


def load(target: Target) -> str:
    """Load the mattes on disk into the compositor; returns a summary. Raises Problem."""
    folders = _folders(target.folder)
    scene, block = target.scene, target.block
    if scene is None or block is None:
        raise Problem(
            f"The scene or the plate is not in this file any more: mattes are in "
            f"{target.folder.matte}",
            "Undo, or load them yourself with an Image node",
        )
    if scene.library is not None:
        raise Problem(
            f"The scene '{scene.name}' is linked from {scene.library.name}, so its compositor "
            f"cannot be changed here: mattes are in {target.folder.matte}",
            "Load them in a scene of this file",
        )
    for folder, mattes in folders.items():
        compositor.wire(
            scene, target.plate, block, mattes, folder, foreground=scene.vfxmatte.foreground
        )
    return "; ".join(_text(folder, mattes) for folder, mattes in folders.items())


def _folders(folder: ShotFolder) -> dict[ShotFolder, Mattes]:
    """Return the mattes to load: of the one subject, or of each that has any; raises Problem."""
    subjects = [] if folder.subject else folder.subjects()
    each = [replace(folder, subject=name) for name in subjects]
    return {one: one.mattes() for one in each if one.has_mattes()} or {folder: folder.mattes()}


def _text(folder: ShotFolder, mattes: Mattes) -> str:
    name = f" of {folder.subject}" if folder.subject else ""
    text = f"Mattes {mattes.first} to {mattes.last}{name} are in the compositor"
    missing = mattes.missing()
    if not missing:
        return text
    verb = "is" if len(missing) == 1 else "are"
    return f"{text}; {len(missing)} {verb} missing, first {missing[0]}"
