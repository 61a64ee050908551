"""A furry creature that turns: a soft body with eyes, snout, ears and horns, under dense fur."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from training.render import hair, materials, meshes, strands
from training.render.meshes import Blob
from training.render.scene import Stage
from training.render.shader_tree import Colour, Vec3
from training.render.strands import Array, Generator

_EYES: tuple[Vec3, Vec3] = ((-0.095, -0.225, 0.19), (0.095, -0.225, 0.19))


@dataclass(frozen=True, kw_only=True)
class Coat:
    """The fur's linear colours, length and number of strands, and the colour of the eyes."""

    back: Colour = (0.16, 0.075, 0.028)
    belly: Colour = (0.62, 0.43, 0.26)
    stripes: Colour = (0.035, 0.02, 0.014)
    length_m: float = 0.085
    count: int = 60000
    iris: Colour = (0.55, 0.23, 0.02)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """The motion: yaw from `start` to `end` radians between two frames, with a bob in metres, and a
    steady walk from one place to another."""

    start: float = -0.85
    end: float = 0.8
    first: float = 1003.0
    last: float = 1021.0
    bob_m: float = 0.012
    walk_from: Vec3 = (0.0, 0.0, 0.0)
    walk_to: Vec3 = (0.0, 0.0, 0.0)

    def yaw(self, frame: Array | float) -> Array:
        share = np.clip((np.asarray(frame, float) - self.first) / (self.last - self.first), 0, 1)
        ease = share * share * (3 - 2 * share)
        wobble = 0.04 * np.sin(0.35 * (np.asarray(frame, float) - self.first))
        return self.start + (self.end - self.start) * ease + wobble

    def place(self, frame: Array | float) -> Array:
        """Return where the creature stands, (..., 3)."""
        since = np.asarray(frame, float) - self.first
        share = (since / (self.last - self.first))[..., None]
        path = np.array(self.walk_from) * (1 - share) + np.array(self.walk_to) * share
        path[..., 2] += self.bob_m * np.sin(0.55 * since)
        return path


class Creature:
    """The creature in its stage; `pose(frame)` moves body and fur."""

    def __init__(self, stage: Stage, coat: Coat, turn: Turn, rng: Generator) -> None:
        self.turn = turn
        self.coat = coat
        skin = materials.skin((0.09, 0.05, 0.035))
        self.body = stage.put(meshes.melt("creature", _blobs(rng), skin, voxel_m=0.012, smooth=6))
        self.parts = [self.body, *self._features(stage)]
        roots = _roots(self.body, coat, rng)
        self.rest = _fur(roots, coat, rng)
        tint = _tint(self.rest[:, 0], roots.normals, coat, rng)
        radii = strands.taper(self.rest, 0.0011, 0.00018)
        shine = materials.hair(roughness=0.32, random_colour=0.4)
        self.fur = hair.add_curves(stage, self.rest, radii, tint, shine)
        self.flutter = rng.uniform(0, 2 * np.pi, len(self.rest))

    def _features(self, stage: Stage) -> list[Any]:
        ball, faces = meshes.sphere(48, 32)
        eye = materials.eye(self.coat.iris)
        parts = []
        for centre in _EYES:
            thing = stage.put(meshes.add_mesh("eye", ball, faces, eye))
            thing.scale = (0.05,) * 3
            thing.delta_location = centre
            parts.append(thing)
        nose = materials.plain((0.012, 0.009, 0.008), roughness=0.18)
        blob = [
            Blob((0.0, -0.37, 0.075), (0.046, 0.03, 0.03)),
            Blob((0, -0.365, 0.05), (0.02,) * 3),
        ]
        parts.append(stage.put(meshes.melt("nose", blob, nose, voxel_m=0.006, smooth=6)))
        horn = materials.plain((0.23, 0.17, 0.11), roughness=0.35)
        for side in (-1, 1):
            parts.append(stage.put(_horn(side, horn)))
        return parts

    def key(self, frames: range) -> None:
        """Key the rigid parts on every frame of `frames`, so that they blur."""
        for part in self.parts:
            local = np.array(part.delta_location)
            part.delta_location = (0, 0, 0)
            for frame in frames:
                yaw = float(self.turn.yaw(frame))
                turned = _about_z(local[None], np.array([yaw]))[0]
                part.location = tuple(turned + self.turn.place(frame))
                part.rotation_euler = (0.0, 0.0, yaw)
                part.keyframe_insert("location", frame=frame)
                part.keyframe_insert("rotation_euler", frame=frame)

    def pose(self, frame: int) -> None:
        """Move the fur to its place on this frame, tips lagging behind the roots."""
        before, after = self._fur_at(frame - 0.5), self._fur_at(frame + 0.5)
        hair.place_curves(self.fur, self._fur_at(frame), after - before)

    def _fur_at(self, frame: float) -> Array:
        s = np.linspace(0, 1, self.rest.shape[1])
        late = frame - 2.2 * s**1.5
        turned = _about_z(self.rest, self.turn.yaw(late)[None, :])
        turned += self.turn.place(late)[None]
        gust = 0.004 * np.sin(0.5 * frame + 9 * self.rest[:, 0, 0] + 0.6 * self.flutter)
        turned[..., 0] += gust[:, None] * s**2
        return turned


