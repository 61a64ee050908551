"""Gaits and gestures: the angles of a body's joints through time; NumPy only.

Turning a hanging limb about X by a negative angle moves it forwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from training.render.shader_tree import Vec3
from training.render.skeleton import Angles, Stance, standing
from training.render.strands import Array

SIDES = {"L": 1, "R": -1}
"""A body's sides and the sign of X there in the rest pose."""


@dataclass(frozen=True, kw_only=True)
class Travel:
    """A steady way over the ground: a place, a velocity in metres a frame, and a heading."""

    start: Vec3
    velocity: Vec3 = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    """The heading in radians; 0 faces the camera, a quarter of a turn goes to the right."""
    first: float = 1001.0

    def place(self, frame: float) -> Array:
        return np.array(self.start) + (frame - self.first) * np.array(self.velocity)


@dataclass(frozen=True, kw_only=True)
class Walk:
    """A person's walk, with arms that swing against the legs."""

    travel: Travel
    period: float = 23.0
    """Frames of two steps."""
    phase: float = 0.0
    stride: float = 0.43
    """Swing of the thighs in radians."""
    swing: float = 0.55
    """Swing of the arms in radians."""
    held: Angles = field(default_factory=dict)
    """Bones that do not swing."""

    def __call__(self, frame: float) -> Stance:
        turn = 2 * np.pi * (frame - self.travel.first) / self.period + self.phase
        angles: dict[str, Vec3] = {
            "hips": (0.0, 0.03 * np.cos(turn), 0.09 * np.cos(turn)),
            "spine": (-0.05, 0.0, -0.08 * np.cos(turn)),
            "chest": (0.0, -0.02 * np.cos(turn), -0.1 * np.cos(turn)),
        }
        for name, sign in SIDES.items():
            angles |= _leg(name, turn if sign > 0 else turn + np.pi, self.stride)
            angles |= _arm(name, sign, turn + np.pi if sign > 0 else turn, self.swing)
        root = standing(self.travel.place(frame), self.travel.yaw)
        return Stance(angles=angles | dict(self.held), root=root)


def _leg(name: str, turn: float, stride: float) -> dict[str, Vec3]:
    """Swing a leg that is foremost where `turn` is 0; the knee bends while it comes forwards."""
    thigh = -stride * np.cos(turn) - 0.06
    knee = 0.12 + 0.85 * _lifted(turn, 1.35)
    foot = 0.35 * _lifted(turn, 0.95) - 0.18 * max(0.0, float(np.cos(turn)))
    return {
        f"thigh.{name}": (thigh, 0.0, 0.0),
        f"shin.{name}": (knee, 0.0, 0.0),
        f"foot.{name}": (foot, 0.0, 0.0),
    }


def _arm(name: str, sign: int, turn: float, swing: float) -> dict[str, Vec3]:
    """Swing an arm that is foremost where `turn` is 0, close to the body."""
    forward = 0.5 + 0.5 * float(np.cos(turn - 0.35))
    return {
        f"arm.{name}": (0.1 - swing * float(np.cos(turn)), 0.2 * sign, -0.25 * sign),
        f"forearm.{name}": (-0.18 - 0.6 * forward * swing, 0.08 * sign, 0.0),
        f"hand.{name}": (-0.1, 0.0, 0.0),
    }


def _lifted(turn: float, middle: float) -> float:
    """Return a bump of height 1 around `middle` half turns, one a turn."""
    return float(np.exp(2.2 * (np.cos(turn - np.pi * middle) - 1)))


@dataclass(frozen=True, kw_only=True)
class Paces:
    """A four-legged animal's gait."""

    period: float
    """Frames of a stride."""
    legs: Mapping[str, float]
    """Where in the stride each leg is foremost, 0 to 1."""
    reach: float
    """Swing of the legs in radians."""
    fold: float
    """How far legs fold while they come forwards, in radians."""
    arch: float
    """How far the back bends, in radians."""
    bob_m: float


