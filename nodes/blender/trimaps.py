"""Keyframe trimaps from masks, written to disk without overwriting painted ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import masks
from .labels import UNKNOWN, Labels, band, layered
from .plate import Plate
from .png import is_untouched, write_png
from .problem import Problem
from .results import ShotFolder, writing

FOREGROUND_LAYER, UNKNOWN_LAYER = "foreground", "unknown"
"""Prefixes of mask layer names, case-insensitive."""


@dataclass(frozen=True)
class Written:
    """The outcome of writing trimaps, as frame numbers."""

    from_mask: tuple[int, ...]
    """Written from the mask."""
    painted: tuple[int, ...]
    """Left alone, because somebody has painted over them."""
    removed: tuple[int, ...]
    """Deleted: made from the mask earlier, on frames that are no longer keyframes."""

    def __str__(self) -> str:
        parts = [f"{_count(len(self.from_mask), 'trimap')} from the mask"]
        if self.painted:
            listed = ", ".join(str(number) for number in self.painted)
            parts.append(f"painted by hand and left alone: {listed}")
        if self.removed:
            parts.append(f"{_count(len(self.removed), 'old one')} removed")
        return "; ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def from_outline(
    mask: Any, frames: Sequence[int], plate: Plate, inward_px: float, outward_px: float
) -> dict[int, Labels]:
    """Make labels by scene frame from all layers as one outline, unknown along its edge."""
    names = [layer.name for layer in mask.layers]
    with masks.drawn(mask, names, plate.width, plate.height) as draw:
        trimaps = {frame: band(draw(frame), inward_px, outward_px) for frame in frames}
    return _checked(trimaps, mask.name)


def from_layers(mask: Any, frames: Sequence[int], plate: Plate) -> dict[int, Labels]:
    """Make labels by scene frame from layers named foreground… and unknown…; raises Problem."""
    certain, unsure = (_named(mask, name) for name in (FOREGROUND_LAYER, UNKNOWN_LAYER))
    size = plate.width, plate.height
    with masks.drawn(mask, certain, *size) as draw:
        foreground = {frame: draw(frame) for frame in frames}
    with masks.drawn(mask, unsure, *size) as draw:
        trimaps = {frame: layered(foreground[frame], draw(frame)) for frame in frames}
    return _checked(trimaps, mask.name)


def painted(folder: ShotFolder) -> str:
    """Return what is painted already, in words; raises Problem if nothing is."""
    _refuse_flat(folder)
    subjects = folder.subjects()
    chosen = [folder.subject] if folder.subject else subjects or [""]
    numbers = {name: replace(folder, subject=name).trimap_numbers() for name in chosen}
    if not all(numbers.values()):
        others = f"It has subjects called {', '.join(subjects)}. " if subjects else ""
        raise Problem(
            f"There are no trimaps in {folder.trimaps}",
            f"{others}Paint at least one, named like trimap.1001.png",
        )
    named = f" of {', '.join(chosen)}" if any(chosen) else ""
    return f"{_count(sum(map(len, numbers.values())), 'painted trimap')}{named}"


def sync(folder: ShotFolder, labels: Mapping[int, Labels]) -> Written:
    """Write and delete trimaps until the folder holds `labels`, by file number.

    Painted trimaps are left alone. Raises Problem.
    """
    _refuse_flat(folder)
    with writing(folder.trimaps):
        folder.trimaps.mkdir(parents=True, exist_ok=True)
    painted, removed = [], []
    for number in folder.trimap_numbers():
        path = folder.trimap(number)
        if not path.is_file() or not is_untouched(path):
            painted.append(number)
        elif number not in labels:
            with writing(path):
                path.unlink()
            removed.append(number)
    written = [number for number in sorted(labels) if number not in painted]
    for number in written:
        with writing(folder.trimaps):
            write_png(folder.trimap(number), labels[number])
    return Written(tuple(written), tuple(painted), tuple(removed))


def _refuse_flat(folder: ShotFolder) -> None:
    """Raise Problem if a subject is meant, and trimaps lie where its folder would."""
    if folder.subject and folder.whole.trimap_numbers():
        raise Problem(
            f"{folder.all_trimaps} holds trimaps that are no subject's",
            f"Move them into a folder there, called like their subject, beside {folder.subject}",
        )


def _named(mask: Any, beginning: str) -> list[str]:
    names = [layer.name for layer in mask.layers if layer.name.lower().startswith(beginning)]
    if not names:
        raise Problem(
            f"The mask '{mask.name}' has no layer whose name begins with '{beginning}'",
            "Press Add Trimap Layers, or use one outline instead",
        )
    return names


def _checked(trimaps: dict[int, Labels], mask_name: str) -> dict[int, Labels]:
    empty = [frame for frame, labels in trimaps.items() if not (labels == UNKNOWN).any()]
    if empty:
        raise Problem(
            f"The mask '{mask_name}' leaves nothing unknown on frame {empty[0]}",
            "Is the outline closed and in the picture? Is its layer rendered? Is the band above 0?",
        )
    return trimaps
