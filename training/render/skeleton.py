"""Skeletons of bones, their stances, and skin that follows them; NumPy only.

A body is made in its rest pose, where it stands upright and faces -Y. A bone turns about its head
(its joint), and carries its children along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from training.render.dynamics import Pose
from training.render.shader_tree import Vec3
from training.render.strands import Array

Angles = Mapping[str, Vec3]
"""Rotation of each bone in radians: about the rest pose's Z, then Y, then X. Missing ones are 0."""


@dataclass(frozen=True, kw_only=True)
class Bone:
    """A bone of the rest pose."""

    name: str
    parent: str | None
    head: Vec3
    """The joint that the bone turns about."""
    tail: Vec3
    radius_m: float
    """Radius of the flesh around it; the skin belongs to the bone that is nearest in radii."""


def bone(name: str, parent: str | None, head: Vec3, tail: Vec3, radius_m: float) -> Bone:
    """Make a bone; a table of them reads better without keywords."""
    return Bone(name=name, parent=parent, head=head, tail=tail, radius_m=radius_m)


def mirrored(point: Vec3, sign: int) -> Vec3:
    """Return a point of the left side, or its mirror image where `sign` is -1."""
    return sign * point[0], point[1], point[2]


def limb_bones(
    side: str, sign: int, limbs: Sequence[tuple[str, str, Vec3, Vec3, float]]
) -> list[Bone]:
    """Return the bones NAME.SIDE of limbs that are described as of the left side.

    Args:
        sign: -1 mirrors them.
        limbs: name, parent, head, tail, and radius in metres.
    """
    return [
        bone(f"{name}.{side}", parent, mirrored(head, sign), mirrored(tail, sign), radius_m)
        for name, parent, head, tail, radius_m in limbs
    ]


@dataclass(frozen=True, kw_only=True)
class Stance:
    """A body's pose at one moment."""

    angles: Angles = field(default_factory=dict)
    root: Pose
    """Where the whole rest pose is put."""


Motion = Callable[[float], Stance]
"""The stance at a time in frames."""


def turned(angles: Vec3) -> Array:
    """Return the (3, 3) matrix that turns about Z, then Y, then X."""
    x, y, z = angles
    return _about(0, x) @ _about(1, y) @ _about(2, z)


def _about(axis: int, angle: float) -> Array:
    matrix = np.eye(3)
    one, two = (axis + 1) % 3, (axis + 2) % 3
    matrix[one, one] = matrix[two, two] = np.cos(angle)
    matrix[one, two], matrix[two, one] = -np.sin(angle), np.sin(angle)
    return matrix


def standing(place: Sequence[float] | Array, yaw: float = 0.0) -> Pose:
    """Return the root of a body that stands at `place` and is turned by `yaw` radians from -Y."""
    return Pose(_about(2, yaw), np.array(place, dtype=float))


class Skeleton:
    """Bones, parents before their children."""

    def __init__(self, bones: Sequence[Bone]) -> None:
        self.bones = list(bones)
        self.index = {bone.name: i for i, bone in enumerate(self.bones)}

    def place(self, stance: Stance) -> dict[str, Pose]:
        """Return each bone's placement, which moves points of the rest pose to the world."""
        placed: dict[str, Pose] = {}
        for bone in self.bones:
            parent = placed[bone.parent] if bone.parent else stance.root
            turn = turned(stance.angles.get(bone.name, (0.0, 0.0, 0.0)))
            joint = np.array(bone.head)
            shift = parent.rotation @ (joint - turn @ joint) + parent.translation
            placed[bone.name] = Pose(parent.rotation @ turn, shift)
        return placed

    def weights(self, points: Array, among: Sequence[str] = ()) -> Array:
        """Return how much each bone moves each of the rest pose's points: (N, J), rows sum to 1.

        Args:
            among: kinds of bones (`arm` is `arm.L` and `arm.R`) that may move them; none: all.
        """
        away = np.stack([_distance(points, b) / b.radius_m for b in self.bones], axis=1)
        if among:
            away[:, [bone.name.split(".")[0] not in among for bone in self.bones]] = np.inf
        pull = np.maximum(away, 0.1) ** -6.0
        pull /= pull.sum(axis=1, keepdims=True)
        pull[pull < 0.02] = 0.0
        share: Array = pull / pull.sum(axis=1, keepdims=True)
        return share

    def matrices(self, stance: Stance) -> Array:
        """Return the placements as (J, 3, 4): rotation and translation."""
        placed = self.place(stance)
        return np.stack(
            [np.column_stack([placed[b.name].rotation, placed[b.name].translation])
             for b in self.bones]
        )  # fmt: skip


def _distance(points: Array, bone: Bone) -> Array:
    """Measure from points (N, 3) to the segment between a bone's head and tail."""
    start, along = np.array(bone.head), np.subtract(bone.tail, bone.head)
    share = np.clip((points - start) @ along / (along @ along), 0, 1)
    distance: Array = np.linalg.norm(points - start - share[:, None] * along, axis=1)
    return distance


def follow(points: Array, weights: Array, matrices: Array) -> Array:
    """Move points (N, 3) or strands (N, P, 3) of the rest pose by weights (N, J)."""
    blended = np.tensordot(weights, matrices, axes=1)
    strands = points if points.ndim == 3 else points[:, None]
    moved: Array = np.einsum("nij,npj->npi", blended[..., :3], strands) + blended[:, None, :, 3]
    return moved.reshape(points.shape)


class Actor:
    """A skeleton in motion."""

    def __init__(
        self, skeleton: Skeleton, motion: Motion, *, soles: Sequence[tuple[str, Vec3]] = ()
    ) -> None:
        """Set the skeleton in motion.

        Args:
            soles: points of the rest pose and their bones. Where there are any, the body is lifted
                or lowered so that the lowest one is at the root's height.
        """
        self.skeleton, self.motion, self._soles = skeleton, motion, list(soles)

    def stance(self, frame: float) -> Stance:
        """Return the stance at a time in frames, with the lowest sole on the ground."""
        stance = self.motion(frame)
        if not self._soles:
            return stance
        placed = self.skeleton.place(stance)
        lowest = min(placed[name].apply(np.array(sole))[2] for name, sole in self._soles)
        lift = np.array([0.0, 0.0, stance.root.translation[2] - lowest])
        root = Pose(stance.root.rotation, stance.root.translation + lift)
        return Stance(angles=stance.angles, root=root)

    def matrices(self, frame: float, *, late: float = 0.0) -> Array:
        """Return the bones' placements at a time in frames, those within the body `late` ones
        before."""
        stance = self.stance(frame)
        if late:
            stance = Stance(angles=self.motion(frame - late).angles, root=stance.root)
        return self.skeleton.matrices(stance)

    def bone(self, name: str, frame: float) -> Pose:
        """Return where a bone is at a time in frames."""
        return self.skeleton.place(self.stance(frame))[name]
