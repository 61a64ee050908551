"""Alpha corrected along the picture's colour lines, where a network is unsure of it.

Within three by three pixels alpha is nearly a linear function of the colours (Levin, Lischinski,
Weiss 2008, "A Closed-Form Solution to Natural Image Matting"), in the light in which a lens mixes
them. What a network says is believed as much as its expected error deserves: alpha x minimises

    xᵀ L x + Σ (TRUST / error)² (x − alpha)²

over the pixels that it is unsure of, L being the matting Laplacian; all others stay.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from vfxmatte.common.conjugate_gradients import conjugate_gradients
from vfxmatte.common.sums import norm
from vfxmatte.engines.torchscript_lines import corrected
from vfxmatte.prior.affinities import Affinities, joined
from vfxmatte.prior.laplacian import STEPS as NEIGHBOURS
from vfxmatte.prior.neighbours import listed_affinities, windows_around
from vfxmatte.prior.region import Places, Region
from vfxmatte.types import FloatImage, Mask

UNSURE = 0.03
"""Expected absolute error of alpha above which a pixel is corrected."""

TRUST = 0.04
"""Expected error at which a network's word weighs as much as the colours around."""

STEPS = 20
"""Steps of the solver: alpha is near already, and far is what the network sees."""

EPSILON = 1e-7
"""Regularisation of the matting Laplacian."""

_RESOLVED = 1e-5  # share of the first residual, about what float32 resolves


def along_colour_lines(
    image: FloatImage, alpha: FloatImage, error: FloatImage, *, device: torch.device
) -> FloatImage:
    """Correct alpha where it is unsure; the same bits on any number of threads.

    Args:
        image: (H, W, 3) float32 network-encoded RGB.
        alpha: (H, W) float32 in [0, 1].
        error: (H, W) float32, its expected absolute error; 0 where it is certain.
        device: where; on another than the CPU the results differ by rounding.
    Returns:
        (H, W) float32 in [0, 1].
    """
    unsure = error > UNSURE
    if not unsure.any() or min(alpha.shape) < 3:  # pixels of a window
        return alpha
    if device.type == "cpu":
        return _corrected(image, alpha, error, unsure)
    with torch.inference_mode():
        picture, own, expected = (
            torch.from_numpy(np.ascontiguousarray(values)).to(device)
            for values in (image.transpose(2, 0, 1), alpha, error)
        )
        solved = corrected(picture, own, expected, UNSURE, TRUST, STEPS, EPSILON)
        return np.asarray(solved.cpu().numpy())


def _corrected(image: FloatImage, alpha: FloatImage, error: FloatImage, unsure: Mask) -> FloatImage:
    system, pixels = _joined(np.square(image), alpha, unsure)
    own, expected = (values.ravel()[pixels] for values in (alpha, error))
    weight = np.square(np.float32(TRUST) / expected)
    total = system.degree.astype(np.float32) + weight

    def product(x: FloatImage) -> FloatImage:
        result: FloatImage = total * x - system.matrix @ x
        return result

    right = system.arriving.astype(np.float32) + weight * own
    solved, _ = conjugate_gradients(
        product,
        right,
        own,
        goal=_RESOLVED * norm(right - product(own)),
        steps=STEPS,
        precondition=lambda residual: residual / total,
    )
    result = alpha.copy()
    result.reshape(-1)[pixels] = solved.clip(0, 1)
    return result


def _joined(light: FloatImage, alpha: FloatImage, unsure: Mask) -> tuple[Affinities, Places]:
    """Join unsure pixels to their neighbours, and list them, ascending.

    What windows hold is numbered through, so that no plane of the whole picture is needed."""
    width, pixels = unsure.shape[1], np.flatnonzero(unsure)
    held = cv2.dilate(unsure.view(np.uint8), np.ones((5, 5), np.uint8)).ravel()
    listed = np.flatnonzero(held)
    numbers = np.full(held.shape, len(listed))  # a last pixel joined to none is all the others
    numbers[listed] = np.arange(len(listed))
    last = [(0, 0), (0, 1)]
    colours = np.pad(light.reshape(-1, 3)[listed].T, last)[None]
    ahead = np.array([dy * width + dx for dy, dx in NEIGHBOURS[1:]])
    places = np.concatenate((pixels[:, None] + ahead, pixels[:, None] - ahead), axis=1)
    columns = numbers.take(places, mode="wrap")  # across the border, where affinities are 0
    (planes,) = listed_affinities(colours, numbers.take(windows_around(unsure)), EPSILON)
    count, own = len(ahead), numbers[pixels]
    forward, back = planes[:, own].T, planes[np.arange(count), columns[:, count:]]
    region = Region(
        unknown=np.pad(unsure.ravel()[listed], (0, 1))[None],
        known=np.pad(np.where(unsure, np.float32(0), alpha).ravel()[listed], (0, 1))[None],
    )
    values = np.concatenate((forward, back), axis=1)
    return joined(region, np.arange(len(pixels)), columns, [values])[0], pixels
