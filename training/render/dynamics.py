"""Simulation of swinging hair: guide strands as chains of points, against ellipsoids.

Position-based: each substep moves points by inertia, gravity and wind, then restores the segment
lengths (Müller et al. 2007, Position Based Dynamics; the rest is corrected from the root outwards
and does not count as speed), draws the hair near the roots back to the groomed shape, and
pushes points out of the body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from training.render.strands import Array

GRAVITY = np.array([0.0, 0.0, -9.81])
SUBSTEPS = 6
RELAXATIONS = 10


@dataclass(frozen=True)
class Ellipsoid:
    """An obstacle for hair; `follows_head` moves it with the head."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    follows_head: bool = True


@dataclass(frozen=True)
class Pose:
    """A rigid placement: rotation (3, 3) and translation (3,)."""

    rotation: Array
    translation: Array

    def apply(self, points: Array) -> Array:
        """Move points (…, 3) from the body's space to the world."""
        return points @ self.rotation.T + self.translation

    def after(self, first: Pose) -> Pose:
        """Return the placement that does `first`, then this one."""
        return Pose(self.rotation @ first.rotation, self.apply(first.translation))

    def undo(self, points: Array) -> Array:
        """Move points (…, 3) from the world to the body's space."""
        return (points - self.translation) @ self.rotation


@dataclass(frozen=True, kw_only=True)
class Swing:
    """The motion of hair."""

    drag: float = 4.5
    """Drag per second."""
    hold: float = 0.22
    """Share of the strand, from the root, that keeps the groomed shape."""
    wind: float = 2.6
    """Acceleration by the wind in m/s²."""
    seed_phase: float = 0.0
    """Phase of the gusts."""


def simulate(
    groomed: Array,
    pose_at: Callable[[float], Pose],
    obstacles: list[Ellipsoid],
    swing: Swing,
    frames: range,
    *,
    fps: int,
    warm_up: int = 30,
    body_at: Callable[[float], Pose] | None = None,
) -> dict[float, Array]:
    """Simulate guide strands: (G, P, 3) in world space at every frame and half frame of `frames`.

    `groomed` is (G, P, 3) in the head's own space. Before the first frame the hair settles for
    `warm_up` frames: with the head at rest, or on a body that is already under way.

    Args:
        body_at: where a moving body puts the obstacles that do not follow the head.
    """
    rest = Pose(np.eye(3), np.zeros(3))

    def poses(time: float) -> tuple[Pose, Pose]:
        if body_at is None:
            return pose_at(max(time, frames.start)), rest
        return pose_at(time), body_at(time)

    first = poses(frames.start - warm_up)
    now = before = _push_out(first[0].apply(groomed), first, obstacles)
    length = np.linalg.norm(np.diff(groomed, axis=1), axis=-1, keepdims=True)
    ticks: list[Array] = []
    for tick in range(-warm_up * SUBSTEPS, (len(frames) - 1) * SUBSTEPS + 1):
        time = frames.start + tick / SUBSTEPS
        placed = poses(time)
        now, before = _substep(now, before, groomed, length, placed, obstacles, swing, time, fps)
        if tick >= 0:
            ticks.append(now)
    half = SUBSTEPS // 2
    return {frames.start + i / SUBSTEPS: _steadied(ticks, i) for i in range(0, len(ticks), half)}


def _steadied(ticks: list[Array], index: int) -> Array:
    """Average the strands at one tick with the ticks around it, to remove contact jitter."""
    reach = min(SUBSTEPS // 2, index, len(ticks) - 1 - index)
    weights = np.hanning(2 * reach + 3)[1:-1]
    around = ticks[index - reach : index + reach + 1]
    return sum(w * t for w, t in zip(weights / weights.sum(), around, strict=True))  # type: ignore


def _substep(
    now: Array,
    before: Array,
    groomed: Array,
    length: Array,
    poses: tuple[Pose, Pose],
    obstacles: list[Ellipsoid],
    swing: Swing,
    time: float,
    fps: int,
) -> tuple[Array, Array]:
    step = 1.0 / (fps * SUBSTEPS)
    force = GRAVITY + _wind(now, swing, time / fps)
    moved = now + (now - before) * np.exp(-swing.drag * step) + force * step**2
    target = poses[0].apply(groomed)
    s = np.linspace(0, 1, now.shape[1])[None, :, None]
    hold = np.exp(-((s / swing.hold) ** 2)) * 0.5
    moved += hold * (target - moved)
    moved[:, :2] = target[:, :2]
    moved = _relax(moved, length)
    outside = _restore(_push_out(moved, poses, obstacles), length)
    soft = outside - moved  # contact only reduces speed
    return outside, _calmed(outside, now + soft, step)


def _calmed(now: Array, before: Array, step: float) -> Array:
    """Return `before` moved so that the speed is smooth along each strand and at most 6 m/s."""
    speed = now - before
    speed[:, 1:-1] = 0.5 * speed[:, 1:-1] + 0.25 * (speed[:, :-2] + speed[:, 2:])
    size = np.linalg.norm(speed, axis=-1, keepdims=True)
    limited: Array = now - speed * np.minimum(1.0, 6.0 * step / np.maximum(size, 1e-9))
    return limited


def _relax(points: Array, length: Array) -> Array:
    """Pull every segment towards its length, both ends equally; the first two points stay."""
    weight = np.ones((1, points.shape[1], 1))
    weight[:, :2] = 0.0
    for sweep in range(2 * RELAXATIONS):
        odd = 1 + sweep % 2
        a, b = slice(odd, -1, 2), slice(odd + 1, None, 2)
        first, second = points[:, a], points[:, b]
        count = min(first.shape[1], second.shape[1])
        first, second = first[:, :count], second[:, :count]
        away = second - first
        size = np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-9)
        wa, wb = weight[:, a][:, :count], weight[:, b][:, :count]
        change = away * ((size - length[:, odd::2][:, :count]) / (size * np.maximum(wa + wb, 1.0)))
        first += wa * change
        second -= wb * change
    return points


def _restore(points: Array, length: Array) -> Array:
    """Restore every segment's length, from the root outwards."""
    for index in range(2, points.shape[1]):
        away = points[:, index] - points[:, index - 1]
        size = np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), 1e-9)
        points[:, index] = points[:, index - 1] + away * (length[:, index - 1] / size)
    return points


def _push_out(points: Array, poses: tuple[Pose, Pose], obstacles: list[Ellipsoid]) -> Array:
    """Push points out of the obstacles, of which some follow the head and some the body."""
    for body in obstacles:
        pose = poses[0 if body.follows_head else 1]
        local = pose.undo(points)
        scaled = (local - body.centre) / body.radii
        depth = np.linalg.norm(scaled, axis=-1, keepdims=True)
        outside = np.where(depth < 1, scaled / np.maximum(depth, 1e-6), scaled)
        points = pose.apply(outside * body.radii + body.centre)
    return points


def _wind(points: Array, swing: Swing, seconds: float) -> Array:
    phase = swing.seed_phase
    gust = 0.6 + 0.5 * np.sin(2.1 * seconds + phase) + 0.3 * np.sin(5.3 * seconds + 2 * phase)
    local = np.sin(9 * points[..., [1, 2, 0]] + 3.7 * seconds + phase)
    wind: Array = swing.wind * (gust * np.array([1.0, 0.35, 0.1]) + 0.8 * local)
    return wind
