"""Affinities between pixels of like colour.

There are two kinds: between neighbours, by the matting Laplacian (Levin, Lischinski, Weiss 2008),
and between pixels that are alike wherever they are (Chen, Li, Tang 2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from vfxmatte.prior.constants import LAPLACIAN_EPSILON, NEAR_PX, NEIGHBOURS
from vfxmatte.prior.laplacian import STEPS
from vfxmatte.prior.neighbours import neighbour_planes
from vfxmatte.prior.region import Places, Region
from vfxmatte.prior.samples import Samples
from vfxmatte.types import FloatImage, Floats

_LEAF_SIZE = 32  # of the k-d tree


@dataclass(frozen=True, kw_only=True, eq=False)
class Affinities:
    """Affinities as a system of equations of the region's u pixels, in their order."""

    degree: Floats
    """(u,) sums of each pixel's affinities."""
    arriving: Floats
    """(u,) sums of affinity times alpha over the known pixels."""
    matrix: Any
    """(u, u) sparse float32, the affinities among unknown pixels."""


def adjacent(pictures: Sequence[FloatImage], region: Region) -> list[Affinities]:
    """Join pixels to those at most two px away, by the colours of each picture (h, w, 3)."""
    stacked = np.stack([picture.transpose(2, 0, 1) for picture in pictures])
    planes = neighbour_planes(stacked, LAPLACIAN_EPSILON, region.unknown)
    pixels, (height, width) = region.pixels[:, None], region.unknown.shape
    count, size = len(STEPS) - 1, height * width
    ahead = np.array([dy * width + dx for dy, dx in STEPS[1:]])
    # Beyond the border they come in again elsewhere, where their affinities are 0.
    columns = np.concatenate((pixels + ahead, pixels - ahead), axis=1)
    columns[columns < 0] += size
    columns[columns >= size] -= size
    places = columns + np.tile(np.arange(count) * size, 2)
    places[:, :count] = pixels + np.arange(count) * size
    values = [own.take(places) for own in planes]
    return joined(region, np.arange(len(pixels)), columns, values)


def distant(colours: FloatImage, region: Region, samples: Samples | None = None) -> Affinities:
    """Join pixels to those most like them in colour (h, w, 3), on every other pixel.

    Known pixels, and samples of other frames, count twice, as if they had chosen the unknown ones
    too."""
    from scipy.spatial import cKDTree

    unknown, square = region.unknown, np.ones((2 * NEAR_PX + 1,) * 2, np.uint8)
    held = cv2.dilate(unknown.astype(np.uint8), square)
    held[::2, 1::2] = held[1::2, ::2] = 0
    near = np.flatnonzero(held)
    rows = np.flatnonzero(held.ravel()[region.pixels])
    own = region.pixels[rows]
    if not len(own):
        return joined(region, rows, own[:, None], [np.zeros((0, 1), np.float32)])[0]
    nearest = []
    for count, weight in NEIGHBOURS:
        points, queries = (_points(colours, places, weight) for places in (near, own))
        if samples is not None:
            points = np.concatenate((points, _sample_points(samples, weight)))
        tree = cKDTree(points, _LEAF_SIZE, balanced_tree=False)
        ranks = range(1, min(count, len(points)) + 1)
        nearest.append(tree.query(queries, ranks, workers=torch.get_num_threads())[1])
    found = np.concatenate(nearest, axis=1)
    sampled = found >= len(near)
    others = np.where(sampled, own[:, None], near[np.where(sampled, 0, found)])
    values = np.where(unknown.ravel()[others], np.float32(1), np.float32(2))
    values *= others != own[:, None]
    chosen = joined(region, rows, others, [values])[0]
    choosing = chosen.matrix.T.tocsr()
    degree, arriving = chosen.degree + np.asarray(choosing.sum(1)).ravel(), chosen.arriving
    if samples is not None and sampled.any():
        alphas = samples.alphas[np.where(sampled, found - len(near), 0)]
        degree[rows] += 2 * np.count_nonzero(sampled, axis=1)
        arriving[rows] += 2 * np.where(sampled, alphas, 0).sum(axis=1, dtype=arriving.dtype)
    return Affinities(degree=degree, arriving=arriving, matrix=chosen.matrix + choosing)


def _points(colours: FloatImage, places: Places, weight: float) -> NDArray[np.floating[Any]]:
    """List colours, and places times a weight if there is one, (n, 3 or 5)."""
    listed = colours.reshape(-1, 3).take(places, 0)
    if not weight:
        return listed
    return np.column_stack((listed, *(weight * side for side in divmod(places, colours.shape[1]))))


def _sample_points(samples: Samples, weight: float) -> NDArray[np.floating[Any]]:
    """List samples as `_points` does."""
    if not weight:
        return samples.colours
    return np.column_stack((samples.colours, weight * samples.places))


def joined(
    region: Region, rows: Places, columns: Places, values: Sequence[FloatImage]
) -> list[Affinities]:
    """Join some of the unknown pixels, number `rows` (n,), ascending, to k pixels each.

    Args:
        columns: (n, k) pixels of the picture.
        values: (n, k) float32 affinities of each system.
    """
    import scipy.sparse

    count = len(region.pixels)
    known, inside = region.known.take(columns), region.unknown.take(columns)
    ends = np.zeros(count + 1, np.int32)
    ends[rows + 1] = np.count_nonzero(inside, axis=1)
    ends = ends.cumsum(dtype=np.int32)
    listed = np.flatnonzero(inside)
    among = region.numbers.take(columns.take(listed))
    systems = []
    for affinities in values:
        degree, arriving = np.zeros((2, count))
        degree[rows] = affinities.sum(1, dtype=np.float64)
        arriving[rows] = np.einsum("nk,nk->n", affinities, known)
        entries = affinities.take(listed), among, ends
        matrix = scipy.sparse.csr_matrix(entries, (count, count))
        systems.append(Affinities(degree=degree, arriving=arriving, matrix=matrix))
    return systems
