"""A dog that runs: bones, flesh, and a coat that is long at tail, chest and haunches.

The rest pose stands on the ground at the origin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.render import materials, meshes, strands
from training.render.flesh import Flesh, Fur, tube
from training.render.gait import SIDES
from training.render.meshes import Blob
from training.render.scene import Stage
from training.render.shader_tree import Colour, Vec3
from training.render.skeleton import Actor, Bone, Motion, Skeleton, bone, limb_bones, mirrored
from training.render.strands import Array, Generator


@dataclass(frozen=True, kw_only=True)
class Coat:
    """The fur's linear colours and the number and length of its strands."""

    back: Colour = (0.12, 0.055, 0.02)
    belly: Colour = (0.5, 0.36, 0.22)
    length_m: float = 0.034
    count: int = 16000


_ELBOW, _WRIST, _PAW = (0.085, -0.19, 0.33), (0.08, -0.215, 0.11), (0.08, -0.265, 0.022)
_KNEE, _HOCK, _TOES = (0.09, 0.19, 0.31), (0.085, 0.36, 0.17), (0.085, 0.29, 0.022)
_SHOULDER, _HIP = (0.08, -0.26, 0.5), (0.08, 0.27, 0.5)


def dog_bones() -> list[Bone]:
    """Return the bones of a dog, parents first."""
    bones = [
        bone("spine", None, (0, 0.02, 0.53), (0, -0.02, 0.53), 0.11),
        bone("pelvis", "spine", (0, 0.1, 0.54), (0, 0.3, 0.53), 0.1),
        bone("chest", "spine", (0, -0.08, 0.53), (0, -0.3, 0.52), 0.12),
        bone("neck", "chest", (0, -0.3, 0.57), (0, -0.43, 0.7), 0.075),
        bone("head", "neck", (0, -0.44, 0.71), (0, -0.63, 0.7), 0.07),
        bone("tail", "pelvis", (0, 0.35, 0.57), (0, 0.5, 0.63), 0.03),
        bone("brush", "tail", (0, 0.5, 0.63), (0, 0.66, 0.74), 0.03),
    ]
    for side, sign in SIDES.items():
        chain = [
            ("ear", "head", (0.055, -0.46, 0.775), (0.1, -0.455, 0.69), 0.022),
            ("upper", "chest", _SHOULDER, _ELBOW, 0.055),
            ("lower", f"upper.{side}", _ELBOW, _WRIST, 0.032),
            ("paw", f"lower.{side}", _WRIST, _PAW, 0.03),
            ("thigh", "pelvis", _HIP, _KNEE, 0.075),
            ("shank", f"thigh.{side}", _KNEE, _HOCK, 0.037),
            ("hock", f"shank.{side}", _HOCK, _TOES, 0.028),
        ]
        bones += limb_bones(side, sign, chain)
    return bones


class Dog:
    """A dog on the stage; `pose(frame)` moves body and fur."""

    def __init__(self, stage: Stage, coat: Coat, motion: Motion, rng: Generator) -> None:
        self.actor = Actor(Skeleton(dog_bones()), motion)
        cloth = materials.worn(sheen=0.1)

        def tint(points: Array) -> Array:
            return 0.6 * _colour(points, coat)

        body = meshes.melt("dog", _blobs(), cloth, voxel_m=0.009, smooth=4)
        grown, tints = _grow(meshes.surface_arrays(body), coat, rng)
        shine = materials.hair(roughness=0.35, random_colour=0.4)
        self.parts: list[Flesh | Fur] = [
            Flesh(stage, self.actor, body, tint),
            Fur(stage, self.actor, grown, tints, shine, radius_m=0.0009),
            *self._features(stage),
        ]

    def _features(self, stage: Stage) -> list[Flesh]:
        wet = materials.plain((0.012, 0.01, 0.009), roughness=0.2)
        nose = [Blob((0, -0.665, 0.7), (0.024, 0.018, 0.018))]
        eyes = [Blob((0.04 * s, -0.548, 0.745), (0.0125,) * 3) for s in SIDES.values()]
        dark = meshes.melt("nose", [*nose, *eyes], wet, voxel_m=0.004, smooth=2)
        around = np.linspace(0, 2 * np.pi, 25)
        flat = np.stack([0.083 * np.sin(around), np.cos(around)], axis=1)
        ring: list[Vec3] = [(x, -0.365 + 0.055 * c, 0.625 + 0.06 * c) for x, c in flat.tolist()]
        band = meshes.melt("collar", tube(ring, [0.011] * 25), materials.worn(), voxel_m=0.004,
                           smooth=2)  # fmt: skip

        def red(points: Array) -> Array:
            return np.broadcast_to(np.array((0.35, 0.02, 0.02)), points.shape)

        return [Flesh(stage, self.actor, thing, red) for thing in (dark, band)]

    def pose(self, frame: int) -> None:
        for part in self.parts:
            part.pose(frame)

    def collar(self, frame: float) -> Array:
        """Return where a leash is fastened, (3,)."""
        return self.actor.bone("neck", frame).apply(np.array((0.0, -0.31, 0.69)))


