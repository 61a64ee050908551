"""Estimate the colours of foreground and background from a plate and its alpha.

A multi-level method in the manner of Germer et al. 2020, in scene-linear light. From the plate
reduced to two pixels up to the plate itself, each level begins with the colours of the one before
and improves them where alpha is partial: every pixel moves to the mean of its neighbours, which
count by how much of the layer they hold, and what the plate has beside the mix of both is shared
out between them. All pixels change at once from the values before (Jacobi), so no order matters:
CPU and GPU agree, and any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from vfxmatte.foreground.arrays import Array, Arrays, NumpyArrays, TorchArrays
from vfxmatte.types import FloatImage, Mask

COLOURS_VERSION = 1
"""Raise this when a change of the program changes estimated colours: older files are stale then."""

_STEPS = (5, 16, 40, 60)
"""Improvements of the plate itself, of its half size and so on; the last for all smaller ones."""
_EVEN, _UNEVEN = 1e-5, 0.1
"""Weight of a neighbour of the same alpha, and more by the difference of alphas: where alpha
changes, the plate tells least about each layer."""
_LEAST_SHARE = 0.02
"""What a neighbour that holds next to nothing of a layer counts for it."""
_STIFFNESS = 3.0
"""How much smoother the background is taken to be: behind what is in focus it often is not."""
_FIRMNESS = 0.0003
"""What holds a colour to its neighbours' mean where no neighbour knows it well."""
_MOST_DROP = 0.6
"""The most of its neighbours' mean that a colour falls by at once, so that too low an alpha leaves
no black holes."""
_LARGEST = 65504.0
"""The largest finite half float, which infinity counts as."""

Colours = tuple[Array, Array]
"""Of foreground and background, images (h, w, 3)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerColours:
    """Colours of both layers, (H, W, 3) float32, straight, in the plate's colour space."""

    foreground: FloatImage
    """The plate's own, bit by bit, where alpha is 1; extended outwards where alpha is 0."""
    background: FloatImage
    """The plate's own where alpha is 0; extended inwards where alpha is 1."""


def estimate_colours(pixels: FloatImage, alpha: FloatImage, *, device: str = "cpu") -> LayerColours:
    """Estimate the colours of both layers of a plate.

    Estimated values keep within the plate's own range, which may be negative and above 1.

    Args:
        pixels: (H, W, 3) float32, scene-linear; NaN and infinity count as 0 and as the largest
            half float in what is estimated.
        alpha: (H, W) float32, 0 to 1.
        device: "cpu", or a torch device; the values agree within rounding.
    """
    clean = pixels
    with np.errstate(all="ignore"):
        if not np.isfinite(pixels.sum()):
            clean = np.nan_to_num(pixels, nan=0.0, posinf=_LARGEST, neginf=-_LARGEST)
    if device == "cpu":
        foreground, background = _estimated(NumpyArrays(), clean, alpha)
    else:
        import torch

        there = [torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (clean, alpha)]
        colours = _estimated(TorchArrays(device), *there)
        foreground, background = (colour.cpu().numpy() for colour in colours)
    own = np.ascontiguousarray(pixels)
    return LayerColours(
        foreground=_replaced(foreground, own, alpha >= 1),
        background=_replaced(background, own, alpha <= 0),
    )


def _replaced(colour: FloatImage, plate: FloatImage, where: Mask) -> FloatImage:
    """Return the colour with the plate's own pixels in some places."""
    return cast(FloatImage, cv2.copyTo(plate, where.view(np.uint8), colour))


def _estimated(arrays: Arrays, pixels: Array, alpha: Array) -> Colours:
    levels = [(pixels, alpha)]
    while max(levels[-1][1].shape) > 2:
        picture, cover = levels[-1]
        levels.append((arrays.halved(picture), arrays.halved(cover)))
    limits = min(float(pixels.min()), 0.0), float(pixels.max())
    colours = _means(*levels[-1])
    for index in reversed(range(len(levels))):
        picture, cover = levels[index]
        if index + 1 < len(levels):
            front, back = (arrays.enlarged(colour, cover.shape) for colour in colours)
            colours = front, back
        steps = _STEPS[min(index, len(_STEPS) - 1)]
        _improve(arrays, picture, cover, colours, steps, limits, whole=index > 0)
    return colours


def _means(pixels: Array, alpha: Array) -> Colours:
    """Return the mean colours of the layers, as images like `pixels`."""
    cover = alpha[:, :, None]
    front, back = (
        0 * pixels + (pixels * share).sum((0, 1)) / (share.sum() + 1e-9)
        for share in (cover, 1 - cover)
    )
    return front, back


