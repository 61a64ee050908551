"""The alpha prior: a first matte from colour affinities, solved small and brought to full size.

The network learns faster what colours do not say than what they say, so it is shown what they say.
At a reduced size the unknown pixels take the mean of what they are joined to: their neighbours by
the matting Laplacian (Levin, Lischinski, Weiss 2008) and, weighing less, the pixels most like them
in colour and place (Chen, Li, Tang 2013). A local linear model of alpha by colour then carries the
result to full size (He, Sun, Tang 2013, "Guided image filtering"; He, Sun 2015, the fast form).

Two priors are made of the same affinities: `local`, where pixels that are alike but apart hardly
count, follows soft edges; `distant`, where they count for more, finds background between strands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vfxmatte.net.dim import PRIORS
from vfxmatte.net.laplacian import STEPS, MattingLaplacian
from vfxmatte.trimaps import box_around, dilate
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels

MOST_PX = 60_000
"""Pixels of the reduced picture, at most: a prior costs the same for any frame size."""

_DISTANT_WEIGHTS = (1e-4, 1e-3)  # of an affinity between distant pixels, by prior
_NEIGHBOURS = ((20, 1e-3), (10, 0.0))  # how many, and what a pixel's distance counts as a colour
_NEAR_PX = 24  # pixels that are known take part so near the unknown ones
_EPSILON = 1e-6  # of the matting Laplacian
_GUIDED_RADIUS_PX, _GUIDED_EPSILON = 2, 1e-5
_TOLERANCE, _ITERATIONS = 1e-4, 500
_MARGIN_PX = _NEAR_PX + 2 * _GUIDED_RADIUS_PX

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


def alpha_priors(image: FloatImage, labels: Labels, *, reduction: int | None = None) -> FloatImage:
    """(H, W, PRIORS) float32 in [0, 1], exactly 0 and 1 where the trimap is certain.

    image: (H, W, 3) float32 network-encoded RGB. labels: (H, W) uint8. reduction: how many pixels
    become one along each axis; None: the smallest power of two from 4 on with which the picture
    has at most `MOST_PX`. Where nothing is certain the priors are 0.5. The same picture gives the
    same bits, whatever the number of threads.
    """
    unknown = labels == UNKNOWN
    known = (labels == FOREGROUND).astype(np.float32)
    priors = np.repeat(known[:, :, None], PRIORS, axis=2)
    if not unknown.any():
        return priors
    if unknown.all():
        return np.full_like(priors, 0.5)
    factor = reduction or usual_reduction(*labels.shape)
    box = box_around(unknown, factor * _MARGIN_PX)
    solved = _Reduced.of(image[box], labels[box], factor).solve()
    priors[unknown] = _enlarged(image[box], solved, factor)[unknown[box]]
    return priors


def usual_reduction(height: int, width: int) -> int:
    """The smallest power of two from 4 on with which the picture has at most `MOST_PX` pixels."""
    factor = 4
    while height * width > MOST_PX * factor * factor:
        factor *= 2
    return factor


@dataclass(frozen=True, kw_only=True, eq=False)
class _Priors:
    """Of the reduced picture: colours (h, w, 3) and alphas (h, w, PRIORS), float64."""

    colours: Floats
    alphas: Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class _Reduced:
    """The reduced picture: (h, w, 3) float64, and its labels; certain where all it covers is."""

    colours: Floats
    labels: Labels

    @classmethod
    def of(cls, image: FloatImage, labels: Labels, factor: int) -> _Reduced:
        height, width = (-(-side // factor) for side in labels.shape)
        below, right = height * factor - labels.shape[0], width * factor - labels.shape[1]
        more = (0, below), (0, right)
        image, labels = np.pad(image, (*more, (0, 0)), "edge"), np.pad(labels, more, "edge")
        blocks = labels.reshape(height, factor, width, factor)
        reduced = np.full((height, width), UNKNOWN, np.uint8)
        for value in (BACKGROUND, FOREGROUND):
            reduced[(blocks == value).all((1, 3))] = value
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return cls(colours=small.reshape(height, width, 3).astype(np.float64), labels=reduced)

    def solve(self) -> _Priors:
        unknown, known = self.labels == UNKNOWN, (self.labels == FOREGROUND).astype(np.float64)
        alphas = np.repeat(known[:, :, None], PRIORS, axis=2)
        near_by = self._adjacent(unknown)
        far_apart = self._distant(unknown)
        for number, weight in enumerate(_DISTANT_WEIGHTS):
            alphas[unknown, number] = _means(near_by + weight * far_apart, unknown, known)
        return _Priors(colours=self.colours, alphas=np.clip(alphas, 0, 1))

    def _adjacent(self, unknown: NDArray[np.bool_]) -> Any:
        """(u, h·w) sparse: affinities of unknown pixels to those around, by their colours."""
        height, width = unknown.shape
        padded = np.pad(self.colours, ((0, max(0, 3 - height)), (0, max(0, 3 - width)), (0, 0)),
                        mode="edge")  # fmt: skip
        picture = torch.from_numpy(padded).permute(2, 0, 1)[None]
        laplacian = MattingLaplacian.of(picture, epsilon=_EPSILON).planes[0].numpy()
        y, x = np.nonzero(unknown)
        rows, columns, values = [], [], []
        for plane, (dy, dx) in zip(laplacian[1:], STEPS[1:], strict=True):
            for sign in (1, -1):
                there_y, there_x = y + sign * dy, x + sign * dx
                inside = (there_y >= 0) & (there_y < height) & (there_x >= 0) & (there_x < width)
                row = np.flatnonzero(inside)
                there = there_y[row], there_x[row]
                at = (y[row], x[row]) if sign == 1 else there
                rows.append(row)
                columns.append(there[0] * width + there[1])
                values.append(-plane[at])
        return _matrix(rows, columns, values, (len(y), unknown.size))

    def _distant(self, unknown: NDArray[np.bool_]) -> Any:
        """(u, h·w) sparse: each unknown pixel and those most like it, known ones counting twice, as
        if these had chosen it too."""
        near = np.flatnonzero(dilate(unknown, _NEAR_PX))
        open_ = unknown.ravel()[near]
        asked, row_of = np.flatnonzero(open_), np.cumsum(open_) - 1
        colours = self.colours.reshape(-1, 3)[near]
        place = np.stack(np.divmod(near, unknown.shape[1]), axis=1)
        rows, columns, values = [], [], []
        for count, weight in _NEIGHBOURS:
            one, other = _nearest(np.concatenate((colours, weight * place), 1), asked, count)
            mutual = open_[other]
            rows += [row_of[one], row_of[other[mutual]]]
            columns += [near[other], near[one[mutual]]]
            values += [np.where(mutual, 1.0, 2.0), np.ones(np.count_nonzero(mutual))]
        return _matrix(rows, columns, values, (len(asked), unknown.size))


def _nearest(points: Floats, asked: Places, count: int) -> tuple[Places, Places]:
    """Pairs of an asked point and one of those nearest to it."""
    _, found = cKDTree(points).query(points[asked], min(count, len(points)))
    one, other = np.repeat(asked, found.size // len(asked)), found.ravel()
    apart = one != other
    return one[apart], other[apart]


def _matrix(
    rows: list[Places], columns: list[Places], values: list[Floats], shape: tuple[int, int]
) -> Any:
    entries = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return scipy.sparse.coo_matrix(entries, shape).tocsr()


def _means(affinities: Any, unknown: NDArray[np.bool_], known: Floats) -> Floats:
    """(u,) what solves a_i = Σ w_ij a_j / Σ w_ij, by conjugate gradients, as far as they get."""
    degree = np.asarray(affinities.sum(axis=1)).ravel()
    matrix = scipy.sparse.diags(degree) - affinities[:, np.flatnonzero(unknown)]
    right = affinities @ np.where(unknown, 0.0, known).ravel()
    return _conjugate_gradients(matrix.tocsr(), right, 1 / np.maximum(degree, 1e-12))


def _conjugate_gradients(matrix: Any, right: Floats, inverse: Floats) -> Floats:
    """From 0.5 on; a prior need not be exact, so the best that was reached is no error."""
    x = np.full_like(right, 0.5)
    residual = right - matrix @ x
    goal = _TOLERANCE * float(np.linalg.norm(residual))
    z = inverse * residual
    step, energy = z, float(residual @ z)
    for _ in range(_ITERATIONS):
        if not float(np.linalg.norm(residual)) > goal:
            break
        moved = matrix @ step
        length = energy / float(step @ moved)
        x = x + length * step
        residual = residual - length * moved
        z = inverse * residual
        energy, before = float(residual @ z), energy
        step = z + (energy / before) * step
    return x


def _enlarged(image: FloatImage, small: _Priors, factor: int) -> FloatImage:
    """(H, W, PRIORS) float32: the local linear models of alpha by colour, read at full size."""
    slope, offset = _linear_models(small)
    height, width = small.alphas.shape[:2]
    size = width * factor, height * factor
    result = np.empty((*image.shape[:2], PRIORS), np.float32)
    for number in range(PRIORS):
        model = np.concatenate((slope[:, :, number], offset[:, :, number, None]), axis=2)
        full = cv2.resize(model.astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        full = full[: image.shape[0], : image.shape[1]]
        alpha = full[:, :, 3]
        for channel in range(3):
            alpha = alpha + full[:, :, channel] * image[:, :, channel]
        result[:, :, number] = np.clip(alpha, 0, 1)
    return result


def _linear_models(small: _Priors) -> tuple[Floats, Floats]:
    """Slopes (h, w, PRIORS, 3) and offsets (h, w, PRIORS) of alpha by colour, smoothed."""
    colours, alphas = small.colours, small.alphas
    mean = _boxed(colours)
    mean_alpha = _boxed(alphas)
    products = _boxed(np.stack([colours[..., i] * colours[..., j] for i, j in _PAIRS], axis=2))
    inverse = _inverse({
        pair: products[..., n] - mean[..., pair[0]] * mean[..., pair[1]]
        + (_GUIDED_EPSILON if pair[0] == pair[1] else 0.0)
        for n, pair in enumerate(_PAIRS)
    })  # fmt: skip
    slopes, offsets = [], []
    for number in range(alphas.shape[2]):
        with_alpha = _boxed(colours * alphas[:, :, number, None])
        shared = with_alpha - mean * mean_alpha[:, :, number, None]
        slope = np.stack([
            sum(inverse[min(i, j), max(i, j)] * shared[..., j] for j in range(3))
            for i in range(3)
        ], axis=2)  # fmt: skip
        slopes.append(_boxed(slope))
        offsets.append(_boxed(mean_alpha[..., number] - (slope * mean).sum(2)))
    return np.stack(slopes, axis=2), np.stack(offsets, axis=2)


_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def _inverse(s: dict[tuple[int, int], Floats]) -> dict[tuple[int, int], Floats]:
    """Of symmetric 3×3 matrices, by their adjugates."""
    a, b, c, d, e, f = (s[pair] for pair in _PAIRS)
    adjugate = (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e,
                a * d - b * b)  # fmt: skip
    determinant = a * adjugate[0] + b * adjugate[1] + c * adjugate[2]
    return {pair: value / determinant for pair, value in zip(_PAIRS, adjugate, strict=True)}


def _boxed(values: Floats) -> Floats:
    side = 2 * _GUIDED_RADIUS_PX + 1
    height, width = values.shape[:2]
    flat = np.ascontiguousarray(values.reshape(height, width, -1))
    blurred = np.empty_like(flat)
    for n in range(flat.shape[2]):
        blurred[:, :, n] = cv2.blur(flat[:, :, n], (side, side), borderType=cv2.BORDER_REFLECT)
    return blurred.reshape(values.shape)
