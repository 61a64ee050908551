"""A head and shoulders with swinging hair: long, straight or curly, of any colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from training.render import dynamics, hair, materials, meshes, strands
from training.render.dynamics import Ellipsoid, Pose, Swing
from training.render.meshes import Blob
from training.render.scene import FPS, Stage
from training.render.shader_tree import Colour
from training.render.strands import Array, Generator


@dataclass(frozen=True, kw_only=True)
class Hairdo:
    """A hairdo: length in metres, linear colours of roots and tips, curls, and strays."""

    length_m: float = 0.48
    root: Colour = (0.07, 0.03, 0.012)
    tip: Colour = (0.34, 0.17, 0.065)
    curl_m: float = 0.0
    curl_turns: float = 0.0
    wave_m: float = 0.006
    lift: float = 0.16
    count: int = 9500
    strays: float = 0.1
    clumping: float = 0.6
    spread_m: float = 0.007
    radius_m: float = 0.00042
    points: int = 17
    parting: float = 0.12


@dataclass(frozen=True, kw_only=True)
class HeadTurn:
    """A head's yaw from `start` to `end` radians between two frames, with a nod and a tilt."""

    start: float = 2.55
    end: float = 1.1
    first: float = 1003.0
    last: float = 1012.0
    nod: float = 0.12
    tilt: float = 0.06

    def angles(self, frame: float) -> tuple[float, float, float]:
        """Return Euler XYZ (nod, tilt, yaw) in radians."""
        share = float(np.clip((frame - self.first) / (self.last - self.first), 0, 1))
        ease = share * share * (3 - 2 * share)
        after = max(0.0, frame - self.last)
        settle = 0.05 * np.sin(0.6 * after) * np.exp(-0.25 * after)
        yaw = self.start + (self.end - self.start) * (ease + settle)
        bump = float(np.sin(np.pi * ease))
        drift = 0.015 * np.sin(0.31 * frame)
        return self.nod * bump + drift, self.tilt * (2 * ease - 1), yaw

    def pose(self, frame: float) -> Pose:
        x, y, z = self.angles(frame)
        return Pose(_euler(x, y, z), np.zeros(3))


_SHOULDERS = [
    Blob((0, 0.035, -0.39), (0.19, 0.115, 0.25)),
    Blob((0, 0.035, -0.165), (0.085, 0.05, 0.055)),
    *(Blob((0.08 * s, 0.035, -0.19), (0.08, 0.05, 0.04), (0, 0.35 * s, 0)) for s in (-1, 1)),
    *(Blob((0.155 * s, 0.03, -0.24), (0.07, 0.062, 0.055)) for s in (-1, 1)),
    *(Blob((0.195 * s, 0.02, -0.4), (0.05, 0.058, 0.17)) for s in (-1, 1)),
]

_OBSTACLES = [
    Ellipsoid((0, 0.015, 0.068), (0.083, 0.1, 0.09)),
    Ellipsoid((0, -0.02, -0.01), (0.066, 0.078, 0.095)),
    Ellipsoid((0, 0.02, -0.12), (0.06, 0.06, 0.11)),
    Ellipsoid((0, 0.035, -0.39), (0.2, 0.125, 0.262), follows_head=False),
    *(
        Ellipsoid((0.155 * s, 0.03, -0.24), (0.08, 0.074, 0.067), follows_head=False)
        for s in (-1, 1)
    ),
    Ellipsoid((0, 0.035, -0.17), (0.13, 0.06, 0.06), follows_head=False),
]