def _improve(
    arrays: Arrays,
    pixels: Array,
    alpha: Array,
    colours: Colours,
    steps: int,
    limits: tuple[float, float],
    *,
    whole: bool,
) -> None:
    """Improve both colours of one level in place.

    Args:
        limits: least and largest value of an estimated colour.
        whole: also set the plate's own colours where one layer is alone.
    """
    flat, plate = alpha.reshape(-1), pixels.reshape(-1, 3)
    front, back = (colour.reshape(-1, 3) for colour in colours)
    mixed = arrays.places((flat > 0) & (flat < 1))
    if len(mixed):
        mix = _Mix(arrays, plate, flat, mixed, pixels.shape[1])
        front[mixed], back[mixed] = mix.solved(front[mixed], back[mixed], steps, limits)
    if whole:
        for colour, alone in ((front, flat >= 1), (back, flat <= 0)):
            where = arrays.places(alone)
            colour[where] = plate[where]


class _Mix:
    """The pixels of one level where alpha is partial, and what their neighbours tell of them."""

    def __init__(self, arrays: Arrays, plate: Array, flat: Array, mixed: Array, width: int) -> None:
        """
        Args:
            plate, flat: the level's colours (n, 3) and alphas (n,).
            mixed: the indices of the pixels in it.
            width: of the picture.
        """
        around = _neighbours(arrays, mixed, width, len(flat))
        own, cover = flat[mixed], flat[around]
        rows, self._known = _rows(arrays, mixed, around, len(flat))
        nearness = _EVEN + _UNEVEN * abs(own[:, None] - cover)
        nearness *= around != mixed[:, None]
        shares = own, 1 - own
        weights = (
            nearness * (cover + _LEAST_SHARE) * (cover > 0),
            _STIFFNESS * nearness * (1 - cover + _LEAST_SHARE) * (cover < 1),
        )
        sums = [weight.sum(1) for weight in weights]
        parts = [share / (total + _FIRMNESS) for share, total in zip(shares, sums, strict=True)]
        damping = 1 + parts[0] * own + parts[1] * (1 - own)
        count = len(mixed) + len(self._known)
        self._means = [
            arrays.averages(*_shares(arrays, rows, weight, total), count)
            for weight, total in zip(weights, sums, strict=True)
        ]
        self._arrays, self._plate, self._target = arrays, plate, plate[mixed]
        none = 0 * self._target  # lists as wide as colours are multiplied several times as fast
        self._gains = [none + (part / damping)[:, None] for part in parts]
        self._shares = [none + share[:, None] for share in shares]

    def solved(self, front: Array, back: Array, steps: int, limits: tuple[float, float]) -> Colours:
        """Return better colours (n, 3) of foreground and background."""
        arrays, count = self._arrays, len(front)
        known = self._plate[self._known]
        layers = [arrays.joined(front, known), arrays.joined(back, known)]
        for _ in range(steps):
            means = [arrays.averaged(*pair) for pair in zip(self._means, layers, strict=True)]
            rest = self._target - self._shares[0] * means[0]
            rest -= self._shares[1] * means[1]
            for layer, mean, gain in zip(layers, means, self._gains, strict=True):
                mean += (gain * rest).clip(-_MOST_DROP * abs(mean), None)
                layer[:count] = mean.clip(*limits)
        return layers[0][:count], layers[1][:count]


def _neighbours(arrays: Arrays, places: Array, width: int, count: int) -> Array:
    """Return the indices of the four neighbours, (n, 4); of the pixel itself at the border."""
    column = places % width
    inside = (places >= width, places < count - width, column > 0, column < width - 1)
    steps = (-width, width, -1, 1)
    return arrays.stacked(
        [arrays.select(one, places + step, places) for one, step in zip(inside, steps, strict=True)]
    )


def _shares(arrays: Arrays, rows: Array, weights: Array, sums: Array) -> tuple[Array, Array]:
    """Return rows and weights (n, 4) that sum up to 1; a pixel none of whose neighbours holds any
    of the layer takes itself."""
    alone = (sums == 0)[:, None]
    shares = weights / (sums + 1e-12)[:, None]
    if not alone.any():
        return rows, shares
    own = arrays.numbers(0, len(rows))[:, None]
    return arrays.select(alone, own, rows), arrays.select(alone, 0.25 + 0 * shares, shares)


def _rows(arrays: Arrays, mixed: Array, around: Array, count: int) -> tuple[Array, Array]:
    """Number the mixed pixels, and after them the others around them.

    Returns:
        The number of each neighbour (n, 4), and the indices of the others.
    """
    rows = arrays.filled(count, -1)
    rows[around.reshape(-1)] = -2
    rows[mixed] = arrays.numbers(0, len(mixed))
    others = arrays.places(rows == -2)
    rows[others] = arrays.numbers(len(mixed), len(mixed) + len(others))
    return rows[around], others