GALLOP = Paces(
    period=10.5, legs={"hind.L": 0.0, "hind.R": 0.13, "fore.L": 0.5, "fore.R": 0.66},
    reach=0.78, fold=1.15, arch=0.3, bob_m=0.05,
)  # fmt: skip
TROT = Paces(
    period=13.5, legs={"hind.L": 0.0, "fore.R": 0.04, "hind.R": 0.5, "fore.L": 0.54},
    reach=0.45, fold=0.9, arch=0.05, bob_m=0.018,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Run:
    """A four-legged animal that gallops or trots."""

    travel: Travel
    paces: Paces
    phase: float = 0.0

    def __call__(self, frame: float) -> Stance:
        paces = self.paces
        turn = 2 * np.pi * (frame - self.travel.first) / paces.period + self.phase
        bend = paces.arch * float(np.cos(turn - 0.4))
        angles: dict[str, Vec3] = {
            "pelvis": (-bend, 0.0, 0.0),
            "chest": (0.7 * bend, 0.0, 0.0),
            "neck": (0.25 - 0.8 * bend, 0.0, 0.05 * np.sin(turn)),
            "head": (-0.1 + 0.2 * bend, 0.0, 0.0),
            "tail": (0.25 * np.sin(turn + 1) - 0.1, 0.0, 0.25 * np.sin(turn)),
            "brush": (0.3 * np.sin(turn), 0.0, 0.35 * np.sin(turn - 1)),
        }
        for side, sign in SIDES.items():
            flap = 0.25 + 0.45 * float(np.sin(turn + 0.6))
            angles[f"ear.{side}"] = (0.3 * np.sin(turn), -sign * max(0.0, flap), 0.0)
            angles |= _paw("fore", side, turn - 2 * np.pi * paces.legs[f"fore.{side}"], paces)
            angles |= _paw("hind", side, turn - 2 * np.pi * paces.legs[f"hind.{side}"], paces)
        place = self.travel.place(frame)
        place[2] += paces.bob_m * float(np.sin(turn + 0.9))
        return Stance(angles=angles, root=standing(place, self.travel.yaw))


def _paw(end: str, side: str, turn: float, paces: Paces) -> dict[str, Vec3]:
    """Swing a leg that is foremost where `turn` is 0; its joints fold while it comes forwards."""
    swing = -paces.reach * float(np.cos(turn))
    fold = paces.fold * _lifted(turn, 1.45)
    if end == "fore":
        return {
            f"upper.{side}": (swing * 0.9 + 0.25 * fold, 0.0, 0.0),
            f"lower.{side}": (-0.85 * fold, 0.0, 0.0),
            f"paw.{side}": (1.2 * fold - 0.2 * swing, 0.0, 0.0),
        }
    return {
        f"thigh.{side}": (swing - 0.35 * fold, 0.0, 0.0),
        f"shank.{side}": (0.85 * fold + 0.15 * swing, 0.0, 0.0),
        f"hock.{side}": (-0.6 * fold - 0.3 * swing, 0.0, 0.0),
    }


@dataclass(frozen=True, kw_only=True)
class Gesture:
    """A stance that eases from one key to the next."""

    travel: Travel
    keys: Mapping[str, tuple[tuple[float, Vec3], ...]]
    """For each bone its times in frames, increasing, and its angles there."""
    sway: float = 0.02
    """Restless sway in radians."""

    def __call__(self, frame: float) -> Stance:
        angles = {name: _eased(keys, frame) for name, keys in self.keys.items()}
        since = frame - self.travel.first
        x, y, z = angles.get("spine", (0.0, 0.0, 0.0))
        sway = self.sway * np.sin(0.23 * since)
        angles["spine"] = (x + 0.5 * sway, y + sway, z + 2 * sway)
        return Stance(angles=angles, root=standing(self.travel.place(frame), self.travel.yaw))


def _eased(keys: tuple[tuple[float, Vec3], ...], frame: float) -> Vec3:
    times = np.array([time for time, _ in keys])
    values = np.array([angles for _, angles in keys])
    after = int(np.clip(np.searchsorted(times, frame), 1, len(times) - 1)) if len(times) > 1 else 0
    if after == 0:
        x, y, z = values[0]
    else:
        span = times[after] - times[after - 1]
        share = float(np.clip((frame - times[after - 1]) / span, 0, 1))
        ease = share * share * (3 - 2 * share)
        x, y, z = values[after - 1] * (1 - ease) + values[after] * ease
    return float(x), float(y), float(z)
