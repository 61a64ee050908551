"""Plans of moving shots: a subject, a set, a camera, and how they differ from seed to seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from training.render.scene import Stage
from training.render.shader_tree import Vec3
from training.render.strands import Generator

KEYFRAME_STEP = 12
"""Frames between the keyframes of an articulated shot."""

_STEADY_FRAMES = 28
"""Frames of a steady camera's way: 24, and two before and after the shot."""


@dataclass(frozen=True, kw_only=True)
class CameraMove:
    """A camera that glides from one place to another while it looks at a drifting target."""

    start: Vec3
    end: Vec3
    look_start: Vec3
    look_end: Vec3
    lens_mm: float
    fstop: float
    shake_m: float = 0.003
    steady: bool = False
    """Whether it moves evenly, beside its subject, instead of easing in and out; as fast in a long
    shot as in one of 25 frames."""

    def progress(self, frame: float, frames: range) -> float:
        """Return the share of the way that is done at a frame of a shot."""
        if self.steady:
            return 0.5 + (frame - 0.5 * (frames[0] + frames[-1])) / _STEADY_FRAMES
        share = (frame - frames.start) / max(1, len(frames) - 1)
        return share * share * (3 - 2 * share)

    @property
    def locked_off(self) -> bool:
        return self.start == self.end and self.look_start == self.look_end and not self.shake_m


@dataclass(frozen=True, kw_only=True)
class ShotPlan:
    """A shot's subject, set and camera."""

    name: str
    subject: Callable[[Stage, Generator, range], None]
    place: str
    camera: CameraMove
    subjects: tuple[str, ...] = ()
    """Names of the subjects of a shot that has several; each has an alpha of its own."""
    other_places: tuple[str, ...] = ()
    """Sets of other seeds than 0, besides `place`. Their cameras differ a little, too."""
    articulated: bool = False
    """Whether its limbs move: the subject is lit by its set, and keyframes are 12 frames apart."""

    def place_of(self, seed: int) -> str:
        """Return the set of a seed."""
        places = (self.place, *self.other_places)
        return places[seed % len(places)]

    def camera_of(self, seed: int) -> CameraMove:
        """Return the camera of a seed; seed 0 has the plan's own."""
        if not self.articulated or seed == 0:
            return self.camera
        rng = np.random.default_rng([seed, *b"camera"])
        nearer, shift = rng.uniform(0.9, 1.12), rng.normal(0, 0.06, 3)

        def varied(place: Vec3) -> Vec3:
            x, y, z = np.array(place) * (1, nearer, 1) + shift * (1, 0, 1)
            return float(x), float(y), float(z)

        move = self.camera
        locked_off = rng.random() < 0.4 and not move.steady
        return replace(
            move, start=varied(move.start), end=varied(move.start if locked_off else move.end),
            look_end=move.look_start if locked_off else move.look_end,
            shake_m=0.0 if locked_off else float(rng.uniform(0.001, 0.006)),
        )  # fmt: skip

    def keyframes(self, frames: range) -> set[int]:
        """Return the frames that get a trimap: the first, the last, and some between."""
        if self.articulated:
            return {*frames[::KEYFRAME_STEP], frames[-1]}
        return {frames[0], frames[-1], *(frames[len(frames) // 2 :][:1] if self.subjects else ())}
