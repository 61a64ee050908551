"""First trimaps of anything, from a box, a mask or strokes, by OpenCV's grabCut.

GrabCut (Rother, Kolmogorov, Blake 2004) separates the colours inside the region from those outside;
strokes tell it what is certain.
It runs on a reduced picture: an edge that is a few pixels off lies within the unknown band.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vfxmatte.errors import TrimapError
from vfxmatte.trimaps import distance_to, from_matte
from vfxmatte.types import BACKGROUND, FOREGROUND, FloatImage, Labels, Mask

_MOST_PX = 640_000  # of the reduced picture
_STEPS = 6  # of grabCut
_PLACE = 0.5  # the picture's longer side counts as much as half of the way from black to white
_MOST_SAMPLES = 3000  # of certain foreground or background
_FEWEST_PX = 25  # on each side of the region, for grabCut's mixtures of five colours


def default_band_px(height: int) -> float:
    """Return the default reach of the unknown to either side of the cut: 1.5 % of the height."""
    return max(3.0, round(0.015 * height))


def cut_out(
    image: FloatImage,
    region: Mask,
    *,
    foreground: Mask | None = None,
    background: Mask | None = None,
) -> Mask:
    """Cut out the subject inside a region.

    Args:
        image: (H, W, 3) float32 RGB as on a display, nominally 0 to 1.
        region: (H, W) bool; all outside of it is certain background.
        foreground, background: (H, W) bool, certain whatever the region is. With a region that is
            the whole picture, only what hangs together with certain foreground is cut out.

    Returns:
        (H, W) bool.

    Raises:
        TrimapError: the region is empty, nothing is certain background, or the result is empty.
    """
    none = np.zeros_like(region)
    foreground = none if foreground is None else foreground
    background = none if background is None else background
    possible = _possible(region, foreground, background)
    picture = _reduced(image)
    marks = _marks(picture, region, foreground, background)
    subject = _grab(picture, marks).astype(np.float32)
    smooth = cv2.resize(subject, region.shape[::-1], interpolation=cv2.INTER_LINEAR)
    cut = ((smooth > 0.5) & possible) | foreground
    if region.all() and foreground.any():
        cut = _touching(cut, foreground)
    if not (cut & ~foreground).any():
        raise TrimapError(
            "nothing stands out inside of the region: its colours are those of the outside",
            hint="draw it closer around the subject, add strokes, or paint this trimap",
        )
    return np.asarray(cut)


def _possible(region: Mask, foreground: Mask, background: Mask) -> Mask:
    """Return where foreground may be; raises TrimapError if that is nowhere or everywhere."""
    possible: Mask = (region | foreground) & ~background
    if not possible.any():
        raise TrimapError("the region is empty", hint="it must hold the subject")
    if possible.all():
        raise TrimapError(
            "the region is the whole picture: nothing is left that is background for certain",
            hint="draw it closer around the subject, or a stroke on the background",
        )
    return possible


def _reduced(image: FloatImage) -> NDArray[np.uint8]:
    """Return an image (H, W, 3) as 8 bits, with at most `_MOST_PX` pixels."""
    height, width = image.shape[:2]
    scale = min(1.0, (_MOST_PX / (height * width)) ** 0.5)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(np.clip(image, 0, 1), size, interpolation=cv2.INTER_AREA)
    return np.rint(small * 255).astype(np.uint8)


def trimap_around(
    cut: Mask,
    region: Mask,
    band_px: float,
    *,
    foreground: Mask | None = None,
    background: Mask | None = None,
) -> Labels:
    """Make a trimap (H, W) of the cut, unknown up to `band_px` to either side of its edge.

    The unknown leaves the region by `band_px` at most. Certain foreground and background stay so.

    Raises:
        TrimapError: no foreground is left.
    """
    labels = from_matte(cut.astype(np.float32), erode_px=band_px, dilate_px=band_px)
    labels[distance_to(region | cut) > band_px] = BACKGROUND
    if foreground is not None:
        labels[foreground] = FOREGROUND
    if background is not None:
        labels[background] = BACKGROUND
    if not (labels == FOREGROUND).any():
        raise TrimapError(
            f"no certain foreground is left: what was found is thinner than twice {band_px:g} px",
            hint="give a smaller --band, a stroke on the foreground, or paint this trimap",
        )
    return labels


def _marks(
    picture: NDArray[np.uint8], region: Mask, foreground: Mask, background: Mask
) -> NDArray[np.uint8]:
    """Return grabCut's marks (h, w) at the picture's size.

    Inside of a region everything may be foreground. Where there is none, what is nearer to certain
    foreground than to certain background, in colour and place.
    """
    height, width = picture.shape[:2]

    def reduced(mask: Mask, method: int) -> Mask:
        small = cv2.resize(mask.astype(np.float32), (width, height), interpolation=method)
        return np.asarray(small > 0)

    inside = reduced(region, cv2.INTER_NEAREST)
    marks = np.where(inside, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    marks[reduced(background, cv2.INTER_AREA)] = cv2.GC_BGD  # thin strokes must not vanish
    marks[reduced(foreground, cv2.INTER_AREA)] = cv2.GC_FGD
    ground, subject = marks == cv2.GC_BGD, marks == cv2.GC_FGD
    if region.all() and ground.any() and subject.any():
        nearer_to_ground = _distance(picture, ground) < _distance(picture, subject)
        marks[(marks == cv2.GC_PR_FGD) & nearer_to_ground] = cv2.GC_PR_BGD
    return marks


def _distance(picture: NDArray[np.uint8], certain: Mask) -> NDArray[np.float64]:
    """Return (h, w): how far each pixel is from the nearest certain one, in colour and place."""
    height, width = certain.shape
    y, x = np.mgrid[0:height, 0:width] * (_PLACE / max(height, width))
    features = np.dstack([picture / 255, x, y]).reshape(-1, 5)
    samples = features[certain.ravel()]
    tree = cKDTree(samples[:: 1 + len(samples) // _MOST_SAMPLES])
    distances: NDArray[np.float64] = tree.query(features)[0]
    return distances.reshape(height, width)


def _touching(cut: Mask, foreground: Mask) -> Mask:
    """Return the connected parts of the cut that hold certain foreground."""
    _, parts = cv2.connectedComponents(cut.view(np.uint8))
    return np.asarray(np.isin(parts, np.unique(parts[foreground])) & cut)


def _grab(picture: NDArray[np.uint8], marks: NDArray[np.uint8]) -> Mask:
    """Run grabCut: (h, w) bool, only the certain foreground with too few pixels on either side."""
    is_ground = (marks == cv2.GC_BGD) | (marks == cv2.GC_PR_BGD)
    if min(np.count_nonzero(is_ground), np.count_nonzero(~is_ground)) < _FEWEST_PX:
        return np.asarray(marks == cv2.GC_FGD)
    cv2.setRNGSeed(0)
    mask = marks.copy()
    models = np.zeros((1, 65)), np.zeros((1, 65))
    bgr = np.ascontiguousarray(picture[:, :, ::-1])
    cv2.grabCut(bgr, mask, None, *models, _STEPS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    return np.asarray((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD))
