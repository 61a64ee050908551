"""Twigs and leaves that sway in the wind, as two meshes that are refilled for every frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.render import materials, meshes
from training.render.scene import FPS, Stage
from training.render.shader_tree import Colour, Vec3
from training.render.strands import Array, Generator, unit

_ROWS = 5  # cross-sections of a leaf, three points each
_LEAF_POINTS = 3 * _ROWS
_LEAF_U = np.repeat([0.0, 0.16, 0.38, 0.66, 1.0], 3)  # along the leaf
_LEAF_V = np.outer([0.05, 0.78, 1.0, 0.62, 0.02], [-1.0, 0.0, 1.0]).ravel()  # half width
_LEAF_QUADS = np.array(
    [
        [3 * r + c, 3 * r + c + 1, 3 * r + c + 4, 3 * r + c + 3]
        for r in range(_ROWS - 1)
        for c in (0, 1)
    ]
)
_POINTS = 16


@dataclass(frozen=True, kw_only=True)
class Plant:
    """Boughs with twigs and leaves that hang into the picture; colours are linear."""

    roots: tuple[Vec3, ...]
    """Where boughs begin, in metres."""
    towards: tuple[Vec3, ...]
    """Where they end, in metres."""
    twigs: int = 15
    leaves: int = 15
    leaf_m: float = 0.05
    leaf_width: float = 0.36
    twig_m: float = 0.42
    droop: float = 0.55
    colours: tuple[Colour, ...] = ((0.1, 0.2, 0.018), (0.17, 0.27, 0.025), (0.27, 0.26, 0.03))
    gust: float = 1.0


class Foliage:
    """The plant in its stage; `pose(frame)` bends it in the wind."""

    def __init__(self, stage: Stage, plant: Plant, rng: Generator) -> None:
        self.plant = plant
        self.wind = rng.uniform(0, 2 * np.pi, 4)
        self.spines, self.radii, self.depth = _spines(plant, rng)
        self.leaf_at = _leaves(plant, self.spines, self.depth, rng)
        self.bark = self._mesh(stage, "bark", materials.tinted(roughness=0.8))
        green = materials.tinted(roughness=0.38, translucent=0.5)
        vertices = self._leaf_vertices(1001.0)
        first = _LEAF_POINTS * np.arange(len(self.leaf_at.size))  # bare twigs have none
        faces = (first[:, None, None] + _LEAF_QUADS).reshape(-1, 4)
        tint = np.repeat(self.leaf_at.tint, _LEAF_POINTS, axis=0)
        self.leaves = stage.put(meshes.add_mesh("leaves", vertices, faces, green, tint))

    def _mesh(self, stage: Stage, name: str, material: Any) -> Any:
        vertices = self._bark_vertices(1001.0)
        tube = _tube_faces(_POINTS)
        faces = np.concatenate([tube + 6 * _POINTS * i for i in range(len(self.spines))])
        tint = np.broadcast_to(np.array([0.09, 0.055, 0.035]), vertices.shape).copy()
        return stage.put(meshes.add_mesh(name, vertices, faces, material, tint))

    def pose(self, frame: int) -> None:
        """Bend twigs and flutter leaves for this frame, with their velocity."""
        for thing, shape in ((self.bark, self._bark_vertices), (self.leaves, self._leaf_vertices)):
            travel = shape(frame + 0.5) - shape(frame - 0.5)
            meshes.place_vertices(thing, shape(float(frame)), travel, FPS)

    def _bent(self, points: Array, frame: float) -> Array:
        """Move points by the wind: a slow sway that grows downwards, and gusts."""
        t, a = frame / FPS, self.plant.gust
        run = 2.6 * t - 2.2 * points[..., 0] - 0.8 * points[..., 2]
        gust = 0.55 + 0.45 * np.sin(run + self.wind[0]) + 0.25 * np.sin(2.3 * run + self.wind[1])
        free = np.clip(0.75 - points[..., 2], 0, 1.4)
        sway = 0.06 * a * gust * free
        lift = 0.035 * a * np.sin(3.4 * t + 3.1 * points[..., 0] + self.wind[2]) * free
        deep = 0.03 * a * np.sin(2.7 * t + 4 * points[..., 2] + self.wind[3]) * free
        moved: Array = points + np.stack([sway, deep, lift], axis=-1)
        return moved

    def _spines_at(self, frame: float) -> Array:
        t = frame / FPS
        s = np.linspace(0, 1, _POINTS)[None, :]
        bent = self._bent(self.spines, frame)
        speed = 5.0 + 2.0 * np.sin(np.arange(len(bent)) * 1.7)
        swing = 0.05 * self.plant.gust * np.sin(speed * t + np.arange(len(bent)) * 2.4)
        twig = (self.depth > 0).astype(float)
        bent[..., 0] += (swing * twig)[:, None] * s**1.6
        bent[..., 1] += 0.6 * (np.cos(1.3 * speed * t) * 0.05 * twig)[:, None] * s**1.6
        return bent

    def _bark_vertices(self, frame: float) -> Array:
        spines = self._spines_at(frame)
        tangent = unit(np.gradient(spines, axis=1))
        across = unit(np.cross(tangent, np.array([0.1, 0.95, 0.3])))
        other = np.cross(tangent, across)
        angle = np.linspace(0, 2 * np.pi, 6, endpoint=False)
        ring = (
            np.cos(angle)[:, None] * across[:, :, None] + np.sin(angle)[:, None] * other[:, :, None]
        )
        return (spines[:, :, None] + self.radii[:, :, None, None] * ring).reshape(-1, 3)

    def _leaf_vertices(self, frame: float) -> Array:
        at, t = self.leaf_at, frame / FPS
        spines = self._spines_at(frame)
        low = np.minimum(at.place.astype(int), _POINTS - 2)
        part = (at.place - low)[:, None]
        base = spines[at.spine, low] * (1 - part) + spines[at.spine, low + 1] * part
        flutter = 0.55 * self.plant.gust * np.sin(at.speed * t + at.phase)
        along = unit(at.along + flutter[:, None] * 0.5 * at.across)
        across = unit(at.across + flutter[:, None] * np.cross(at.along, at.across))
        normal = np.cross(along, across)
        u, v = _LEAF_U, _LEAF_V
        curl = -0.22 * u**2 + 0.16 * np.abs(v)
        size = at.size[:, None, None]
        wide = self.plant.leaf_width
        shape = u[None, :, None] * along[:, None] + wide * v[None, :, None] * across[:, None]
        leaves: Array = base[:, None] + size * (shape + curl[None, :, None] * normal[:, None])
        return leaves.reshape(-1, 3)


@dataclass(frozen=True, kw_only=True)
class _Leaves:
    """The places of leaves: spine and position on it, axes, size in metres, flutter and colour."""

    spine: Any
    place: Array
    along: Array
    across: Array
    size: Array
    speed: Array
    phase: Array
    tint: Array


def _spines(plant: Plant, rng: Generator) -> tuple[Array, Array, Any]:
    """Create boughs and twigs (S, 16, 3), radii (S, 16), and 0 for a bough, 1 for a twig."""
    s = np.linspace(0, 1, _POINTS)[:, None]
    spines, radii, depth = [], [], []
    for root, target in zip(plant.roots, plant.towards, strict=True):
        start, end = np.array(root), np.array(target)
        bough = (
            start + (end - start) * s + np.sin(s * 3 + rng.uniform(0, 6)) * rng.normal(0, 0.05, 3)
        )
        bough[:, 2] -= plant.droop * 0.22 * s[:, 0] ** 2
        spines.append(bough)
        radii.append(0.011 * (1 - 0.8 * s[:, 0]))
        depth.append(0)
        for _ in range(plant.twigs):
            spines.append(_twig(plant, bough, rng))
            radii.append(0.0026 * (1 - 0.75 * s[:, 0]))
            depth.append(1)
    return np.stack(spines), np.stack(radii), np.array(depth)


def _twig(plant: Plant, bough: Array, rng: Generator) -> Array:
    at = rng.uniform(0.12, 1.0) * (_POINTS - 1)
    low = min(int(at), _POINTS - 2)
    base = bough[low] + (bough[low + 1] - bough[low]) * (at - low)
    heading = unit(bough[low + 1] - bough[low]) + rng.normal(0, 0.75, 3) * np.array([1, 0.7, 1])
    direction = unit(heading)
    points, length = [base], plant.twig_m * rng.uniform(0.5, 1.3)
    for index in range(_POINTS - 1):
        fall = np.array([0, 0, -plant.droop]) * (index / _POINTS)
        direction = unit(direction + 0.35 * fall + rng.normal(0, 0.05, 3))
        points.append(points[-1] + direction * length / (_POINTS - 1))
    return np.stack(points)


def _leaves(plant: Plant, spines: Array, depth: Any, rng: Generator) -> _Leaves:
    twigs = np.flatnonzero(depth > 0)
    count = len(twigs) * plant.leaves
    spine = np.repeat(twigs, plant.leaves)
    place = rng.uniform(0.1, 1.0, count) * (_POINTS - 1)
    low = np.minimum(place.astype(int), _POINTS - 2)
    stem = unit(spines[spine, low + 1] - spines[spine, low])
    along = unit(stem + rng.normal(0, 0.65, (count, 3)) + np.array([0, 0, -0.45]))
    across = unit(np.cross(along, rng.normal(0, 1, (count, 3)) + np.array([0, 1.2, 0])))
    colour = np.array(plant.colours)[rng.integers(0, len(plant.colours), count)]
    return _Leaves(
        spine=spine,
        place=place,
        along=along,
        across=across,
        size=plant.leaf_m * rng.uniform(0.55, 1.25, count),
        speed=rng.uniform(7, 15, count),
        phase=rng.uniform(0, 2 * np.pi, count),
        tint=np.clip(colour * rng.uniform(0.7, 1.4, (count, 1)), 0, 0.9),
    )


def _tube_faces(points: int) -> meshes.Faces:
    row, column = np.meshgrid(np.arange(points - 1), np.arange(6), indexing="ij")
    start, right = row * 6, (column + 1) % 6
    quads = [start + column, start + right, start + 6 + right, start + 6 + column]
    return np.stack(quads, axis=-1).reshape(-1, 4)
