"""Nets of thread and thin cloth that hang and swing, as functions of time."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.render import hair, materials, meshes
from training.render.scene import FPS, Stage
from training.render.shader_tree import Colour
from training.render.strands import Array, Generator


class Sheet:
    """A sheet hung from its upper edge that swings and ripples: uv in 0 to 1, metres out."""

    def __init__(self, rng: Generator, *, width_m: float = 1.1, height_m: float = 0.9) -> None:
        self.size = width_m, height_m
        self.phase = rng.uniform(0, 2 * np.pi, 8)
        self.folds = rng.uniform(2.0, 4.5)
        self.speed = rng.uniform(3.5, 5.5)
        self.swing = rng.uniform(0.1, 0.2)
        self.lean = rng.uniform(-0.12, 0.12)

    def at(self, uv: Array, frame: float) -> Array:
        """Return points (…, 3) of the sheet's uv (…, 2) at a time in frames."""
        u, v = uv[..., 0], uv[..., 1]
        t, p = frame / FPS, self.phase
        free = v**1.2
        sway = self.swing * np.sin(self.speed * t + p[0] - 1.1 * v) * free
        fold = (
            0.055
            * (0.4 + v)
            * np.sin(2 * np.pi * self.folds * u + p[1] + 1.4 * np.sin(2 * t + 3 * v))
        )
        ripple = 0.035 * free * np.sin(9 * v - 6 * t + 5 * u + p[2])
        x = (u - 0.5) * self.size[0] * (1 - 0.1 * free) + sway + self.lean * v
        sag = 0.05 * np.sin(np.pi * np.clip(2 * u % 1, 0, 1))
        z = 0.5 - v * self.size[1] * (1 - 0.25 * np.abs(sway)) - sag * (1 - v)
        y = fold + ripple + 0.1 * np.sin(self.speed * t * 0.8 + p[3]) * free
        return np.stack([x, y, z], axis=-1)


class Net:
    """A net of knotted thread, with frayed ends; `pose(frame)` swings it."""

    def __init__(self, stage: Stage, rng: Generator, *, meshes_across: int, colour: Colour) -> None:
        self.sheet = Sheet(rng)
        self.uv = _threads(meshes_across, rng)
        first = self.sheet.at(self.uv, 1001.0)
        thick = rng.uniform(0.0012, 0.0024)
        radii = np.full(first.shape[:2], thick) * rng.uniform(0.6, 1.2, (len(first), 1))
        tint = np.array(colour) * rng.uniform(0.6, 1.4, (len(first), 1))
        material = materials.tinted(roughness=0.8)
        self.threads = hair.add_curves(stage, first, radii, np.clip(tint, 0, 0.95), material)

    def pose(self, frame: int) -> None:
        before, after = (self.sheet.at(self.uv, frame + d) for d in (-0.5, 0.5))
        hair.place_curves(self.threads, self.sheet.at(self.uv, float(frame)), after - before)


class Veil:
    """A thin cloth that lets the background through; `pose(frame)` swings it."""

    def __init__(self, stage: Stage, rng: Generator, material: Any) -> None:
        self.sheet = Sheet(rng)
        self.uv, faces = meshes.grid(160, 130)
        self.uv = self.uv.copy()
        first = self.sheet.at(self.uv, 1001.0)
        self.cloth = stage.put(meshes.add_mesh("veil", first, faces, material))
        stage.opaque = False

    def pose(self, frame: int) -> None:
        before, after = (self.sheet.at(self.uv, frame + d) for d in (-0.5, 0.5))
        place = self.sheet.at(self.uv, float(frame))
        meshes.place_vertices(self.cloth, place, after - before, FPS)


def _threads(across: int, rng: Generator, points: int = 72) -> Array:
    """Create diagonal threads of a net in uv space (N, points, 2); the lower edge is frayed."""
    s = np.linspace(0, 1, points)
    lines = []
    for index in range(-across, across + 1):
        for sign in (-1, 1):
            start = index / across if sign > 0 else (index + across + 0.5) / across
            u = start + sign * s
            knots = 0.006 * sign * np.sin(2 * np.pi * across * s)
            end = rng.uniform(0.86, 1.0)
            uv = np.stack([u + knots, s * end], axis=1)
            inside = (u > -0.01) & (u < 1.01)
            if inside.sum() > 6:
                low, high = np.flatnonzero(inside)[[0, -1]]
                pick = np.linspace(low, high, points)
                lines.append(
                    np.stack([np.interp(pick, np.arange(points), uv[:, k]) for k in (0, 1)], 1)
                )
    edge = np.stack([s, np.zeros(points)], axis=1)
    return np.stack([*lines, edge])