class Portrait:
    """A person in the stage; `key` animates the head, `pose` moves the hair."""

    def __init__(
        self,
        stage: Stage,
        hairdo: Hairdo,
        turn: HeadTurn,
        rng: Generator,
        *,
        skin: Colour,
        cloth: Colour,
        frames: range,
        swing: Swing | None = None,
        carrier: Callable[[float], Pose] | None = None,
    ) -> None:
        """Put a person on the stage.

        Args:
            carrier: where a moving body puts the shoulders at a time in frames; it brings a torso
                of its own. None rests the shoulders below the origin, with a torso.
        """
        self.turn, self.hairdo, self.carrier = turn, hairdo, carrier
        tone = materials.skin(skin)
        self.head = stage.put(meshes.melt("head", _head(rng), tone, voxel_m=0.003, smooth=5))
        if carrier is None:
            knit = materials.knit(cloth)
            stage.put(meshes.melt("torso", _SHOULDERS, knit, voxel_m=0.008, smooth=12))
        self.parts = [self.head, *_eyes(stage, rng)]
        surface = meshes.surface_arrays(self.head)
        self._grow_hair(stage, surface, rng, frames, swing or Swing(seed_phase=rng.uniform(0, 6)))

    def _grow_hair(
        self, stage: Stage, surface: Any, rng: Generator, frames: range, swing: Swing
    ) -> None:
        do = self.hairdo
        guides = _scalp(surface, 420, do, rng)
        groomed = _groom(guides, do, rng)
        self.guides = dynamics.simulate(
            groomed, self._place, _OBSTACLES, swing, frames, fps=FPS, body_at=self.carrier
        )
        roots = _scalp(surface, do.count, do, rng)
        self.lock = _Locks(roots, guides, do, rng)
        strand = self._hair_at(float(frames.start))
        shade = rng.uniform(0.65, 1.4, (len(roots), 1))
        mixed = rng.beta(1.3, 2.2, (len(roots), 1))
        tint = np.clip(
            (np.array(do.root) * (1 - mixed) + np.array(do.tip) * mixed) * shade, 0.002, 0.93
        )
        radii = strands.taper(strand, do.radius_m, 0.3 * do.radius_m, 2.5)
        material = materials.hair(roughness=0.24, random_colour=0.35)
        self.hair = hair.add_curves(stage, strand, radii, tint, material)

    def key(self, frames: range) -> None:
        """Key head and eyes on every frame of `frames`, so that they blur."""
        for part in self.parts:
            local = np.array(part.location)
            for frame in frames:
                part.location = tuple(self._place(frame).apply(local[None])[0])
                part.rotation_euler = self._angles(frame)
                part.keyframe_insert("location", frame=frame)
                part.keyframe_insert("rotation_euler", frame=frame)

    def _place(self, frame: float) -> Pose:
        """Return where the head is, on its body if it has one."""
        turn = self.turn.pose(frame)
        return turn if self.carrier is None else self.carrier(frame).after(turn)

    def _angles(self, frame: float) -> tuple[float, float, float]:
        turn = self.turn.angles(frame)
        return turn if self.carrier is None else _angles_of(self._place(frame).rotation)

    def pose(self, frame: int) -> None:
        """Move the hair to its place on this frame, with its velocity."""
        before, after = self._hair_at(frame - 0.5), self._hair_at(frame + 0.5)
        hair.place_curves(self.hair, self._hair_at(float(frame)), after - before)

    def _hair_at(self, frame: float) -> Array:
        return self.lock.follow(self.guides[frame], self._place(frame))


class _Locks:
    """Strands that follow a few guides: weights, tufts, and each strand's own waves."""

    def __init__(
        self, roots: strands.Roots, guides: strands.Roots, do: Hairdo, rng: Generator
    ) -> None:
        count = len(roots)
        self.roots, self.do = roots, do
        self.mine, self.weights = _weights(roots.positions, guides.positions, do.parting)
        leaders = rng.choice(count, size=max(8, count // 32), replace=False)
        apart = _parted(roots.positions, do.parting)
        self.leader = leaders[strands.nearest(apart, apart[leaders])]
        self.stray = rng.random(count) < do.strays
        self.clumping = rng.uniform(0.4, 1.0, count) * do.clumping
        self.clumping[self.stray] = 0.0
        self.length = rng.uniform(0.72, 1.0, count)
        s = np.linspace(0, 1, do.points)[None, :, None]
        self.offset = rng.normal(0, do.spread_m, (count, 1, 3)) * s**0.8
        still = np.zeros((count, do.points, 3))
        self.offset += strands.frizz(still, do.wave_m, rng, waves=1.6)
        self.offset[self.stray] += strands.frizz(still[self.stray], 0.05, rng, waves=1.0)
        outward = roots.normals[self.stray][:, None] * np.sqrt(s)
        self.offset[self.stray] += outward * rng.uniform(0, 0.045, (int(self.stray.sum()), 1, 1))
        self.phase = rng.uniform(0, 2 * np.pi, count)[self.leader] + rng.normal(0, 0.5, count)
        turns = do.curl_turns * rng.uniform(0.75, 1.25, count)
        self.turns = turns[self.leader] + rng.normal(0, 0.2, count)

    def follow(self, guides: Array, pose: Pose) -> Array:
        """Return strands (N, P, 3) in world space for guides (G, P, 3) and the head's pose."""
        s = np.linspace(0, 1, self.do.points)
        shape = guides - guides[:, :1]
        bent = np.einsum("nk,nkpd->npd", self.weights, shape[self.mine])
        bent = _shorten(bent, self.length)
        strand = pose.apply(self.roots.positions)[:, None] + bent
        weight = self.clumping[:, None, None] * (s**1.2)[None, :, None]
        strand = strand + weight * (strand[self.leader] - strand)
        strand = strand + self.offset @ pose.rotation.T
        if self.do.curl_m:
            strand = strands.curl(strand, self.do.curl_m, self.turns, self.phase)
        return strand


def _shorten(strand: Array, share: Array) -> Array:
    """Cut strands (N, P, 3) that start at 0 to `share` of their length, keeping P points."""
    points = strand.shape[1]
    place = np.linspace(0, points - 1, points)[None, :] * share[:, None]
    low = np.minimum(place.astype(int), points - 2)
    part = (place - low)[..., None]
    rows = np.arange(len(strand))[:, None]
    cut: Array = strand[rows, low] * (1 - part) + strand[rows, low + 1] * part
    return cut


def _parted(points: Array, parting: float) -> Array:
    """Move the two sides of the parting apart, so that their roots do not mix."""
    moved = points.copy()
    moved[:, 0] += 0.06 * np.tanh((points[:, 0] - 0.1 * parting) * 400)
    return moved


def _weights(roots: Array, guides: Array, parting: float) -> tuple[Any, Array]:
    """Find the three nearest guides of each root (N, 3) and their weights (N, 3)."""
    a, b = _parted(roots, parting), _parted(guides, parting)
    square = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    near = np.argpartition(square, 3, axis=1)[:, :3]
    distance = np.sqrt(np.maximum(np.take_along_axis(square, near, axis=1), 0)) + 1e-4
    weights = distance**-1.5
    return near, weights / weights.sum(axis=1, keepdims=True)


def _scalp(surface: Any, count: int, do: Hairdo, rng: Generator) -> strands.Roots:
    vertices, normals, triangles = surface
    roots = strands.scatter_roots(vertices, normals, triangles, 6 * count, rng)
    x, y, z = roots.positions.T
    line = z > 0.034 - 0.8 * y + 0.006 * np.sin(60 * x)
    ear = (np.abs(x) > 0.073) & (z < 0.055)
    return roots.keep(np.flatnonzero(line & ~ear)[:count])


def _groom(guides: strands.Roots, do: Hairdo, rng: Generator) -> Array:
    skull = _OBSTACLES[0]

    def pull(position: Array) -> Array:
        side = np.tanh((position[:, 0] - 0.1 * do.parting) * 60)
        down = np.stack([0.3 * side, np.full(len(side), 0.3), np.full(len(side), -0.9)], axis=1)
        scaled = (position - skull.centre) / skull.radii
        outward = strands.unit(scaled / skull.radii)
        inward = np.minimum((down * outward).sum(axis=1, keepdims=True), 0)
        close = np.exp(-np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True) - 1, 0) * 4)
        return strands.unit(down - inward * outward * close)

    length = do.length_m * rng.uniform(0.88, 1.05, len(guides))
    return strands.grow(guides, length, do.points, lift=do.lift, pull=pull, stiffness=0.35)


