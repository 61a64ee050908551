"""Frames of a shot whose true alpha is known: `plate/` and `alpha/` of the same numbers.

Trimaps are drawn from the true alpha with one band, so that the network is measured and not the
propagation of keyframes. The plate is converted as in a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.measure.photographs import read_alpha
from training.measure.samples import Sample
from vfxmatte.errors import TrainingError, VfxmatteError
from vfxmatte.trimaps import from_matte


def is_shot_folder(folder: Path) -> bool:
    """Return True if `folder` has a plate and true alphas."""
    return (folder / "alpha").is_dir() and any(folder.glob("plate*"))


def shot_frames(folder: Path, *, band_px: float) -> Iterator[Sample]:
    """Read each frame that has an alpha, in order.

    Args:
        folder: the shot.
        band_px: width of the trimap's band, half of it on each side of the edge.

    Raises:
        ShotError, PlateError: the plate cannot be read.
        TrainingError: a frame of the plate is missing or of another size than its alpha.
    """
    from vfxmatte.colour import ColourConfig, to_network
    from vfxmatte.io.plates import open_plate
    from vfxmatte.io.sequence import find_sequence
    from vfxmatte.pipeline.shot_folder import find_plate

    alphas = find_sequence(folder / "alpha")
    config = ColourConfig.load()
    with open_plate(find_plate(folder), config=config) as plate:
        for number, frame in plate.frames(alphas.numbers):
            if isinstance(frame, VfxmatteError):
                raise TrainingError(frame.what, shot=folder, frame=number, hint=frame.hint)
            truth = read_alpha(alphas.existing_path(number))
            yield Sample(
                name=f"{folder.name}.{number}",
                kind=folder.name,
                image=to_network(frame, config),
                labels=from_matte(truth, erode_px=band_px / 2, dilate_px=band_px / 2),
                truth=truth,
            )