def _blobs() -> list[Blob]:
    blobs = [
        Blob((0, -0.2, 0.51), (0.108, 0.19, 0.135)),
        Blob((0, 0.03, 0.53), (0.095, 0.2, 0.1)),
        Blob((0, 0.25, 0.52), (0.105, 0.13, 0.105)),
        Blob((0, -0.485, 0.73), (0.07, 0.078, 0.066)),
        *tube([(0, -0.28, 0.56), (0, -0.43, 0.7)], [0.085, 0.062]),
        *tube([(0, -0.52, 0.715), (0, -0.645, 0.69)], [0.046, 0.03]),
        *tube([(0, 0.35, 0.57), (0, 0.5, 0.63), (0, 0.66, 0.74)], [0.028, 0.02, 0.012]),
    ]
    for sign in SIDES.values():
        blobs.append(Blob(mirrored((0.08, -0.455, 0.735), sign), (0.014, 0.035, 0.058),
                          (0.0, -0.45 * sign, 0.0)))  # fmt: skip
        fore = [mirrored(p, sign) for p in (_SHOULDER, _ELBOW, _WRIST, _PAW)]
        hind = [mirrored(p, sign) for p in (_HIP, _KNEE, _HOCK, _TOES)]
        blobs += tube(fore, [0.066, 0.045, 0.026, 0.028])
        blobs += tube(hind, [0.085, 0.06, 0.027, 0.026])
    return blobs


def _colour(points: Array, coat: Coat) -> Array:
    """Return a dark saddle over light legs, chest and muzzle, with ragged borders."""
    x, y, z = points.T
    ragged = 0.03 * np.sin(40 * y + 3 * np.sin(23 * x)) + 0.02 * np.sin(71 * y + 50 * z)
    light = np.clip(0.5 + 9 * (0.44 + ragged - z), 0, 1)
    muzzle = np.clip(0.5 + 12 * (-0.55 - y), 0, 1)
    throat = np.clip(0.5 + 10 * (-0.3 - y - 0.6 * (z - 0.5)), 0, 1) * (z < 0.66)
    light = np.maximum(light, np.maximum(muzzle, throat))[:, None]
    colour: Array = np.array(coat.back) * (1 - light) + np.array(coat.belly) * light
    return colour


def _grow(
    surface: tuple[Array, Array, meshes.Faces], coat: Coat, rng: Generator
) -> tuple[Array, Array]:
    """Grow the strands (N, P, 3) of the rest pose and their colours (N, 3)."""
    roots = strands.scatter_roots(*surface, coat.count, rng)
    x, y, z = roots.positions.T
    bare = (y < -0.635) & (z < 0.71)
    for sign in SIDES.values():
        eye = roots.positions - mirrored((0.04, -0.548, 0.745), sign)
        bare |= np.linalg.norm(eye, axis=1) < 0.017
    roots = roots.keep(~bare)
    x, y, z = roots.positions.T
    length = coat.length_m * rng.uniform(0.6, 1.15, len(roots))
    length *= np.where((z < 0.36) | (y < -0.5), 0.4, 1.0)
    length *= 1 + 2.2 * (y > 0.38) * (z > 0.5) + 0.5 * ((z < 0.45) & (np.abs(x) < 0.06))
    length *= 1 + 0.8 * (np.abs(x) > 0.075) * (y < -0.4)

    def pull(position: Array) -> Array:
        back = np.array([0.0, 1.0, -0.75]) + 0.3 * np.sin(19 * position[:, [1, 2, 0]] + 1.3)
        return strands.unit(back)

    grown = strands.grow(roots, length, 5, lift=0.45, pull=pull, stiffness=1.2)
    tufted = strands.clump(grown, len(grown) // 30, rng.uniform(0.2, 0.7, len(grown)), rng)
    tints = _colour(roots.positions, coat) * rng.uniform(0.7, 1.35, (len(roots), 1))
    return strands.frizz(tufted, 0.003, rng), tints