def _head(rng: Generator) -> list[Blob]:
    wide = rng.uniform(0.94, 1.05)
    blobs = [
        Blob((0, 0.015, 0.068), (0.074 * wide, 0.092, 0.082)),
        Blob((0, -0.028, 0.002), (0.059 * wide, 0.062, 0.083)),
        Blob((0, -0.028, -0.045), (0.049 * wide, 0.053, 0.034)),
        Blob((0, -0.072, -0.066), (0.02, 0.016, 0.016)),
        Blob((0, -0.079, 0.052), (0.046, 0.013, 0.011)),
        Blob((0, -0.093, 0.025), (0.0085, 0.013, 0.03), (-0.3, 0, 0)),
        Blob((0, -0.107, 0.003), (0.0125, 0.012, 0.01)),
        Blob((0, -0.0865, -0.0275), (0.02, 0.009, 0.0052)),
        Blob((0, -0.085, -0.0375), (0.017, 0.009, 0.0062)),
        Blob((0, 0.016, -0.13), (0.047, 0.05, 0.11)),
    ]
    for side in (-1, 1):
        blobs.append(Blob((0.036 * side, -0.064, 0.0), (0.021, 0.02, 0.022)))
        blobs.append(Blob((0.077 * side, 0.012, 0.022), (0.009, 0.02, 0.03), (0, 0, 0.35 * side)))
        blobs.append(Blob((0.0315 * side, -0.0735, 0.037), (0.015, 0.013, 0.009)))
        blobs.append(Blob((0.012 * side, -0.099, 0.0), (0.007, 0.009, 0.0065)))
    return blobs


def _eyes(stage: Stage, rng: Generator) -> list[Any]:
    colours: list[Colour] = [(0.05, 0.025, 0.01), (0.08, 0.15, 0.22), (0.06, 0.1, 0.04)]
    material = materials.eye(colours[rng.integers(0, 3)])
    ball, faces = meshes.sphere(32, 24)
    eyes = []
    for side in (-1, 1):
        eye = stage.put(meshes.add_mesh("eye", ball, faces, material))
        eye.scale, eye.location = (0.0122,) * 3, (0.0315 * side, -0.0765, 0.0275)
        eyes.append(eye)
    return eyes


def _turn(angle: float, axis: int) -> Array:
    matrix = np.eye(3)
    one, two = [i for i in range(3) if i != axis]
    sign = -1.0 if axis == 1 else 1.0
    matrix[one, one] = matrix[two, two] = np.cos(angle)
    matrix[one, two], matrix[two, one] = -sign * np.sin(angle), sign * np.sin(angle)
    return matrix


def _euler(x: float, y: float, z: float) -> Array:
    """Return the matrix of Blender's Euler XYZ: first about X, then Y, then Z."""
    return _turn(z, 2) @ _turn(y, 1) @ _turn(x, 0)


def _angles_of(matrix: Array) -> tuple[float, float, float]:
    """Return the angles whose `_euler` is the matrix; about Y within a quarter of a turn."""
    about_y = -np.arcsin(np.clip(matrix[2, 0], -1, 1))
    about_x = np.arctan2(matrix[2, 1], matrix[2, 2])
    return float(about_x), float(about_y), float(np.arctan2(matrix[1, 0], matrix[0, 0]))
