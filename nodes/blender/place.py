"""The current scene and editor: the chosen plate and mask, and the folder for their results."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from . import compositor
from .owner import Owner, read_owner
from .plate import Plate, plate_of_clip, plate_of_image
from .problem import Problem
from .results import ShotFolder
from .vfxmatte_client import tidy_path

_MASK_ID = "vfxmatte_id"  # the custom property of a mask


class _Unsaved:
    """A unique name for a .blend file that was never saved."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Change the name: another file has been opened."""
        self.name = f"unsaved {uuid.uuid4().hex[:8]}"


unsaved = _Unsaved()


@dataclass(frozen=True)
class Place:
    """The scene with its settings, and the editor, if any."""

    scene: Any
    space: Any = None

    @classmethod
    def of(cls, context: Any) -> Place:
        return cls(context.scene, context.space_data)


def plate_block(place: Place) -> Any:
    """Return the MovieClip or Image to matte: the chosen one, else the editor's; raises Problem."""
    chosen = place.scene.vfxmatte
    if chosen.plate_kind == "IMAGE":
        block = chosen.image
    else:
        block = chosen.clip or getattr(place.space, "clip", None)
    if block is None:
        raise Problem("No plate is chosen", "Choose a clip or an image in the vfxmatte panel")
    return block


def mask_block(place: Place) -> Any:
    """Return the chosen mask, else the editor's; raises Problem."""
    mask = place.scene.vfxmatte.mask or getattr(place.space, "mask", None)
    if mask is None:
        raise Problem("No mask is chosen", "Draw one in the clip editor, or use painted trimaps")
    return mask


def plate(place: Place) -> Plate:
    """Return the chosen plate with its frame numbers; raises Problem."""
    block, scene = plate_block(place), place.scene
    path = bpy.path.abspath(block.filepath, library=block.library)
    if scene.vfxmatte.plate_kind == "CLIP":
        return plate_of_clip(block, path)
    node = compositor.node_showing(scene, block)
    return plate_of_image(block, path, node, scene.frame_start)


def shot_folder(place: Place) -> ShotFolder:
    """Return the folder for the results of the chosen plate and mask; raises Problem."""
    typed = tidy_path(place.scene.vfxmatte.folder)
    if typed.startswith("//") and not bpy.data.filepath:
        raise Problem(
            "The .blend file has no folder yet", "Save it, or choose a folder for the results"
        )
    subject = place.scene.vfxmatte.subject.strip()
    return ShotFolder.of(bpy.path.abspath(typed), owner(place), subject)


def owner(place: Place) -> Owner:
    """Return the owner of the results of the chosen plate and mask; raises Problem."""
    chosen, block = place.scene.vfxmatte, plate_block(place)
    kind = " image" if chosen.plate_kind == "IMAGE" else ""
    names = blend_file(), place.scene.name_full, f"{block.name_full}{kind}"
    if chosen.trimap_source == "FOLDER" or chosen.subject.strip():
        return Owner(*names, None)  # the masks of several subjects share a folder
    mask = mask_block(place)
    return Owner(*names, mask.name_full, mask.get(_MASK_ID))


def owned_folder(place: Place) -> ShotFolder:
    """Return the folder for results about to be written, and give the mask an id; raises Problem.

    The id stays with a mask when it is renamed. A mask without one takes the id recorded in its
    folder, because undo and quitting without saving lose ids.
    """
    folder = shot_folder(place)
    if folder.owner.mask is None:
        return folder
    mask, recorded = mask_block(place), read_owner(folder.path)
    if mask.library is not None or (_MASK_ID in mask and not _is_duplicate(mask, recorded)):
        return folder
    same = recorded is not None and recorded.is_called_like(folder.owner)
    mask[_MASK_ID] = (recorded.mask_id if recorded and same else None) or uuid.uuid4().hex
    return shot_folder(place)


def _is_duplicate(mask: Any, recorded: Owner | None) -> bool:
    """Return True if the mask has the id of the mask that it was duplicated from."""
    if recorded is not None and recorded.mask_id == mask[_MASK_ID]:
        return False
    return any(m != mask and m.get(_MASK_ID) == mask[_MASK_ID] for m in bpy.data.masks)


def blend_file() -> Path:
    """Return the .blend file, or a unique path if it was never saved."""
    if bpy.data.filepath:
        return Path(bpy.data.filepath)
    return Path(bpy.app.tempdir, f"{unsaved.name}.blend")
