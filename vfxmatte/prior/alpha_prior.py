"""The alpha prior: a first matte from colour affinities, solved small and brought to full size.

The priors give the network what follows from colours alone, so that it learns the rest. At a
reduced size the unknown pixels take the mean of what they are joined to (see `affinities`), and
local linear models of alpha by colour carry the result to full size (see `linear_models`).

The priors differ in the weight of distant pixels: the first, with the lowest, follows soft edges;
the last finds background between strands. Where they differ, colours do not decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vfxmatte.prior.affinities import adjacent, distant
from vfxmatte.prior.colour_blocks import ColourBlocks
from vfxmatte.prior.constants import (
    BLOCK_PX,
    DISTANT_WEIGHTS,
    IN_LIGHT,
    MODEL_RADIUS_PX,
    NEAR_PX,
    PRIORS,
    usual_reduction,
)
from vfxmatte.prior.linear_models import linear_models
from vfxmatte.prior.magnified import Magnified, Places
from vfxmatte.prior.means import means
from vfxmatte.prior.region import Region
from vfxmatte.prior.samples import Samples
from vfxmatte.prior.torchscript_prior import SETTINGS, priors_of_picture
from vfxmatte.trimaps import box_around, of_blocks
from vfxmatte.types import FOREGROUND, UNKNOWN, FloatImage, Labels

_CPU = torch.device("cpu")
_MARGIN_PX = NEAR_PX + 2 * MODEL_RADIUS_PX
_ROWS = 16  # of the reduced picture, averaged at once: their pixels stay in the cache
ArrayT = TypeVar("ArrayT", bound=NDArray[Any])


def alpha_priors(
    image: FloatImage,
    labels: Labels,
    *,
    reduction: int | None = None,
    samples: Samples | None = None,
    device: torch.device = _CPU,
) -> FloatImage:
    """Compute the alpha priors of a picture; the same bits on any number of threads.

    Args:
        image: (H, W, 3) float32 network-encoded RGB.
        labels: (H, W) uint8.
        reduction: how many pixels become one along each axis; None: `usual_reduction`.
        samples: known pixels of other frames of its size, see `samples_of`.
        device: where, unless there are samples; on another than the CPU the results differ by
            rounding.
    Returns:
        (H, W, PRIORS) float32 in [0, 1], exactly 0 and 1 where the trimap is certain; 0.5 where
        nothing is certain.
    """
    unknown = labels == UNKNOWN
    planes = [(labels == FOREGROUND).astype(np.float32)] * PRIORS
    priors = np.asarray(cv2.merge(planes), np.float32)
    if not unknown.any():
        return priors
    if unknown.all():
        return np.full_like(priors, 0.5)
    factor = reduction or usual_reduction(*labels.shape)
    box = _on_grid(box_around(unknown, factor * _MARGIN_PX), BLOCK_PX * factor)
    if device.type != "cpu" and samples is None:
        priors[box] = priors_on(device, image[box], labels[box], factor)
        return priors
    small = _Reduced.of(image[box], labels[box], factor)
    if samples is not None:
        samples = samples.seen_from(*(side.start // factor for side in box))
    pixels = np.flatnonzero(unknown)
    y, x = np.divmod(pixels, unknown.shape[1])
    places = y - box[0].start, x - box[1].start
    priors.reshape(-1, PRIORS)[pixels] = _enlarged(
        small, factor, places, image.reshape(-1, 3).take(pixels, 0), samples
    )
    return priors


def samples_of(image: FloatImage, labels: Labels, alpha: FloatImage) -> Samples:
    """Take samples of a frame for the priors of others.

    Args:
        image: (H, W, 3) float32 network-encoded RGB.
        labels: (H, W) uint8.
        alpha: (H, W) float32, the frame's matte.
    """
    factor = usual_reduction(*labels.shape)
    small = _Reduced.of(image, labels, factor)
    height, width = small.labels.shape
    below, right = height * factor - alpha.shape[0], width * factor - alpha.shape[1]
    whole = _extended(alpha, below, right)
    reduced = cast(FloatImage, cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA))
    return Samples.near(small.displayed, small.labels == UNKNOWN, reduced)


def priors_on(
    device: torch.device, image: FloatImage, labels: Labels, reduction: int
) -> FloatImage:
    """Compute the same in torch alone, on any device."""
    with torch.inference_mode():
        painted = torch.from_numpy(np.ascontiguousarray(labels)).to(device)
        trimap = torch.where(painted == UNKNOWN, 0.5, (painted == FOREGROUND).float())
        planes = torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)
        priors = priors_of_picture(planes, trimap, reduction, **SETTINGS)
    return np.asarray(priors.permute(1, 2, 0).contiguous().cpu().numpy())


def _on_grid(box: tuple[slice, slice], step: int) -> tuple[slice, slice]:
    """Start the box at multiples of the step.

    Were other pixels averaged, or joined, from frame to frame, the matte would flicker. The blocks
    of the solver lie as in the whole picture."""
    rows, columns = (slice(side.start // step * step, side.stop) for side in box)
    return rows, columns


@dataclass(frozen=True, kw_only=True, eq=False)
class _Reduced:
    """A reduced picture."""

    displayed: FloatImage
    """(h, w, 3) float32 as displayed."""
    light: FloatImage
    """(h, w, 3) float32 in nearly linear light."""
    labels: Labels
    """(h, w), known where all that a pixel covers is."""

    @classmethod
    def of(cls, image: FloatImage, labels: Labels, factor: int) -> _Reduced:
        height, width = (-(-side // factor) for side in labels.shape)
        below, right = height * factor - labels.shape[0], width * factor - labels.shape[1]
        image, labels = _extended(image, below, right), _extended(labels, below, right)
        lowest, highest = (of_blocks(ufunc, labels, factor) for ufunc in (np.minimum, np.maximum))
        reduced = np.where(lowest == highest, lowest, np.uint8(UNKNOWN))
        more = max(0, 3 - height), max(0, 3 - width)  # at least one 3×3 patch
        displayed, light = _averaged(image, width, height, factor)
        return cls(
            displayed=_extended(displayed, *more),
            light=_extended(light, *more),
            labels=_extended(reduced, *more),
        )

    def alphas(self, samples: Samples | None) -> FloatImage:
        """Solve the priors at this size: (PRIORS, h, w) float32 in [0, 1]."""
        known = (self.labels == FOREGROUND).astype(np.float32)
        alphas = np.stack([known] * PRIORS)
        region = Region(unknown=self.labels == UNKNOWN, known=known)
        if region.unknown.any():
            pictures = self.displayed, self.light
            near, far = adjacent(pictures, region), distant(self.displayed, region, samples)
            blocks = [
                ColourBlocks.of(picture, region, joined, far)
                for picture, joined in zip(pictures, near, strict=True)
            ]
            weights = [*zip(DISTANT_WEIGHTS, IN_LIGHT, strict=True)]
            alphas.reshape(PRIORS, -1)[:, region.pixels] = means(near, far, blocks, weights).T
        return alphas.clip(0, 1)


def _averaged(
    image: FloatImage, width: int, height: int, factor: int
) -> tuple[FloatImage, FloatImage]:
    """Average a picture and its squares to (height, width, 3), some rows at a time."""
    small = np.empty((2, height, width, 3), np.float32)
    for first in range(0, height, _ROWS):
        rows = image[first * factor : (first + _ROWS) * factor]
        for picture, own in zip((rows, rows * rows), small[:, first : first + _ROWS], strict=True):
            size = width, len(own)
            own[:] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).reshape(own.shape)
    return small[0], small[1]


def _extended(values: ArrayT, below: int, right: int) -> ArrayT:
    """Repeat the last row and column."""
    if not below and not right:
        return values
    more = [(0, below), (0, right), (0, 0)][: values.ndim]
    return cast(ArrayT, np.pad(values, more, "edge"))


def _enlarged(
    small: _Reduced, factor: int, places: Places, colours: FloatImage, samples: Samples | None
) -> FloatImage:
    """Apply the linear models of alpha by colour at n places with colours (n, 3): (n, PRIORS)."""
    alphas, magnified = small.alphas(samples), Magnified.of(places, factor)
    result = np.empty((len(colours), PRIORS), np.float32)
    for light in set(IN_LIGHT):
        numbers = [number for number in range(PRIORS) if IN_LIGHT[number] == light]
        own = np.square(colours) if light else colours
        models = linear_models(small.light if light else small.displayed, alphas[numbers])
        for number, model in zip(numbers, models, strict=True):
            full = magnified.read(model)
            alpha = full[:, 3]
            for channel in range(3):
                alpha = alpha + full[:, channel] * own[:, channel]
            result[:, number] = np.clip(alpha, 0, 1)
    return result
