"""Finished mattes as keyframes: their alpha is kept as it is, and their trimap follows from it."""

from __future__ import annotations

from pathlib import Path

from vfxmatte.errors import VfxmatteError
from vfxmatte.io.coverage import read_coverage
from vfxmatte.io.plate import PlateInfo
from vfxmatte.trimaps import from_matte, grow
from vfxmatte.types import FloatImage, Trimap

_BAND_SHARE = 0.02  # of the height; with 0.01, three times as many soft pixels are lost on the way
_LEAST_BAND_PX = 3.0


def read_finished(path: Path, number: int, plate: PlateInfo) -> FloatImage:
    """Read a finished matte's alpha, (H, W) float32 over the plate's canvas, in [0, 1].

    Raises:
        TrimapError: unreadable, of another size than the plate, a picture in colour, NaN.
    """
    return _read(path, number, plate)[0]


def finished_trimap(
    path: Path, number: int, plate: PlateInfo, growth_px: float = 0.0
) -> tuple[Trimap, str]:
    """Return the trimap of a finished matte, and what is odd about the matte; "" if nothing is.

    Partial alpha is unknown, and so is a narrow band around it and along hard edges.

    Args:
        growth_px: further growth of the band; below 0, it is narrowed.
    """
    alpha, clipped = _read(path, number, plate)
    band = max(_LEAST_BAND_PX, round(_BAND_SHARE * plate.display_window.height))
    labels = grow(from_matte(alpha, erode_px=band, dilate_px=band), growth_px)
    remark = "values outside of 0 to 1 are clipped" if clipped else ""
    return Trimap(number=number, labels=labels, is_keyframe=True), remark


def _read(path: Path, number: int, plate: PlateInfo) -> tuple[FloatImage, bool]:
    try:
        return read_coverage(
            path,
            canvas=plate.canvas,
            display_window=plate.display_window,
            name="finished matte",
        )
    except VfxmatteError as error:
        raise error.at(frame=number, path=path) from error.__cause__
