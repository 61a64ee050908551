"""Alpha corrected along the picture's colour lines, where a network is unsure of it.

Within three by three pixels alpha is nearly a linear function of the colours (Levin, Lischinski,
Weiss 2008, "A Closed-Form Solution to Natural Image Matting"), in the light in which a lens mixes
them. What a network says is believed as much as its expected error deserves: alpha x minimises

    xᵀ L x + Σ (TRUST / error)² (x − alpha)²

over the pixels that it is unsure of, L being the matting Laplacian; all others stay.
"""

from __future__ import annotations

import numpy as np
import torch

from vfxmatte.common.conjugate_gradients import conjugate_gradients
from vfxmatte.engines.torchscript_lines import corrected
from vfxmatte.prior.affinities import adjacent
from vfxmatte.prior.region import Region
from vfxmatte.trimaps import box_around
from vfxmatte.types import FloatImage, Mask

UNSURE = 0.02
"""Expected absolute error of alpha above which a pixel is corrected."""

TRUST = 0.016
"""Expected error at which a network's word weighs as much as the colours around."""

STEPS = 20
"""Steps of the solver: alpha is near already, and far is what the network sees."""

EPSILON = 1e-7
"""Regularisation of the matting Laplacian, at full size."""

_REACH_PX = 4  # two windows


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
        box, result = box_around(unsure, _REACH_PX), alpha.copy()
        result[box] = _corrected(image[box], alpha[box], error[box], unsure[box])
        return result
    with torch.inference_mode():
        picture, own, expected = (
            torch.from_numpy(np.ascontiguousarray(values)).to(device)
            for values in (image.transpose(2, 0, 1), alpha, error)
        )
        solved = corrected(picture, own, expected, UNSURE, TRUST, STEPS, EPSILON)
        return np.asarray(solved.cpu().numpy())


def _corrected(image: FloatImage, alpha: FloatImage, error: FloatImage, unsure: Mask) -> FloatImage:
    region = Region(unknown=unsure, known=np.where(unsure, np.float32(0), alpha))
    (joined,) = adjacent([np.square(image)], region, epsilon=EPSILON)
    own, expected = (values.ravel()[region.pixels] for values in (alpha, error))
    trust = np.square(np.float32(TRUST) / expected)
    total = joined.degree.astype(np.float32) + trust

    def product(x: FloatImage) -> FloatImage:
        result: FloatImage = total * x - joined.matrix @ x
        return result

    right = joined.arriving.astype(np.float32) + trust * own
    solved, _ = conjugate_gradients(
        product, right, own, goal=0, steps=STEPS, precondition=lambda residual: residual / total
    )
    result = alpha.copy()
    result.reshape(-1)[region.pixels] = solved.clip(0, 1)
    return result
