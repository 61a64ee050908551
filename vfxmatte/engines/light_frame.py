"""A light network on one frame: stage 1 small and whole, corrections where they are needed.

Stage 1 sees the box around the unknown region, reduced until the frame has at most `MOST_PX`
pixels, so that 4K costs what HD costs, and once more at half of that size, where it sees twice as
far. Its maps are read at full size at unknown pixels and mixed with the priors of full size. Both
alphas count by their expected errors, and the coarser one less near what is certain. Where weights
have a stage 2, it corrects the finer one before, in small tiles, where the expected error says so;
a tile sees as far beyond its border as stage 2 reaches: tiles leave no trace. Last, what is still
unsure is corrected along the picture's colour lines, as large as stage 1 sees it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vfxmatte.engines.colour_lines import UNSURE, along_colour_lines
from vfxmatte.network.light import (
    NEAR,
    PRIORS,
    STRIDE,
    LightMatting,
    Maps,
    coarse_share,
    refinement_input,
)
from vfxmatte.network.nearness import nearness
from vfxmatte.network.tiling import reflected
from vfxmatte.prior.magnified import Magnified
from vfxmatte.trimaps import box_around, of_blocks
from vfxmatte.types import FOREGROUND, UNKNOWN, FloatImage, Labels

MOST_PX = 600_000
"""Stage 1 sees a frame reduced until it has at most so many pixels."""

COARSER = 2
"""How much smaller stage 1 sees a frame the second time."""

CONTEXT_PX = 96
"""How far beyond the unknown region stage 1 sees, in its own pixels."""

REFINED_ABOVE = 0.01
"""Expected absolute error of alpha from which on stage 2 corrects a pixel."""

TILE_PX, HALO_PX, TILES_AT_ONCE = 64, 4, 32

_AROUND_PX = 8  # how far beyond what is unsure colours are looked at, in stage 1's pixels

Places = NDArray[np.intp]
Mask = NDArray[np.bool_]
ArrayT = TypeVar("ArrayT", bound=NDArray[Any])


def stage1_reduction(height: int, width: int) -> int:
    """Return how many pixels of a frame become one of stage 1, along each axis.

    It follows from the frame's size, not the unknown region's, so that it stays the same in a shot.
    """
    return max(1, math.ceil(math.sqrt(height * width / MOST_PX)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """A frame to solve.

    image: (H, W, 3) float32 network-encoded. labels: (H, W) uint8. priors: (H, W, PRIORS) float32.
    """

    image: FloatImage
    labels: Labels
    priors: FloatImage

    def picture(self, rows: slice, columns: slice) -> FloatImage:
        """(4 + PRIORS, h, w) float32 of a part: RGB, the trimap as 0, 0.5, 1, and the priors."""
        labels = self.labels[rows, columns]
        trimap = np.where(labels == UNKNOWN, np.float32(0.5), labels / np.float32(255))
        whole = np.concatenate(
            (self.image[rows, columns], trimap[:, :, None], self.priors[rows, columns]), axis=2
        )
        return np.ascontiguousarray(whole.transpose(2, 0, 1), dtype=np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Solved:
    """A frame's result, (H, W) float32 each.

    alpha: in [0, 1], exactly 0 and 1 where the trimap is certain. error: the absolute error of
    alpha that stage 1 expects, 0 where the trimap is certain. prior: the mean of the alpha priors.
    """

    alpha: FloatImage
    error: FloatImage
    prior: FloatImage


def reduced(frame: Frame, factor: int) -> Frame:
    """Reduce a frame as stage 1 sees it: by means, certain where a whole square is."""
    labels = reduced_labels(_whole(frame.labels, factor), factor)
    image, priors = (averaged(values, factor) for values in (frame.image, frame.priors))
    return Frame(image=image, labels=labels, priors=priors)


def averaged(values: FloatImage, factor: int) -> FloatImage:
    """Means over squares of `factor` px, (H, W, …) to (h, w, …), rounded up."""
    height, width = (-(-side // factor) for side in values.shape[:2])
    return _averaged(values, (height, width), factor)


@torch.inference_mode()
def solved(
    network: LightMatting,
    frame: Frame,
    *,
    refine: bool = True,
    coarse: bool = True,
    corrected: bool = True,
) -> Solved:
    """Solve a frame.

    Args:
        refine: False without stage 2.
        coarse: False for one size alone.
        corrected: False without the corrections along colour lines.
    """
    alpha = np.asarray(frame.labels == FOREGROUND, np.float32)
    error, prior = np.zeros_like(alpha), alpha.copy()
    unknown = frame.labels == UNKNOWN
    if not unknown.any():
        return Solved(alpha=alpha, error=error, prior=prior)
    pixels = np.flatnonzero(unknown)
    places = np.divmod(pixels, unknown.shape[1])
    priors = frame.priors.reshape(-1, PRIORS).take(pixels, 0)
    prior[places] = (priors[:, 0] + priors[:, 1] + priors[:, 2]) / PRIORS
    factor = stage1_reduction(*unknown.shape)
    small = _Reduced.of(frame, unknown, factor)
    maps = small.maps(network)
    mixed, log_error = _mixed(priors, small, maps, places)
    alpha[places], error[places] = mixed, np.exp(log_error)
    if refine and network.refinement is not None:
        needed = np.zeros(unknown.shape, bool)
        needed[places] = log_error > math.log(REFINED_ABOVE)
        for tiles in _batches(needed):
            _refine_tiles(network, frame, small, maps, tiles, needed, alpha)
    if coarse:
        smaller = _Reduced.of(frame, unknown, COARSER * factor)
        mixed, log_error = _mixed(priors, smaller, smaller.maps(network), places)
        coarse_error = np.exp(log_error)
        errors = torch.from_numpy(error[places]), torch.from_numpy(coarse_error)
        share = coarse_share(*errors, torch.from_numpy(small.nearness(places))).numpy()
        alpha[places] += share * (mixed - alpha[places])
        error[places] += share * (coarse_error - error[places])
    np.clip(alpha, 0, 1, out=alpha)  # of the mean: what one look is sure of stays exactly 0 or 1
    if corrected:
        device = next(network.parameters()).device
        alpha = corrected_alpha(frame.image, alpha, error, device=device)
    return Solved(alpha=alpha, error=error, prior=prior)


def corrected_alpha(
    image: FloatImage, alpha: FloatImage, error: FloatImage, *, device: torch.device
) -> FloatImage:
    """Correct alpha as `along_colour_lines` does, but as large as stage 1 sees the picture."""
    unsure = error > UNSURE
    if not unsure.any():
        return alpha
    factor = stage1_reduction(*alpha.shape)
    rows, columns = (
        slice(side.start // factor * factor, min(-(-side.stop // factor) * factor, size))
        for side, size in zip(box_around(unsure, _AROUND_PX * factor), alpha.shape, strict=True)
    )
    box, result = (rows, columns), alpha.copy()
    small, own, expected = (averaged(v[box], factor) for v in (image, alpha, error))
    difference = along_colour_lines(small, own, expected, device=device) - own
    places = np.divmod(np.flatnonzero(unsure), alpha.shape[1])
    within = Magnified.of((places[0] - rows.start, places[1] - columns.start), factor)
    moved = alpha[places] + within.read(difference[:, :, None])[:, 0]
    result[places] = moved.clip(0, 1)
    return result


def _mixed(
    priors: FloatImage, small: _Reduced, maps: Maps, places: tuple[Places, ...]
) -> tuple[FloatImage, FloatImage]:
    """Stage 1's unclamped alpha and the logarithm of its expected error at (n,) places."""
    within = Magnified.of((places[0] - small.top, places[1] - small.left), small.factor)
    stacked = torch.cat((maps.added, maps.shares), 1)
    read = torch.from_numpy(small.read(stacked, within))
    mixture = (read[:, 1:].softmax(1) * torch.from_numpy(priors)).sum(1)
    return (read[:, 0] + mixture).numpy(), small.read(maps.log_error, within)[:, 0]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Reduced:
    """Stage 1's input, and where its first pixel lies in the frame."""

    planes: FloatImage
    top: int
    left: int
    factor: int

    @classmethod
    def of(cls, frame: Frame, unknown: Mask, factor: int) -> _Reduced:
        height, width = unknown.shape
        grid = STRIDE * factor
        box = box_around(unknown, CONTEXT_PX * factor)
        top, left = (side.start // grid * grid for side in box)
        bottom, right = (
            -(-min(side.stop, end) // grid) * grid
            for side, end in zip(box, (height, width), strict=True)
        )
        box = slice(top, bottom), slice(left, right)
        return cls(planes=_planes(frame, box, factor), top=top, left=left, factor=factor)

    def maps(self, network: LightMatting) -> Maps:
        """Stage 1's maps on the CPU, float32."""
        weight = next(network.parameters())
        x = torch.from_numpy(self.planes)[None].to(weight.device, weight.dtype)
        maps = network.stage1(x.contiguous(memory_format=torch.channels_last))
        planes = (maps.added, maps.shares, maps.log_error, maps.features)
        added, shares, log_error, features = (plane.float().cpu() for plane in planes)
        return Maps(added=added, shares=shares, log_error=log_error, features=features)

    def nearness(self, places: tuple[Places, ...]) -> FloatImage:
        """(n,) nearness to what is certain, at the finest scale and places of the frame."""
        near = np.maximum(*self.planes[list(NEAR)])
        within = Magnified.of((places[0] - self.top, places[1] - self.left), self.factor)
        return within.read(near[:, :, None])[:, 0]

    def read(self, planes: Tensor, within: Magnified) -> FloatImage:
        """(n, c) values of (1, c, h, w), c up to 4, at places of the box's full size."""
        values = np.ascontiguousarray(planes[0].permute(1, 2, 0).numpy())
        return within.read(values)


def _planes(frame: Frame, box: tuple[slice, slice], factor: int) -> FloatImage:
    """(CHANNELS, h, w) of a box, reduced; it may reach beyond the frame's lower and right edge."""
    rows, columns = box
    size = (rows.stop - rows.start) // factor, (columns.stop - columns.start) // factor
    image, priors = (_averaged(v[box], size, factor) for v in (frame.image, frame.priors))
    labels = _extended(reduced_labels(_whole(frame.labels[box], factor), factor), size)
    trimap = np.where(labels == UNKNOWN, np.float32(0.5), labels / np.float32(255))
    whole = np.concatenate((image, trimap[:, :, None], priors, nearness(labels)), axis=2)
    return np.ascontiguousarray(whole.transpose(2, 0, 1))


def _averaged(values: FloatImage, size: tuple[int, int], factor: int) -> FloatImage:
    """Means over squares of `factor` px, extended to a size (h, w)."""
    if factor > 1:
        values = _whole(values, factor)
        small = values.shape[1] // factor, values.shape[0] // factor
        values = np.asarray(cv2.resize(values, small, interpolation=cv2.INTER_AREA), np.float32)
    return _extended(values, size)


def _whole(values: ArrayT, factor: int) -> ArrayT:
    """The picture extended until its sides are multiples of a factor."""
    height, width = (-(-side // factor) * factor for side in values.shape[:2])
    return _extended(values, (height, width))


def _extended(values: ArrayT, size: tuple[int, int]) -> ArrayT:
    """The picture extended to a size (h, w) at its lower and right edge by reflection."""
    if values.shape[:2] == size:
        return values
    rows, columns = (reflected(n, length) for n, length in zip(values.shape[:2], size, strict=True))
    return cast(ArrayT, np.ascontiguousarray(values[rows][:, columns]))


def reduced_labels(labels: Labels, factor: int) -> Labels:
    """Labels of squares of `factor` px: certain where the whole square is."""
    if factor == 1:
        return labels
    lowest, highest = (of_blocks(ufunc, labels, factor) for ufunc in (np.minimum, np.maximum))
    return np.where(lowest == highest, lowest, np.uint8(UNKNOWN))


@dataclass(frozen=True, kw_only=True)
class _Tile:
    """A core, and what is seen for it, as slices of the frame."""

    core: tuple[slice, slice]
    seen: tuple[slice, slice]

    @property
    def within(self) -> tuple[slice, slice]:
        """The core, as slices of what is seen."""
        rows, columns = (
            slice(core.start - seen.start, core.stop - seen.start)
            for core, seen in zip(self.core, self.seen, strict=True)
        )
        return rows, columns

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.seen
        return rows.stop - rows.start, columns.stop - columns.start


def _batches(needed: Mask) -> Iterator[list[_Tile]]:
    """Tiles with needed pixels, in batches of one shape."""
    waiting: dict[tuple[int, int], list[_Tile]] = {}
    for tile in _tiles(needed):
        batch = waiting.setdefault(tile.shape, [])
        batch.append(tile)
        if len(batch) == TILES_AT_ONCE:
            yield waiting.pop(tile.shape)
    yield from waiting.values()


def _tiles(needed: Mask) -> Iterator[_Tile]:
    height, width = needed.shape
    for top in range(0, height, TILE_PX):
        for left in range(0, width, TILE_PX):
            core = slice(top, min(top + TILE_PX, height)), slice(left, min(left + TILE_PX, width))
            if needed[core].any():
                seen = (
                    slice(max(0, core[0].start - HALO_PX), min(height, core[0].stop + HALO_PX)),
                    slice(max(0, core[1].start - HALO_PX), min(width, core[1].stop + HALO_PX)),
                )
                yield _Tile(core=core, seen=seen)


def _refine_tiles(network: LightMatting, frame: Frame, small: _Reduced, maps: Maps,
                  tiles: list[_Tile], needed: Mask, alpha: FloatImage) -> None:  # fmt: skip
    """Correct unclamped alpha in the tiles' cores where it is needed."""
    refinement = network.refinement
    if refinement is None:
        return
    weight = next(network.parameters())
    picture = torch.from_numpy(np.stack([frame.picture(*tile.seen) for tile in tiles]))
    near = _read(maps, small, tiles)
    mixed = near.alpha(picture[:, 4:])
    seen = refinement_input(picture, mixed, near).to(weight.device, weight.dtype)
    residual = refinement(seen.contiguous(memory_format=torch.channels_last))
    refined = (mixed + residual.float().cpu()).numpy()
    for tile, values in zip(tiles, refined, strict=True):
        chosen = needed[tile.core]
        alpha[tile.core][chosen] = values[0][tile.within][chosen]


def _read(maps: Maps, small: _Reduced, tiles: list[_Tile]) -> Maps:
    """Stage 1's maps at the tiles' pixels, (tiles, n, h, w), bilinearly."""
    whole = torch.cat((maps.added, maps.shares, maps.log_error, maps.features), 1)[0]
    if small.factor == 1:
        cut = [_shifted(tile, small) for tile in tiles]
        read = torch.stack([whole[:, rows, columns] for rows, columns in cut])
    else:
        read = torch.stack([_enlarged(whole, small, tile) for tile in tiles])
    log_error, rest = 1 + PRIORS, 2 + PRIORS
    return Maps(added=read[:, :1], shares=read[:, 1:log_error],
                log_error=read[:, log_error:rest], features=read[:, rest:])  # fmt: skip


def _shifted(tile: _Tile, small: _Reduced) -> tuple[slice, slice]:
    rows, columns = tile.seen
    if rows.start < small.top or columns.start < small.left:
        raise AssertionError("stage 1 sees further than a tile's halo")
    return (
        slice(rows.start - small.top, rows.stop - small.top),
        slice(columns.start - small.left, columns.stop - small.left),
    )


def _enlarged(whole: Tensor, small: _Reduced, tile: _Tile) -> Tensor:
    """(n, h, w): what `interpolate` without aligned corners gives at these pixels."""
    (first, down), (left, across) = (
        _weights(side, start, small.factor, size)
        for side, start, size in zip(
            tile.seen, (small.top, small.left), whole.shape[1:], strict=True
        )
    )
    part = whole[:, first : first + down.shape[1], left : left + across.shape[1]]
    return down @ part @ across.T


def _weights(side: slice, start: int, factor: int, size: int) -> tuple[int, Tensor]:
    """The first small pixel that a side sees, and how much each pixel of the side has of it and of
    those that follow, (pixels, small pixels)."""
    place = (np.arange(side.start - start, side.stop - start) + 0.5) / factor - 0.5
    place = place.clip(0, size - 1)
    lower = np.minimum(np.floor(place).astype(np.int64), max(0, size - 2))
    upper, first = np.minimum(lower + 1, size - 1), int(lower[0])
    weights = np.zeros((len(place), int(upper[-1]) - first + 1), np.float32)
    share, pixels = (place - lower).astype(np.float32), np.arange(len(place))
    np.add.at(weights, (pixels, lower - first), 1 - share)
    np.add.at(weights, (pixels, upper - first), share)
    return first, torch.from_numpy(weights)
