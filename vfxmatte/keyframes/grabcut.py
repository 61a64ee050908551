"""First trimaps of anything, from a box or a rough mask, by OpenCV's grabCut.

GrabCut (Rother, Kolmogorov, Blake 2004) separates the colours inside the region from those outside.
It runs on a reduced picture: an edge that is a few pixels off lies within the unknown band.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import TrimapError
from vfxmatte.trimaps import distance_to, from_matte
from vfxmatte.types import BACKGROUND, FOREGROUND, FloatImage, Labels, Mask

_MOST_PX = 640_000  # of the reduced picture
_STEPS = 6  # of grabCut
_FEWEST_PX = 25  # on each side of the region, for grabCut's mixtures of five colours


def default_band_px(height: int) -> float:
    """Return the default reach of the unknown to either side of the cut: 1.5 % of the height."""
    return max(3.0, round(0.015 * height))


def cut_out(image: FloatImage, region: Mask) -> Mask:
    """Cut out the subject inside a region.

    Args:
        image: (H, W, 3) float32 RGB as on a display, nominally 0 to 1.
        region: (H, W) bool; all outside of it is certain background.

    Returns:
        (H, W) bool.

    Raises:
        TrimapError: the region is empty or the whole picture, or the result is empty.
    """
    if not region.any():
        raise TrimapError("the region is empty", hint="it must hold the subject")
    if region.all():
        raise TrimapError(
            "the region is the whole picture: nothing is left that is background for certain",
            hint="draw it closer around the subject",
        )
    height, width = region.shape
    scale = min(1.0, (_MOST_PX / (height * width)) ** 0.5)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(np.clip(image, 0, 1), size, interpolation=cv2.INTER_AREA)
    inside = cv2.resize(region.view(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    subject = _grab(np.rint(small * 255).astype(np.uint8), inside)
    smooth = cv2.resize(subject.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    cut = (smooth > 0.5) & region
    if not cut.any():
        raise TrimapError(
            "nothing stands out inside of the region: its colours are those of the outside",
            hint="draw it closer around the subject, or paint this trimap",
        )
    return np.asarray(cut)


def trimap_around(cut: Mask, region: Mask, band_px: float) -> Labels:
    """Make a trimap (H, W) of the cut, unknown up to `band_px` to either side of its edge.

    The unknown leaves the region by `band_px` at most.

    Raises:
        TrimapError: no foreground is left.
    """
    labels = from_matte(cut.astype(np.float32), erode_px=band_px, dilate_px=band_px)
    labels[distance_to(region) > band_px] = BACKGROUND
    if not (labels == FOREGROUND).any():
        raise TrimapError(
            f"no certain foreground is left: what was found is thinner than twice {band_px:g} px",
            hint="give a smaller --band, or paint this trimap",
        )
    return labels


def _grab(picture: NDArray[np.uint8], inside: Mask) -> Mask:
    """Run grabCut: (h, w) bool, all False with too few pixels on either side."""
    mask = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    if min(np.count_nonzero(inside), np.count_nonzero(~inside)) < _FEWEST_PX:
        return np.zeros_like(inside)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = np.ascontiguousarray(picture[:, :, ::-1])
    cv2.grabCut(bgr, mask, None, *models, _STEPS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    return np.asarray((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD))
