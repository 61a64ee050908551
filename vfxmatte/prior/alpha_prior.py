"""The alpha prior: a first matte from colour affinities, solved small and brought to full size.

The priors give the network what follows from colours alone, so that it learns the rest. At a
reduced size the unknown pixels take the mean of what they are joined to (see `affinities`), and
local linear models of alpha by colour carry the result to full size (see `linear_models`).

The priors differ in the weight of distant pixels: the first, with the lowest, follows soft edges;
the last finds background between strands. Where they differ, colours do not decide.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vfxmatte.prior.affinities import adjacent, distant, means
from vfxmatte.prior.constants import (
    DISTANT_WEIGHTS,
    IN_LIGHT,
    MODEL_RADIUS_PX,
    NEAR_PX,
    PRIORS,
    usual_reduction,
)
from vfxmatte.prior.linear_models import linear_models
from vfxmatte.prior.magnified import read_at
from vfxmatte.trimaps import box_around
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Floats, Labels, Mask

_MARGIN_PX = NEAR_PX + 2 * MODEL_RADIUS_PX


def alpha_priors(
    image: FloatImage,
    labels: Labels,
    *,
    reduction: int | None = None,
) -> FloatImage:
    """Compute the alpha priors of a picture; the same bits on any number of threads.

    Args:
        image: (H, W, 3) float32 network-encoded RGB.
        labels: (H, W) uint8.
        reduction: how many pixels become one along each axis; None: `usual_reduction`.
    Returns:
        (H, W, PRIORS) float32 in [0, 1], exactly 0 and 1 where the trimap is certain; 0.5 where
        nothing is certain.
    """
    unknown = labels == UNKNOWN
    known = (labels == FOREGROUND).astype(np.float32)
    priors = np.repeat(known[:, :, None], PRIORS, axis=2)
    if not unknown.any():
        return priors
    if unknown.all():
        return np.full_like(priors, 0.5)
    factor = reduction or usual_reduction(*labels.shape)
    box = _on_grid(box_around(unknown, factor * _MARGIN_PX), factor)
    small = _Reduced.of(image[box], labels[box], factor)
    priors[unknown] = _enlarged(image[box], small, factor, unknown[box])
    return priors


def _on_grid(box: tuple[slice, slice], factor: int) -> tuple[slice, slice]:
    """Start the box at multiples of the factor.

    Were other pixels averaged from frame to frame, the matte would flicker."""
    rows, columns = (slice(side.start // factor * factor, side.stop) for side in box)
    return rows, columns


@dataclass(frozen=True, kw_only=True, eq=False)
class _Reduced:
    """A reduced picture."""

    displayed: Floats
    """(h, w, 3) as displayed."""
    light: Floats
    """(h, w, 3) in nearly linear light."""
    labels: Labels
    """(h, w), known where all that a pixel covers is."""

    @classmethod
    def of(cls, image: FloatImage, labels: Labels, factor: int) -> _Reduced:
        height, width = (-(-side // factor) for side in labels.shape)
        below, right = height * factor - labels.shape[0], width * factor - labels.shape[1]
        more = (0, below), (0, right)
        if below or right:
            image, labels = np.pad(image, (*more, (0, 0)), "edge"), np.pad(labels, more, "edge")
        blocks = labels.reshape(height, factor, width, factor)
        reduced = np.full((height, width), UNKNOWN, np.uint8)
        for value in (BACKGROUND, FOREGROUND):
            reduced[(blocks == value).all((1, 3))] = value
        more = (0, max(0, 3 - height)), (0, max(0, 3 - width))  # at least one 3×3 patch
        small = [
            np.pad(_averaged(picture, width, height), (*more, (0, 0)), "edge")
            for picture in (image, image * image)
        ]
        return cls(displayed=small[0], light=small[1], labels=np.pad(reduced, more, "edge"))

    def alphas(self) -> Floats:
        """Solve the priors at this size: (h, w, PRIORS) in [0, 1]."""
        unknown, known = self.labels == UNKNOWN, (self.labels == FOREGROUND).astype(np.float64)
        alphas = np.repeat(known[:, :, None], PRIORS, axis=2)
        if unknown.any():
            in_light, as_displayed = (adjacent(c, unknown) for c in (self.light, self.displayed))
            near_by = [in_light if light else as_displayed for light in IN_LIGHT]
            far_apart = distant(self.displayed, unknown)
            alphas[unknown] = means(near_by, far_apart, DISTANT_WEIGHTS, unknown, known)
        return alphas.clip(0, 1)


def _averaged(image: FloatImage, width: int, height: int) -> Floats:
    """Average a picture to (height, width, 3)."""
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return small.reshape(height, width, 3).astype(np.float64)


def _enlarged(image: FloatImage, small: _Reduced, factor: int, wanted: Mask) -> FloatImage:
    """Apply the linear models of alpha by colour at the wanted pixels: (n, PRIORS) float32."""
    alphas, colours = small.alphas(), image[wanted]
    places = np.nonzero(wanted)
    result = np.empty((len(colours), PRIORS), np.float32)
    for light in set(IN_LIGHT):
        numbers = [number for number in range(PRIORS) if IN_LIGHT[number] == light]
        slopes, offsets = linear_models(small.light if light else small.displayed,
                                        alphas[:, :, numbers])  # fmt: skip
        own = colours * colours if light else colours
        for place, number in enumerate(numbers):
            model = np.concatenate((slopes[:, :, place], offsets[:, :, place, None]), axis=2)
            full = read_at(model.astype(np.float32), places, factor)
            alpha = full[:, 3]
            for channel in range(3):
                alpha = alpha + full[:, channel] * own[:, channel]
            result[:, number] = np.clip(alpha, 0, 1)
    return result
