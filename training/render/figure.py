"""A clothed person with limbs that move: bones, flesh, hands, shoes, and a head of hair.

The rest pose stands with its head's centre at the origin, as `portrait` has it, and its arms held
away from the body; its soles are 1.62 m below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from training.render import materials, meshes
from training.render.dynamics import Pose, Swing
from training.render.flesh import Flesh, tube
from training.render.gait import SIDES
from training.render.meshes import Blob
from training.render.portrait import Hairdo, HeadTurn, Portrait
from training.render.scene import Stage
from training.render.shader_tree import Colour
from training.render.skeleton import Actor, Bone, Motion, Skeleton, bone, limb_bones, mirrored
from training.render.strands import Array, Generator

SOLES_M = -1.62
"""Height of the soles in the rest pose."""

Pattern = Literal["plain", "stripes", "checks", "blotches"]

_SHOULDER, _ELBOW, _WRIST = (0.168, 0.03, -0.25), (0.272, 0.035, -0.52), (0.362, 0.025, -0.765)
_FINGERS = (0.405, 0.015, -0.9)
_HIP, _KNEE, _ANKLE, _TOES = (
    (0.085, 0.035, -0.82), (0.1, 0.02, -1.2), (0.107, 0.045, -1.54), (0.12, -0.13, -1.59)
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Outfit:
    """A person's clothes and skin; linear colours."""

    top: Colour
    second: Colour
    """The pattern's other colour."""
    pattern: Pattern = "plain"
    trousers: Colour = (0.03, 0.04, 0.07)
    shoes: Colour = (0.05, 0.03, 0.02)
    skin: Colour = (0.52, 0.3, 0.2)
    short_sleeves: bool = False
    girth: float = 1.0
    """How wide the clothes are."""


def person_bones() -> list[Bone]:
    """Return the bones of a person, parents first."""
    bones = [
        bone("hips", None, (0, 0.035, -0.8), (0, 0.035, -0.74), 0.15),
        bone("spine", "hips", (0, 0.03, -0.7), (0, 0.03, -0.56), 0.14),
        bone("chest", "spine", (0, 0.03, -0.5), (0, 0.03, -0.22), 0.15),
    ]
    for side, sign in SIDES.items():
        limbs = [
            ("arm", "chest", _SHOULDER, _ELBOW, 0.055),
            ("forearm", f"arm.{side}", _ELBOW, _WRIST, 0.042),
            ("hand", f"forearm.{side}", _WRIST, _FINGERS, 0.035),
            ("thigh", "hips", _HIP, _KNEE, 0.085),
            ("shin", f"thigh.{side}", _KNEE, _ANKLE, 0.055),
            ("foot", f"shin.{side}", _ANKLE, _TOES, 0.045),
        ]
        bones += limb_bones(side, sign, limbs)
    return bones


class Person:
    """A person on the stage; `pose(frame)` moves clothes, hands and hair."""

    def __init__(
        self,
        stage: Stage,
        outfit: Outfit,
        motion: Motion,
        hairdo: Hairdo,
        turn: HeadTurn,
        rng: Generator,
        *,
        frames: range,
        grounded: bool = True,
        swing: Swing | None = None,
    ) -> None:
        """Put a person on the stage.

        Args:
            grounded: the soles stay at the root's height, the lowest one on it. Otherwise the root
                is where the head's centre rests.
        """
        self.outfit = outfit
        soles = [
            (f"foot.{side}", mirrored(point, sign))
            for side, sign in SIDES.items()
            for point in ((0.12, -0.15, SOLES_M), (0.107, 0.085, SOLES_M))
        ]
        self.actor = Actor(Skeleton(person_bones()), motion, soles=soles if grounded else ())
        cloth, flesh = materials.worn(), materials.skin(outfit.skin)
        g = outfit.girth * float(rng.uniform(0.97, 1.04))
        self.parts = [
            self._part(stage, "top", _top(g), cloth, self._top_tint, voxel_m=0.008, folds_m=0.004,
                       bones=("hips", "spine", "chest", "arm", "forearm")),
            self._part(stage, "trousers", _trousers(g), cloth, _flat(outfit.trousers),
                       voxel_m=0.009, folds_m=0.005, bones=("hips", "thigh", "shin")),
            self._part(stage, "shoes", _shoes(), cloth, _flat(outfit.shoes), voxel_m=0.007,
                       bones=("shin", "foot")),
            self._part(stage, "hands", _hands(), flesh, _flat(outfit.skin), voxel_m=0.0035,
                       bones=("forearm", "hand")),
        ]  # fmt: skip
        self.head = Portrait(
            stage, hairdo, turn, rng, skin=outfit.skin, cloth=outfit.top, frames=frames,
            swing=swing, carrier=self._chest,
        )  # fmt: skip
        self.head.key(frames)

    def pose(self, frame: int) -> None:
        for part in self.parts:
            part.pose(frame)
        self.head.pose(frame)

    def hand(self, side: str, frame: float) -> Array:
        """Return where the palm is, (3,)."""
        palm = mirrored((0.385, 0.02, -0.835), SIDES[side])
        return self.actor.bone(f"hand.{side}", frame).apply(np.array(palm))

    def _chest(self, frame: float) -> Pose:
        return self.actor.bone("chest", frame)

    def _part(
        self, stage: Stage, name: str, blobs: list[Blob], material: Any,
        tint: Callable[[Array], Array], *, voxel_m: float, bones: Sequence[str],
        folds_m: float = 0.0,
    ) -> Flesh:  # fmt: skip
        thing = meshes.melt(name, blobs, material, voxel_m=voxel_m, smooth=5)
        return Flesh(stage, self.actor, thing, tint, bones=bones, folds_m=folds_m)

    def _top_tint(self, points: Array) -> Array:
        outfit = self.outfit
        share = patterned(outfit.pattern, points)[:, None]
        tint = np.array(outfit.top) * (1 - share) + np.array(outfit.second) * share
        if outfit.short_sleeves:
            bare = (np.abs(points[:, 0]) > 0.2) & (points[:, 2] < -0.47)
            tint[bare] = outfit.skin
        return tint


