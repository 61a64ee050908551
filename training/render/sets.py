"""Sets behind the subject: a forest at low sun, a wet street at dusk, a hazy valley, a park.

Each set fills the stage's background layer with geometry and lights and gives the stage its sky.
The subject stands at the origin, the camera in front of it at negative Y; sets reach to +Y.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from training.render import materials, meshes, scene
from training.render.scene import Stage
from training.render.shader_tree import Colour
from training.render.strands import Array, Generator

Parts = list[tuple[Array, meshes.Faces, Array]]


def forest(stage: Stage, rng: Generator) -> None:
    """Build trunks, undergrowth and sunlit leaves with gaps of bright sky."""
    haze: Colour = (0.42, 0.4, 0.2)
    bark = materials.set_piece(haze=haze, haze_m=75.0, grain=9.0)
    leaf = materials.set_piece(haze=haze, haze_m=75.0, translucent=0.6, gloss=0.5)
    spots = np.stack([rng.uniform(-16, 16, 90), rng.uniform(2.6, 42, 90)], axis=1)
    spots = spots[np.abs(spots[:, 0]) < 1.0 + 0.42 * (spots[:, 1] + 2)]
    _join(stage, "trunks", [_trunk(x, y, rng) for x, y in spots], bark)
    _join(stage, "ground", [_ground(rng, (0.1, 0.085, 0.03), -0.85)], bark)
    _join(
        stage, "leaves", [_leaf_cloud(c, 170, 0.075, _LEAF_GREENS, rng) for c in _canopy(rng)], leaf
    )
    scene.set_sky(stage, _GOLDEN_SKY, 1.3)
    scene.add_sun(
        stage, (0.55, -0.75, -0.42), strength=9.0, colour=(1, 0.78, 0.48), layer="background"
    )
    scene.add_area_light(
        stage, (-4, 2, 4), (0, 7, 0), watts=500, colour=(1, 0.9, 0.7), size_m=4, layer="background"
    )


def street(stage: Stage, rng: Generator) -> None:
    """Build house fronts with lit windows, lamps and cars over wet asphalt at dusk."""
    haze: Colour = (0.07, 0.09, 0.15)
    wall = materials.set_piece(haze=haze, haze_m=90.0, grain=2.5)
    houses, windows = _houses(rng)
    _join(stage, "houses", houses, wall)
    _join(stage, "windows", windows, materials.lamp(3.0, sampled=False))
    _join(stage, "lamps", _street_lamps(rng), materials.lamp(60.0))
    _join(stage, "signs", _signs(rng), materials.lamp(7.0, sampled=False))
    uv, faces = meshes.grid(2, 2)
    plane = np.column_stack([uv[:, 0] * 40 - 20, uv[:, 1] * 110 - 5, np.full(len(uv), -1.45)])
    asphalt = materials.wet_ground((0.018, 0.019, 0.022), (0.06, 0.06, 0.065))
    stage.put(meshes.add_mesh("asphalt", plane, faces, asphalt), "background")
    scene.set_sky(stage, _DUSK_SKY, 0.7)


def valley(stage: Stage, rng: Generator) -> None:
    """Build wooded ridges behind each other in evening haze under a bright sky."""
    haze: Colour = (0.5, 0.47, 0.47)
    slope = materials.set_piece(haze=haze, haze_m=300.0, grain=0.35)
    wood = materials.set_piece(haze=haze, haze_m=300.0, translucent=0.5)
    _join(stage, "ridges", [_ridge(d, rng) for d in (38.0, 70.0, 120.0, 190.0, 330.0)], slope)
    crowns = [
        _leaf_cloud((x, y, -4.2 - 0.03 * y + r, r), 420, 0.16, _AUTUMN, rng)
        for x, y, r in zip(
            rng.uniform(-14, 14, 34),
            rng.uniform(10, 30, 34),
            rng.uniform(0.8, 1.9, 34),
            strict=True,
        )
    ]
    _join(stage, "crowns", crowns, wood)
    scene.set_sky(stage, _EVENING_SKY, 1.15, clouds=0.75)
    scene.add_sun(
        stage, (-0.8, -0.45, -0.36), strength=6.5, colour=(1, 0.72, 0.45), layer="background"
    )


def park(stage: Stage, rng: Generator) -> None:
    """Build a lawn with tufts of grass, a path, shrubs, trees and a wall, under a clear sky."""
    haze: Colour = (0.4, 0.45, 0.5)
    ground = materials.set_piece(haze=haze, haze_m=160.0, grain=5.0)
    leaf = materials.set_piece(haze=haze, haze_m=160.0, translucent=0.5, gloss=0.5)
    spots = np.stack([rng.uniform(-15, 15, 22), rng.uniform(4.5, 24, 22)], axis=1)
    wall = _box(np.array([-25, 26.0, -1.45]), np.array([25, 26.5, 1.1]), (0.32, 0.2, 0.14))
    benches = [
        _box(np.array([x, 3.4, z]), np.array([x + 1.7, 3.6, z + 0.1]), (0.2, 0.09, 0.04))
        for x in (-3.4, 1.1)
        for z in (-1.05, -0.85, -0.65)
    ]
    _join(stage, "lawn", [_lawn(rng), wall, *benches], ground)
    _join(stage, "trees", [_trunk(x, y, rng) for x, y in spots], ground)
    crowns = [
        (x, y, rng.uniform(1.3, 3.8), rng.uniform(0.8, 1.5)) for x, y in np.repeat(spots, 4, 0)
    ]
    shrubs = [
        (rng.uniform(-14, 14), rng.uniform(5, 14), -1.1, rng.uniform(0.35, 0.8)) for _ in range(60)
    ]
    clouds = [_leaf_cloud(ball, 200, 0.08, _LEAF_GREENS, rng) for ball in [*crowns, *shrubs]]
    tufts = [
        _leaf_cloud((rng.uniform(-7, 7), rng.uniform(-2, 6), -1.43, 0.09), 60, 0.022, _GRASS, rng)
        for _ in range(130)
    ]
    _join(stage, "leaves", [*clouds, *tufts], leaf)
    scene.set_sky(stage, _CLEAR_SKY, 1.0, clouds=0.4)
    scene.add_sun(
        stage, (-0.62, 0.3, -0.62), strength=4.0, colour=(1, 0.9, 0.76), layer="background"
    )


SETS = {"forest": forest, "street": street, "valley": valley, "park": park}

_LEAF_GREENS: list[Colour] = [
    (0.09, 0.16, 0.02),
    (0.2, 0.26, 0.03),
    (0.3, 0.22, 0.03),
    (0.05, 0.1, 0.02),
]
_AUTUMN: list[Colour] = [
    (0.06, 0.09, 0.02),
    (0.12, 0.1, 0.02),
    (0.24, 0.11, 0.02),
    (0.05, 0.07, 0.03),
]
_GRASS: list[Colour] = [(0.06, 0.11, 0.015), (0.1, 0.15, 0.02), (0.16, 0.16, 0.04)]
_CLEAR_SKY: list[tuple[float, Colour]] = [
    (0.0, (0.08, 0.09, 0.05)),
    (0.5, (0.75, 0.8, 0.85)),
    (0.6, (0.5, 0.65, 0.9)),
    (1.0, (0.15, 0.3, 0.65)),
]
_GOLDEN_SKY: list[tuple[float, Colour]] = [
    (0.0, (0.05, 0.045, 0.02)),
    (0.49, (0.2, 0.17, 0.08)),
    (0.53, (1.5, 1.15, 0.6)),
    (0.65, (0.95, 0.95, 0.8)),
    (1.0, (0.45, 0.6, 0.85)),
]
_DUSK_SKY: list[tuple[float, Colour]] = [
    (0.0, (0.02, 0.022, 0.03)),
    (0.5, (0.34, 0.22, 0.17)),
    (0.56, (0.2, 0.2, 0.27)),
    (0.75, (0.06, 0.1, 0.2)),
    (1.0, (0.02, 0.05, 0.13)),
]
_EVENING_SKY: list[tuple[float, Colour]] = [
    (0.0, (0.1, 0.09, 0.06)),
    (0.5, (1.25, 0.86, 0.5)),
    (0.55, (0.95, 0.75, 0.55)),
    (0.7, (0.42, 0.52, 0.68)),
    (1.0, (0.16, 0.28, 0.55)),
]


def _join(stage: Stage, name: str, parts: Parts, material: Any) -> None:
    """Create one background object from many pieces of (vertices, quads, tint)."""
    offsets = np.cumsum([0] + [len(vertices) for vertices, _, _ in parts[:-1]])
    vertices = np.concatenate([part[0] for part in parts])
    faces = np.concatenate([part[1] + o for part, o in zip(parts, offsets, strict=True)])
    tint = np.concatenate([part[2] for part in parts])
    stage.put(meshes.add_mesh(name, vertices, faces, material, tint), "background")


def _flat_tint(vertices: Array, colour: Array | Colour) -> Array:
    return np.broadcast_to(np.asarray(colour, dtype=float), vertices.shape).copy()


def _trunk(x: float, y: float, rng: Generator) -> tuple[Array, meshes.Faces, Array]:
    uv, faces = meshes.grid(14, 30)
    radius = rng.uniform(0.07, 0.26) * (1.25 - 0.55 * uv[:, 1])
    height = 9 * uv[:, 1] - 1.2
    angle = 2 * np.pi * uv[:, 0]
    radius = radius * (
        1 + 0.12 * np.sin(5 * angle + 3 * uv[:, 1]) + 0.5 * np.exp(-9 * uv[:, 1] * 3)
    )
    lean = rng.normal(0, 0.25, 2)
    sway = 0.25 * np.sin(height * 0.9 + rng.uniform(0, 6))
    vertices = np.stack(
        [
            x + radius * np.cos(angle) + lean[0] * uv[:, 1] + sway * 0.4,
            y + radius * np.sin(angle) + lean[1] * uv[:, 1],
            height,
        ],
        axis=1,
    )
    return (
        vertices,
        faces,
        _flat_tint(vertices, np.array([0.15, 0.1, 0.06]) * rng.uniform(0.5, 1.5)),
    )


def _ground(rng: Generator, colour: Colour, level: float) -> tuple[Array, meshes.Faces, Array]:
    uv, faces = meshes.grid(120, 120)
    x, y = uv[:, 0] * 60 - 30, uv[:, 1] * 55 + 0.8
    bumps = 0.12 * np.sin(1.1 * x + 2) * np.cos(0.9 * y) + 0.05 * np.sin(4.1 * x + 1.7 * y)
    vertices = np.stack([x, y, level + bumps + 0.03 * (y - 5)], axis=1)
    return vertices, faces, _flat_tint(vertices, colour) * rng.uniform(0.4, 1.6, (len(x), 1))


def _lawn(rng: Generator) -> tuple[Array, meshes.Faces, Array]:
    """Create flat grass that a gravel path crosses behind the subject."""
    uv, faces = meshes.grid(200, 160)
    x, y = uv[:, 0] * 60 - 30, uv[:, 1] * 50 - 8
    vertices = np.stack([x, y, np.full(len(x), -1.45)], axis=1)
    path = (np.abs(y - 2.2 - 0.5 * np.sin(0.35 * x)) < 0.65)[:, None]
    worn = np.clip(np.sin(0.9 * x + 2) * np.cos(0.8 * y + 1) + 0.3, 0, 1)[:, None]
    grass = np.array([0.075, 0.12, 0.02]) * (1 - worn) + np.array([0.15, 0.15, 0.045]) * worn
    tint = np.where(path, np.array([0.3, 0.25, 0.18]), grass)
    return vertices, faces, tint * rng.uniform(0.6, 1.4, (len(x), 1))


def _canopy(rng: Generator) -> list[tuple[float, float, float, float]]:
    """Place leaf clouds (x, y, z, radius): undergrowth low and branches high, gaps between."""
    low = [
        (rng.uniform(-12, 12), rng.uniform(3.0, 26), rng.uniform(-1.0, -0.25), 0.6)
        for _ in range(210)
    ]
    high = [
        (rng.uniform(-13, 13), rng.uniform(4, 30), rng.uniform(1.2, 5.5), 0.9) for _ in range(240)
    ]
    return [(x, y, z, r * rng.uniform(0.5, 1.2)) for x, y, z, r in low + high]


def _leaf_cloud(
    ball: tuple[float, float, float, float],
    count: int,
    size_m: float,
    greens: list[Colour],
    rng: Generator,
) -> tuple[Array, meshes.Faces, Array]:
    """Scatter `count` diamond leaves in a ball (x, y, z, radius)."""
    centre = rng.normal(0, 0.45, (count, 1, 3)) * ball[3] + np.array(ball[:3])
    long, wide = rng.normal(0, 1, (2, count, 3))
    long /= np.linalg.norm(long, axis=1, keepdims=True)
    wide = np.cross(long, wide)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    size = size_m * rng.uniform(0.6, 1.6, (count, 1))
    corners = np.stack([-size * long, 0.45 * size * wide, size * long, -0.45 * size * wide], axis=1)
    tone = np.array(greens)[rng.integers(0, len(greens), count)] * rng.uniform(0.6, 1.4, (count, 1))
    tint = np.repeat(tone, 4, axis=0)
    return (centre + corners).reshape(-1, 3), np.arange(4 * count).reshape(-1, 4), tint


def _box(low: Array, high: Array, colour: Array | Colour) -> tuple[Array, meshes.Faces, Array]:
    corner = np.array([[i & 1, i >> 1 & 1, i >> 2] for i in range(8)], dtype=float)
    faces = np.array(
        [[0, 1, 5, 4], [1, 3, 7, 5], [3, 2, 6, 7], [2, 0, 4, 6], [4, 5, 7, 6], [0, 2, 3, 1]]
    )
    vertices = low + corner * (high - low)
    return vertices, faces, _flat_tint(vertices, colour)


def _houses(rng: Generator) -> tuple[Parts, Parts]:
    """Create two rows of house fronts along the street and one across its end, with lit windows."""
    houses: Parts = []
    windows: Parts = []
    for side in (-1, 1):
        y = 1.0
        while y < 75:
            depth, height = rng.uniform(5, 10), rng.uniform(7, 18)
            near = 5.2 + rng.uniform(-0.4, 0.6)
            x0, x1 = (near, near + 8) if side > 0 else (-near - 8, -near)
            tone = np.array([0.2, 0.15, 0.12]) * rng.uniform(0.5, 1.3, 3)
            houses.append(_box(np.array([x0, y, -1.5]), np.array([x1, y + depth, height]), tone))
            windows += _windows(side * (near - 0.03), y, depth, height, rng)
            y += depth + rng.choice([0.0, 0.0, 1.5])
    end = np.array([0.1, 0.09, 0.1])
    houses.append(_box(np.array([-20, 84.0, -1.5]), np.array([20, 90, 22.0]), end))
    return houses, windows


def _windows(x: float, y: float, depth: float, height: float, rng: Generator) -> Parts:
    lit: Parts = []
    for row in np.arange(-0.6, height - 1.5, 2.6):
        for column in np.arange(y + 0.7, y + depth - 1.2, 1.7):
            if rng.random() < 0.45:
                continue
            low, high = (
                np.array([x - 0.02, column, row]),
                np.array([x + 0.02, column + 0.95, row + 1.5]),
            )
            warm = np.array([1.0, rng.uniform(0.5, 0.8), rng.uniform(0.2, 0.5)])
            lit.append(_box(low, high, warm * rng.choice([0.06, 0.25, 0.8, 1.2])))
    return lit


def _street_lamps(rng: Generator) -> Parts:
    """Create lamps along both kerbs and the head and tail lights of cars: small and very bright."""
    ball, faces = meshes.sphere(10, 7)
    lamps: Parts = []
    for y in np.arange(4, 70, 5.5):
        for side in (-1, 1):
            centre = np.array([side * (4.0 + rng.uniform(-0.2, 0.2)), y + rng.uniform(-1, 1), 2.6])
            lamps.append((ball * 0.11 + centre, faces, _flat_tint(ball, (1.0, 0.62, 0.28))))
    for y in np.sort(rng.uniform(9, 60, 9)):
        colour, x = ((0.9, 0.93, 1.0), -1.9) if rng.random() < 0.5 else ((0.75, 0.03, 0.02), 1.7)
        for offset in (-0.65, 0.65):
            centre = np.array([x + offset, y, -0.75])
            lamps.append((ball * 0.075 + centre, faces, _flat_tint(ball, colour)))
    return lamps


def _signs(rng: Generator) -> Parts:
    neon: list[Colour] = [(1.0, 0.1, 0.25), (0.1, 0.5, 1.0), (0.2, 1.0, 0.55), (1.0, 0.75, 0.3)]
    signs: Parts = []
    for _ in range(16):
        side, y, z = rng.choice([-1, 1]), rng.uniform(4, 45), rng.uniform(0.3, 3.5)
        low = np.array([side * 4.9 - 0.35, y, z])
        size = np.array([0.7, 0.06, rng.uniform(0.15, 0.8)])
        signs.append(
            _box(low, low + size, np.array(neon[rng.integers(0, 4)]) * rng.uniform(0.3, 1))
        )
    return signs


def _ridge(distance: float, rng: Generator) -> tuple[Array, meshes.Faces, Array]:
    """Create one ridge across the view at `distance` metres: slope with woods and meadows."""
    uv, faces = meshes.grid(260, 40)
    x = (uv[:, 0] - 0.5) * distance * 2.2
    crest = np.zeros_like(x)
    for octave in range(7):
        wave = 2**octave * 1.7 / distance
        crest += np.sin(wave * x * 2.1 + rng.uniform(0, 6)) * 0.05 * distance / 2 ** (octave * 0.85)
    crest -= 0.035 * distance - 0.12 * max(0.0, distance - 60) * 0.9
    y = distance * (0.55 + 0.45 * uv[:, 1])
    z = -0.2 * distance + (crest + 0.2 * distance) * uv[:, 1] ** 1.4
    z += rng.normal(0, 0.0035 * distance, len(x))
    vertices = np.stack([x, y, z], axis=1)
    meadow = (np.sin(9 * x / distance + 2) + np.sin(14 * uv[:, 1] + 5 * x / distance) > 0.9)[
        :, None
    ]
    tint = np.where(meadow, np.array([0.2, 0.19, 0.05]), np.array([0.05, 0.075, 0.025]))
    return vertices, faces, tint * rng.uniform(0.5, 1.5, (len(x), 1))