def _about_z(points: Array, yaw: Array) -> Array:
    cos, sin = np.cos(yaw), np.sin(yaw)
    x = cos * points[..., 0] - sin * points[..., 1]
    y = sin * points[..., 0] + cos * points[..., 1]
    return np.stack([x, y, points[..., 2]], axis=-1)


def _blobs(rng: Generator) -> list[Blob]:
    fat = rng.uniform(0.95, 1.08)
    blobs = [
        Blob((0, 0.03, -0.42), (0.36 * fat, 0.33 * fat, 0.42)),
        Blob((0, 0, -0.05), (0.25, 0.24, 0.22)),
        Blob((0, -0.02, 0.15), (0.235, 0.225, 0.205)),
        Blob((0, -0.2, 0.06), (0.125, 0.16, 0.09)),
        Blob((0, -0.2, -0.02), (0.1, 0.13, 0.06)),
        Blob((0, -0.17, 0.25), (0.15, 0.09, 0.045)),
    ]
    for side in (-1, 1):
        blobs.append(Blob((0.135 * side, -0.12, 0.07), (0.1, 0.11, 0.09)))
        blobs.append(Blob((0.37 * side, -0.06, -0.42), (0.1, 0.12, 0.26), (0.35, -0.25 * side, 0)))
        blobs.append(Blob((0.26 * side, 0.02, 0.24), (0.035, 0.075, 0.13), (0, 0.75 * side, 0)))
    return blobs


def _horn(side: int, material: Any) -> Any:
    uv, faces = meshes.grid(20, 40)
    along, around = uv[:, 1], 2 * np.pi * uv[:, 0]
    angle = 0.15 + 1.1 * along
    spine = np.stack(
        [side * (0.11 + 0.1 * np.sin(angle)), 0.02 + 0.1 * along**2, 0.31 + 0.15 * along], 1
    )
    ridges = 1 + 0.07 * np.sin(70 * along)
    radius = 0.034 * (1 - 0.93 * along) * ridges
    ring = np.stack([np.cos(around), np.sin(around), 0 * around], axis=1) * radius[:, None]
    return meshes.add_mesh("horn", spine + ring, faces, material)


def _roots(body: Any, coat: Coat, rng: Generator) -> strands.Roots:
    roots = strands.scatter_roots(*meshes.surface_arrays(body), coat.count, rng)
    bare = np.zeros(len(roots), dtype=bool)
    for eye in _EYES:
        bare |= np.linalg.norm(roots.positions - eye, axis=1) < 0.056
    bare |= np.linalg.norm(roots.positions - (0, -0.365, 0.07), axis=1) < 0.045
    bare |= roots.positions[:, 2] < -0.6
    return roots.keep(~bare)


def _fur(roots: strands.Roots, coat: Coat, rng: Generator) -> Array:
    place = roots.positions
    face = np.exp(-(((place - (0, -0.3, 0.1)) / (0.19, 0.16, 0.16)) ** 2).sum(axis=1))
    length = coat.length_m * (1 - 0.68 * face) * rng.uniform(0.65, 1.15, len(roots))
    length *= 1 + 0.5 * (place[:, 2] < -0.08)
    stray = rng.random(len(roots)) < 0.07
    length[stray] *= rng.uniform(1.1, 1.8, stray.sum())

    def pull(position: Array) -> Array:
        down = np.array([0.0, 0.25, -1.0]) + 0.35 * np.sin(7 * position[:, [1, 2, 0]] + 1.3)
        return strands.unit(down)

    grown = strands.grow(roots, length, 7, lift=0.62, pull=pull, stiffness=1.3)
    tufted = strands.clump(grown, len(grown) // 45, rng.uniform(0.35, 0.8, len(grown)), rng)
    wild = strands.frizz(tufted, 0.006, rng)
    wild[stray] = strands.frizz(grown[stray], 0.014, rng)
    return wild


def _tint(place: Array, normals: Array, coat: Coat, rng: Generator) -> Array:
    belly = np.clip(-normals[:, 1] * 1.4 - 0.25, 0, 1) * (place[:, 2] < 0.02)
    belly = np.maximum(belly, np.exp(-(((place - (0, -0.3, 0.0)) / 0.13) ** 2).sum(axis=1)))
    wave = np.sin(34 * place[:, 2] + 5 * np.sin(6 * place[:, 0]) + 4 * place[:, 1])
    stripe = np.clip(2.5 * (wave - 0.3), 0, 1) * np.clip(normals[:, 1] + 0.75, 0, 1) * (1 - belly)
    colour = np.array(coat.back) * (1 - belly[:, None]) + np.array(coat.belly) * belly[:, None]
    colour = colour * (1 - stripe[:, None]) + np.array(coat.stripes) * stripe[:, None]
    tint: Array = np.clip(colour * rng.uniform(0.7, 1.35, (len(place), 1)), 0.002, 0.95)
    return tint