def patterned(pattern: Pattern, points: Array) -> Array:
    """Return how much of the second colour is at points (N, 3), 0 to 1."""
    x, y, z = points.T
    share = np.zeros(len(points))
    if pattern == "stripes":
        share = 0.5 + 4 * np.sin(2 * np.pi * z / 0.075)
    elif pattern == "checks":
        across, down = (np.sin(2 * np.pi * a / 0.09) for a in (x + 0.4 * z, z))
        share = 0.5 * (np.clip(0.5 + 3 * across, 0, 1) + np.clip(0.5 + 3 * down, 0, 1))
    elif pattern == "blotches":
        wave = np.sin(31 * x + 2 * np.sin(17 * z)) + np.sin(27 * z + 2 * np.sin(19 * y + 11 * x))
        share = 0.5 + 2.5 * (wave + 0.5 * np.sin(53 * x - 41 * z))
    clipped: Array = np.clip(share, 0, 1)
    return clipped


def _flat(colour: Colour) -> Callable[[Array], Array]:
    return lambda points: np.broadcast_to(np.array(colour), points.shape).copy()


def _top(girth: float) -> list[Blob]:
    """Return torso and sleeves of a loose top that hangs over the trousers."""
    blobs = [
        Blob((0, 0.035, -0.37), (0.172 * girth, 0.112 * girth, 0.19)),
        Blob((0, 0.03, -0.6), (0.15 * girth, 0.108 * girth, 0.2)),
        Blob((0, 0.035, -0.76), (0.163 * girth, 0.118 * girth, 0.1)),
        Blob((0, 0.035, -0.18), (0.085, 0.058, 0.06)),
    ]
    for sign in SIDES.values():
        shoulder, elbow, wrist = (mirrored(p, sign) for p in (_SHOULDER, _ELBOW, _WRIST))
        blobs += tube([(0.07 * sign, 0.035, -0.2), shoulder], [0.055, 0.066])
        blobs += tube([shoulder, elbow, wrist], [0.062 * girth, 0.05 * girth, 0.037 * girth])
    return blobs


def _trousers(girth: float) -> list[Blob]:
    blobs = [Blob((0, 0.04, -0.8), (0.152 * girth, 0.115 * girth, 0.1))]
    for sign in SIDES.values():
        hip, knee, ankle = (mirrored(p, sign) for p in (_HIP, _KNEE, _ANKLE))
        blobs += tube([hip, knee, ankle], [0.093 * girth, 0.068 * girth, 0.058 * girth])
    return blobs


def _shoes() -> list[Blob]:
    blobs: list[Blob] = []
    for sign in SIDES.values():
        blobs += tube([mirrored((0.107, 0.05, -1.5), sign), mirrored((0.107, 0.055, -1.58), sign)],
                      [0.042, 0.043])  # fmt: skip
        blobs += tube([mirrored((0.107, 0.05, -1.58), sign), mirrored((0.12, -0.12, -1.595), sign)],
                      [0.043, 0.034])  # fmt: skip
    return blobs


def _hands() -> list[Blob]:
    """Return wrists, palms and fingers, a little curled."""
    blobs: list[Blob] = []
    for sign in SIDES.values():
        wrist = [(0.35, 0.027, -0.735), (0.372, 0.024, -0.79)]
        blobs += tube([mirrored(p, sign) for p in wrist], [0.027, 0.026])
        for index in range(4):
            across = -0.033 + 0.021 * index
            long = 0.085 - 0.012 * abs(index - 1.3)
            root, knuckle = (0.378, across + 0.025, -0.79), (0.4, 1.15 * across + 0.025, -0.85)
            tip = (0.408, 1.1 * across + 0.02, -0.85 - long)
            row = [mirrored(p, sign) for p in (root, knuckle, tip)]
            blobs += tube(row, [0.015, 0.011, 0.0075])
        thumb = [(0.37, -0.005, -0.785), (0.365, -0.045, -0.825), (0.368, -0.055, -0.865)]
        blobs += tube([mirrored(p, sign) for p in thumb], [0.015, 0.011, 0.009])
    return blobs
