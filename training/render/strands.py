"""Hair and fur as arrays of points: roots on a mesh, growth, clumps, curls and frizz.

A set of strands is an array (N, P, 3) in metres: N strands of P
points, root first. Every function is a pure function of its arguments and its random generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Generator = np.random.Generator


@dataclass(frozen=True, kw_only=True)
class Roots:
    """The roots of strands: positions (N, 3) and unit normals (N, 3)."""

    positions: Array
    normals: Array

    def keep(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> Roots:
        return Roots(positions=self.positions[chosen], normals=self.normals[chosen])

    def __len__(self) -> int:
        return len(self.positions)


def scatter_roots(
    vertices: Array, normals: Array, triangles: NDArray[np.int64], count: int, rng: Generator
) -> Roots:
    """Draw `count` roots, evenly by area, on a triangle mesh."""
    corners = vertices[triangles]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(cross, axis=1)
    picked = rng.choice(len(triangles), size=count, p=area / area.sum())
    a, b = np.sqrt(rng.random(count)), rng.random(count)
    weights = np.stack([1 - a, a * (1 - b), a * b], axis=1)
    positions = np.einsum("nk,nkd->nd", weights, corners[picked])
    smooth = np.einsum("nk,nkd->nd", weights, normals[triangles[picked]])
    return Roots(positions=positions, normals=unit(smooth))


def unit(vectors: Array) -> Array:
    """Normalise vectors along the last axis; zero vectors stay zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Array = vectors / np.maximum(length, 1e-9)
    return unit


def grow(
    roots: Roots,
    lengths: Array,
    points: int,
    *,
    lift: float,
    pull: Callable[[Array], Array],
    stiffness: float,
) -> Array:
    """Grow strands (N, points, 3) along the normal, bent towards `pull(positions)`.

    `lift` mixes the first direction from the normal (1) and the pull (0); `stiffness` is how far
    along the strand it lasts, as a power (1 is even).
    """
    step = (lengths / (points - 1))[:, None]
    position = roots.positions.copy()
    strand = [position]
    start = unit(lift * roots.normals + (1 - lift) * pull(position))
    for index in range(1, points):
        share = (index / (points - 1)) ** stiffness
        direction = unit((1 - share) * start + share * pull(position))
        position = position + step * direction
        strand.append(position)
    return np.stack(strand, axis=1)


def nearest(points: Array, centres: Array, chunk: int = 4096) -> NDArray[np.int64]:
    """Find the index of the nearest of `centres` (M, 3) for each of `points` (N, 3)."""
    square = (centres**2).sum(axis=1)
    nearest = [
        np.argmin(square - 2 * points[i : i + chunk] @ centres.T, axis=1)
        for i in range(0, len(points), chunk)
    ]
    return np.concatenate(nearest)


def clump(strands: Array, tufts: int, amount: Array | float, rng: Generator) -> Array:
    """Pull strands towards the middle strand of their tuft, more towards the tip."""
    leaders = rng.choice(len(strands), size=min(tufts, len(strands)), replace=False)
    mine = leaders[nearest(strands[:, 0], strands[leaders, 0])]
    offset = strands[mine] - strands[mine, :1] + strands[:, :1] - strands
    weight = np.linspace(0, 1, strands.shape[1]) ** 1.5
    pinch = (strands[mine, :1] - strands[:, :1]) * weight[None, :, None]
    strength = np.broadcast_to(np.asarray(amount, dtype=float), (len(strands),))
    return strands + strength[:, None, None] * (offset * weight[None, :, None] + pinch)


def frizz(strands: Array, amount_m: float, rng: Generator, *, waves: float = 3.0) -> Array:
    """Add smooth random wander to each strand, zero at the root, `amount_m` at the tip."""
    count, points, _ = strands.shape
    s = np.linspace(0, 1, points)[None, :, None]
    wander = np.zeros_like(strands)
    for octave in (1.0, 2.1):
        phase = rng.uniform(0, 2 * np.pi, (count, 1, 3))
        speed = waves * octave * rng.uniform(0.6, 1.4, (count, 1, 3))
        wander += np.sin(2 * np.pi * speed * s + phase) * rng.normal(0, 0.6 / octave, (count, 1, 3))
    return strands + amount_m * wander * s


def curl(strands: Array, radius_m: float, turns: Array, phase: Array) -> Array:
    """Wind strands into helices of `radius_m` with `turns` (N,) and starting `phase` (N,)."""
    tangent = unit(np.gradient(strands, axis=1))
    across = unit(np.cross(tangent, np.array([0.3, 0.2, 0.93])))
    other = np.cross(tangent, across)
    s = np.linspace(0, 1, strands.shape[1])[None, :]
    angle = 2 * np.pi * turns[:, None] * s + phase[:, None]
    ease = np.minimum(1.0, 4 * s)
    wave = np.cos(angle)[..., None] * across + np.sin(angle)[..., None] * other
    return strands + radius_m * ease[..., None] * wave


def taper(strands: Array, root_m: float, tip_m: float, power: float = 1.5) -> Array:
    """Return the radius at each point (N, P): `root_m` at the root thinning to `tip_m`."""
    s = np.linspace(0, 1, strands.shape[1]) ** power
    return np.broadcast_to(root_m + (tip_m - root_m) * s, strands.shape[:2]).copy()
