"""Garbage and core mattes from masks, and the clean plate, for a run's request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import bpy

from . import masks
from .labels import EMPTY_UP_TO, Coverage
from .limits import KINDS, write_mattes
from .place import Place, owned_folder
from .plate import Plate, source_of_image
from .problem import Problem


def write_limits(place: Place, shot: Plate, numbers: Sequence[int]) -> dict[str, str]:
    """Draw the garbage and the core mask that are chosen, and write their mattes.

    Args:
        numbers: first and last frame of the run.

    Returns:
        The folders for the request, by kind.

    Raises:
        Problem: a mask that covers nothing, or one for several subjects at once.
    """
    folder, chosen = owned_folder(place), place.scene.vfxmatte
    drawn = {kind: mask for kind in KINDS if (mask := getattr(chosen, kind)) is not None}
    if drawn and chosen.trimap_source == "FOLDER" and not folder.subject and folder.subjects():
        raise Problem(
            f"The trimaps are of several subjects, and the {' and '.join(drawn)} matte of one",
            "Name the subject, or empty the field of the matte",
        )
    first, last = max(shot.first, numbers[0] - 1), min(shot.last, numbers[1] + 1)
    return {
        kind: write_mattes(folder, kind, _mattes(mask, kind, shot, range(first, last + 1)))
        for kind, mask in drawn.items()
    }


def _mattes(
    mask: Any, kind: str, shot: Plate, numbers: range
) -> Iterator[tuple[int | None, Coverage]]:
    """Yield the mask's coverage by file number; once, as a still, if it does not change."""
    frames = [shot.scene_frame_of(number) for number in numbers]
    is_still = not masks.changes(mask, frames[0], frames[-1])
    names = [layer.name for layer in mask.layers]
    covers, manager = False, bpy.context.window_manager
    manager.progress_begin(0, len(frames))
    try:
        with masks.drawn(mask, names, shot.width, shot.height) as draw:
            for done, frame in enumerate(frames[:1] if is_still else frames):
                coverage = draw(frame)
                covers = covers or bool((coverage > EMPTY_UP_TO).any())
                yield None if is_still else shot.number_at(frame), coverage
                manager.progress_update(done + 1)
    finally:
        manager.progress_end()
    if not covers:
        raise Problem(
            f"The mask '{mask.name}' of the {kind} matte covers nothing",
            "Is its outline closed and in the picture? Is its layer rendered?",
        )


def clean_plate(place: Place, shot: Plate) -> str | None:
    """Return the path of the chosen clean plate for the request; None for none.

    Raises:
        Problem: it has another size or colour space than the plate, or is not there.
    """
    chosen = place.scene.vfxmatte
    image = chosen.clean_plate
    if image is None:
        return None
    size = tuple(int(side) for side in image.size)
    source = source_of_image(image, bpy.path.abspath(image.filepath, library=image.library))
    if size != (shot.width, shot.height):
        raise Problem(
            f"The clean plate '{image.name}' is {size[0]}x{size[1]}, "
            f"the plate {shot.width}x{shot.height}",
            "Both must have one size and framing",
        )
    space = str(image.colorspace_settings.name)
    if chosen.colorspace_from == "BLENDER" and space != shot.colorspace:
        raise Problem(
            f"The clean plate '{image.name}' is in {space}, the plate in {shot.colorspace}",
            "Both are read in one colour space: set the same for both in Blender",
        )
    return source
