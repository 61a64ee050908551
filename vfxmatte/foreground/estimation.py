"""Estimate the colours of foreground and background from a plate and its alpha.

A multi-level method in the manner of Germer et al. 2020, in scene-linear light. From the plate
reduced to two pixels up to the plate itself, each level begins with the colours of the one before
and improves them where alpha is partial: every pixel moves to the mean of its neighbours, which
count by how much of the layer they hold, and what the plate has beside the mix of both is shared
out between them, by how bright each layer is there and how much texture it has where it is alone.
CPU and GPU agree; any number of threads gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from vfxmatte.foreground.traits import Traits, traits_of
from vfxmatte.types import FloatImage, Mask

if TYPE_CHECKING:
    from vfxmatte.foreground.mixture import Pair
    from vfxmatte.foreground.resampling import Resampling, Tensor

COLOURS_VERSION = 2
"""Raise this when a change of the program changes estimated colours: older files are stale then."""

_STEPS = (3, 12, 30, 60)
"""Improvements of the plate itself, of its half size and so on; the last for all smaller ones, but
never more than there are pixels on a side."""
_TEXTURE_SIDE_PX = 512
"""The longest side of the picture at which texture is measured."""
_STRIP_PX = 131072
"""Pixels of a strip that is improved at once in memory, so that its values stay in the cache."""
_LARGEST = 65504.0
"""The largest finite half float, which infinity counts as."""


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
    foreground, background = _estimated(clean, alpha, device)
    own = np.ascontiguousarray(pixels)
    return LayerColours(
        foreground=_replaced(foreground, own, alpha >= 1),
        background=_replaced(background, own, alpha <= 0),
    )


def _replaced(colour: FloatImage, plate: FloatImage, where: Mask) -> FloatImage:
    """Return the colour with the plate's own pixels in some places."""
    return cast(FloatImage, cv2.copyTo(plate, where.view(np.uint8), colour))


def _estimated(pixels: FloatImage, alpha: FloatImage, device: str) -> tuple[FloatImage, FloatImage]:
    import torch

    from vfxmatte.foreground.resampling import OpenCvResampling, TorchResampling

    resampling = OpenCvResampling() if device == "cpu" else TorchResampling()
    with torch.inference_mode():
        tensors = (
            torch.from_numpy(np.require(one, np.float32, ["C", "W"])).to(device)
            for one in (pixels, alpha)
        )
        front, back = _of_levels(resampling, *tensors, in_strips=device == "cpu")
        return front.cpu().numpy(), back.cpu().numpy()


def _of_levels(resampling: Resampling, pixels: Tensor, alpha: Tensor, *, in_strips: bool) -> Pair:
    levels = [(pixels, alpha)]
    while max(levels[-1][1].shape) > 2:
        picture, cover = levels[-1]
        levels.append((resampling.halved(picture), resampling.halved(cover)))
    small = next(level for level in levels if max(level[1].shape) <= _TEXTURE_SIDE_PX)
    limits = float(pixels.min()), float(pixels.max())
    traits = traits_of(limits, *(one.cpu().numpy() for one in small))
    front, back = _means(*levels[-1])
    for index in reversed(range(len(levels))):
        picture, cover = levels[index]
        if index + 1 < len(levels):
            front, back = (resampling.enlarged(one, cover.shape) for one in (front, back))
        resampling.overlay(front, cover >= 1, picture)
        resampling.overlay(back, cover <= 0, picture)
        steps = min(_STEPS[min(index, len(_STEPS) - 1)], max(cover.shape))
        _improve(picture, cover, (front, back), steps, traits, in_strips=in_strips)
    return front, back


def _means(pixels: Tensor, alpha: Tensor) -> Pair:
    """Return the mean colours of the layers, as images like `pixels`."""
    cover = alpha[:, :, None]
    front, back = (
        0 * pixels + (pixels * share).sum((0, 1)) / (share.sum() + 1e-9)
        for share in (cover, 1 - cover)
    )
    return front, back


def _improve(
    pixels: Tensor, alpha: Tensor, colours: Pair, steps: int, traits: Traits, *, in_strips: bool
) -> None:
    """Improve both colours of one level in place.

    Strips overlap by as much as a pixel reaches, so the values are those of the whole.
    """
    from vfxmatte.foreground.mixture import separated

    height, width = alpha.shape
    strip = max(2 * steps, _STRIP_PX // width) if in_strips else height
    updates: list[tuple[Tensor, Pair]] = []
    for top in range(0, height, strip):
        first = max(0, top - steps)
        rows = slice(first, top + strip + steps)
        front, back = (colour[rows] for colour in colours)
        improved = separated(pixels[rows], alpha[rows], (front, back), steps, traits)
        if improved is not None:
            updates.append(_in_rows(improved, first * width, top * width, (top + strip) * width))
    for places, better in updates:
        for colour, new in zip(colours, better, strict=True):
            colour.view(-1, 3).index_copy_(0, places, new)


def _in_rows(
    improved: tuple[Tensor, Pair], offset: int, begin: int, end: int
) -> tuple[Tensor, Pair]:
    """Return the improved pixels of a strip alone, by their indices in the whole picture."""
    places, (front, back) = improved
    places = places + offset
    part = slice(int((places < begin).sum()), int((places < end).sum()))
    return places[part], (front[part], back[part])
