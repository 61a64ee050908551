"""The steps of the alpha prior with fixed shapes, as modules that torch exports to ONNX.

They are those of `prior.torchscript_prior`, for all pictures of a batch at once.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vfxmatte.common.symmetric import PAIRS
from vfxmatte.prior.constants import (
    IN_LIGHT,
    LAPLACIAN_EPSILON,
    MODEL_EPSILON,
    MODEL_RADIUS_PX,
)
from vfxmatte.prior.inverse import inverse_positive

_PLACES = tuple((y, x) for y in range(3) for x in range(3))
_FORWARD = tuple((dy, dx) for dy in range(3) for dx in range(-2, 3) if (dy, dx) > (0, 0))
STEPS = (*_FORWARD, *((-dy, -dx) for dy, dx in _FORWARD))
"""(rows down, columns right) to the 24 pixels that the matting Laplacian joins to one."""


class Neighbours(nn.Module):
    """Affinities of neighbours, as displayed and in light, (N, 24, h, w) each, of colours
    (N, 6, h, w) float64; 0 where a neighbour would be outside."""

    def forward(self, small: Tensor) -> tuple[Tensor, Tensor]:
        displayed, light = _affinities(torch.cat((small[:, :3], small[:, 3:]))).chunk(2)
        return displayed, light


def _affinities(colours: Tensor) -> Tensor:
    height, width = colours.shape[2:]
    windows = [colours[:, :, y : height - 2 + y, x : width - 2 + x] for y, x in _PLACES]
    mean = torch.stack(windows).mean(0)
    windows = [window - mean for window in windows]
    covariances = [
        sum((w[:, i] * w[:, j] for w in windows), start=mean.new_zeros(())) / 9
        + (LAPLACIAN_EPSILON / 9 if i == j else 0.0)
        for i, j in PAIRS
    ]
    inverse = torch.stack(
        [_of(inverse_positive(covariances), i, j) for i in range(3) for j in range(3)], 1
    )
    whitened = [
        torch.stack([(inverse[:, 3 * i : 3 * i + 3] * w).sum(1) for i in range(3)], 1)
        for w in windows
    ]
    planes: dict[tuple[int, int], Tensor] = {}
    for one, (y1, x1) in enumerate(_PLACES):
        for other in range(one + 1, 9):
            y2, x2 = _PLACES[other]
            likeness = ((whitened[one] * windows[other]).sum(1) + 1.0) / 9.0
            placed = F.pad(likeness, (x1, 2 - x1, y1, 2 - y1))
            step = (y2 - y1, x2 - x1)
            planes[step] = planes[step] + placed if step in planes else placed
    forward = [planes[step] for step in _FORWARD]
    back = [_moved(planes[dy, dx], dy, dx) for dy, dx in _FORWARD]
    return torch.stack((*forward, *back), 1)


def _of(symmetric: list[Tensor], i: int, j: int) -> Tensor:
    return symmetric[PAIRS.index((min(i, j), max(i, j)))]


def _moved(plane: Tensor, down: int, right: int) -> Tensor:
    """Move (N, h, w), 0 coming in."""
    height, width = plane.shape[1:]
    wider = F.pad(plane, (2, 2, 2, 2))
    top, left = 2 - down, 2 - right
    return wider[:, top : top + height, left : left + width]


class LinearModels(nn.Module):
    """Slopes and offset of each prior by colour, (N, 4 · PRIORS, h, w) float32, of the colours
    (N, 6, h, w) and alphas (N, PRIORS, h, w) float64."""

    def forward(self, small: Tensor, alphas: Tensor) -> Tensor:
        models = []
        for number, light in enumerate(IN_LIGHT):
            colours = small[:, 3:] if light else small[:, :3]
            models.append(_linear_model(colours, alphas[:, number : number + 1]))
        return torch.cat(models, 1).float()


def _linear_model(colours: Tensor, alpha: Tensor) -> Tensor:
    mean, mean_alpha = _boxed(colours), _boxed(alpha)
    products = _boxed(torch.stack([colours[:, i] * colours[:, j] for i, j in PAIRS], 1))
    covariances = [
        products[:, n] - mean[:, i] * mean[:, j] + (MODEL_EPSILON if i == j else 0.0)
        for n, (i, j) in enumerate(PAIRS)
    ]
    inverse = inverse_positive(covariances)
    shared = _boxed(colours * alpha) - mean * mean_alpha
    slope = torch.stack(
        [sum((_of(inverse, i, j) * shared[:, j] for j in range(3)), start=mean.new_zeros(()))
         for i in range(3)], 1)  # fmt: skip
    offset = mean_alpha - (slope * mean).sum(1, keepdim=True)
    return _boxed(torch.cat((slope, offset), 1))


def _boxed(planes: Tensor) -> Tensor:
    """Average over squares around each pixel, mirrored beyond the border."""
    side = 2 * MODEL_RADIUS_PX + 1
    for axis in (2, 3):
        size = planes.shape[axis]
        index = torch.arange(-MODEL_RADIUS_PX, size + MODEL_RADIUS_PX)
        index = torch.where(index < 0, -1 - index, index)
        index = torch.where(index >= size, 2 * size - 1 - index, index)
        wider = planes.index_select(axis, index)
        parts = [wider.narrow(axis, k, size) for k in range(side)]
        planes = torch.stack(parts).mean(0)
    return planes


def applied(encoded: Tensor, models: Tensor) -> Tensor:
    """Stack picture, trimap and priors (N, 4 + PRIORS, H, W), of enlarged linear models."""
    colours, trimap = encoded[:, :3], encoded[:, 3:4]
    priors = []
    for number, light in enumerate(IN_LIGHT):
        model = models[:, 4 * number : 4 * number + 4]
        own = colours * colours if light else colours
        alpha = (model[:, :3] * own).sum(1, keepdim=True) + model[:, 3:]
        priors.append(torch.where(trimap == 0.5, alpha.clamp(0.0, 1.0), trimap))
    return torch.cat((encoded, *priors), 1)
