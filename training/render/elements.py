"""Builders of still elements; each fills the stage's foreground from a random generator."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.render import drapery, foliage, hair, materials, meshes, portrait, strands
from training.render.dynamics import Swing
from training.render.meshes import Blob
from training.render.placing import Builder, Frame
from training.render.portrait import Hairdo, HeadTurn
from training.render.scene import Stage
from training.render.shader_tree import Colour
from training.render.strands import Array, Generator


def colour(rng: Generator, low: float = 0.02, high: float = 0.9) -> Colour:
    r, g, b = rng.uniform(low, high, 3)
    return float(r), float(g), float(b)


def hair_colours(rng: Generator) -> tuple[Colour, Colour]:
    """Draw linear colours of roots and tips: black to white, blond, red, and a few dyed ones."""
    natural = [
        ((0.006, 0.005, 0.005), (0.02, 0.015, 0.013)),
        ((0.02, 0.01, 0.006), (0.09, 0.045, 0.02)),
        ((0.07, 0.032, 0.013), (0.3, 0.15, 0.06)),
        ((0.3, 0.18, 0.07), (0.8, 0.6, 0.32)),
        ((0.16, 0.035, 0.008), (0.55, 0.16, 0.035)),
        ((0.25, 0.24, 0.23), (0.85, 0.84, 0.82)),
    ]
    if rng.random() < 0.12:
        return colour(rng, 0.01, 0.5), colour(rng, 0.05, 0.9)
    root, tip = natural[rng.integers(0, len(natural))]
    bright = float(rng.uniform(0.7, 1.15))
    return _scaled(root, bright), _scaled(tip, bright)


def _scaled(tone: Colour, by: float) -> Colour:
    r, g, b = (min(0.93, by * c) for c in tone)
    return r, g, b


def person(stage: Stage, rng: Generator, frames: range) -> Frame:
    """Build a head and shoulders with any hair, from a crop to the waist, straight to curled."""
    skins: list[Colour] = [
        (0.66, 0.42, 0.32),
        (0.52, 0.3, 0.2),
        (0.3, 0.15, 0.08),
        (0.1, 0.05, 0.03),
    ]
    yaw = float(rng.choice([rng.uniform(-1.2, 1.2), rng.uniform(1.2, 5.1)]))
    speed = float(rng.choice([0.0, 0.0, rng.normal(0, 1.2)]))
    turn = HeadTurn(start=yaw, end=yaw + speed, first=frames.start - 6.0, last=frames.stop + 6.0)
    figure = portrait.Portrait(
        stage,
        hairdo(rng),
        turn,
        rng,
        skin=skins[rng.integers(0, len(skins))],
        cloth=colour(rng, 0.01, 0.6),
        frames=frames,
        swing=Swing(wind=float(rng.choice([0.3, 1.5, 4.0, 8.0])), seed_phase=rng.uniform(0, 6)),
    )
    figure.key(frames)
    stage.pose = figure.pose
    return Frame(height_m=-0.02, radius_m=0.3)


def hairdo(rng: Generator) -> Hairdo:
    """Draw a hairdo: its length decides lift and thickness, a third is curled, a third waved."""
    root, tip = hair_colours(rng)
    length = float(
        rng.choice([rng.uniform(0.03, 0.1), rng.uniform(0.12, 0.3), rng.uniform(0.3, 0.6)])
    )
    style = rng.random()
    curled = style < 0.35
    return Hairdo(
        length_m=length,
        root=root,
        tip=tip,
        curl_m=float(rng.uniform(0.004, 0.014)) if curled else 0.0,
        curl_turns=float(rng.uniform(14, 34)) * length if curled else 0.0,
        wave_m=float(rng.uniform(0.001, 0.03) * length / 0.3),
        lift=float(np.clip((0.9 if length < 0.12 else 0.2) + rng.normal(0, 0.2), 0.05, 1)),
        count=int(rng.choice([5000, 9000, 14000])),
        strays=float(rng.choice([0.02, 0.06, 0.12, 0.2])),
        clumping=float(rng.uniform(0.1, 0.95)),
        spread_m=float(rng.uniform(0.003, 0.016) * min(1.0, length / 0.2)),
        radius_m=float(10 ** rng.uniform(-3.75, -3.3)),
        points=26 if curled else 15,
        parting=float(rng.normal(0, 0.25)),
    )


def fur(stage: Stage, rng: Generator, frames: range) -> Frame:
    """Build a soft body under short fur."""
    return _hairy(stage, rng, length=rng.uniform(0.04, 0.2), count=rng.choice([6000, 14000, 26000]))


def long_hair(stage: Stage, rng: Generator, frames: range) -> Frame:
    """Build a soft body with hair that falls, curls or stands off."""
    return _hairy(stage, rng, length=rng.uniform(0.25, 0.9), count=rng.choice([1500, 5000, 11000]))


def _hairy(stage: Stage, rng: Generator, *, length: float, count: int) -> Frame:
    body = stage.put(_body(rng, _material(rng)))
    roots = strands.scatter_roots(*meshes.surface_arrays(body), int(count), rng)
    if rng.random() < 0.4:
        above = roots.positions[:, 2] > rng.uniform(-0.2, 0.15)
        roots = roots.keep(above) if above.any() else roots  # a low body is hairy all over
    wind = strands.unit(rng.normal(0, 1, (1, 3)) + np.array([[0, 0, -1.6]]))
    swirl = rng.uniform(0, 0.7)

    def pull(position: Array) -> Array:
        return strands.unit(wind + swirl * np.sin(5 * position[:, [2, 0, 1]]))

    lengths = length * rng.uniform(0.6, 1.1, len(roots))
    points = 12 if length > 0.25 else 7
    grown = strands.grow(
        roots,
        lengths,
        points,
        lift=rng.uniform(0.4, 0.9),
        pull=pull,
        stiffness=rng.uniform(0.5, 1.6),
    )
    shaped = strands.clump(
        grown, max(4, len(grown) // int(rng.integers(12, 60))), rng.uniform(0, 0.9), rng
    )
    if rng.random() < 0.35:
        turns = np.full(len(shaped), length * rng.uniform(4, 16)) * rng.uniform(
            0.8, 1.2, len(shaped)
        )
        phase = rng.uniform(0, 6.3, len(shaped))
        shaped = strands.curl(shaped, rng.uniform(0.004, 0.02), turns, phase)
    shaped = strands.frizz(shaped, length * rng.uniform(0.01, 0.12), rng)
    _show(stage, rng, shaped, thick=float(10 ** rng.uniform(-3.2, -2.75)))
    return Frame(radius_m=0.42 + 0.35 * length)


def _show(stage: Stage, rng: Generator, shaped: Array, *, thick: float) -> None:
    root, tip = hair_colours(rng) if rng.random() < 0.6 else (colour(rng), colour(rng))
    mixed = rng.beta(1, 1.6, (len(shaped), 1))
    tint = np.array(root) * (1 - mixed) + np.array(tip) * mixed
    tint = np.clip(tint * rng.uniform(0.6, 1.4, (len(shaped), 1)), 0.003, 0.93)
    radii = strands.taper(shaped, thick, thick * rng.uniform(0.1, 0.6))
    hair.add_curves(stage, shaped, radii, tint, materials.hair(roughness=rng.uniform(0.15, 0.5)))


def feathers(stage: Stage, rng: Generator, frames: range) -> Frame:
    """Build a body with feathers: shafts with fine barbs on both sides."""
    body = stage.put(_body(rng, _material(rng)))
    roots = strands.scatter_roots(*meshes.surface_arrays(body), int(rng.integers(60, 220)), rng)
    back = strands.unit(rng.normal(0, 1, (1, 3)))
    length = rng.uniform(0.15, 0.4) * rng.uniform(0.7, 1.2, len(roots))
    shafts = strands.grow(
        roots, length, 16, lift=rng.uniform(0.5, 0.9),
        pull=lambda position: np.repeat(back, len(position), axis=0), stiffness=1.0,
    )  # fmt: skip
    barbs, tint = _barbs(shafts, rng)
    material = materials.hair(roughness=0.4)
    tone = np.clip(np.array(colour(rng)) * rng.uniform(0.5, 1.3, (len(shafts), 1)), 0, 0.93)
    hair.add_curves(stage, shafts, strands.taper(shafts, 0.0024, 0.0005), tone, material)
    hair.add_curves(stage, barbs, strands.taper(barbs, 0.0011, 0.0003), tint, material)
    return Frame(radius_m=0.55)


def _barbs(shafts: Array, rng: Generator, each: int = 90) -> tuple[Array, Array]:
    """Create barbs (N, 6, 3) along the shafts, and colours (N, 3) banded from base to tip."""
    count, points, _ = shafts.shape
    tangent = strands.unit(np.gradient(shafts, axis=1))
    across = strands.unit(np.cross(tangent, rng.normal(0, 1, (count, 1, 3))))
    place = np.linspace(0.08, 0.99, each)
    low = np.minimum((place * (points - 1)).astype(int), points - 2)
    part = (place * (points - 1) - low)[None, :, None]
    base = shafts[:, low] * (1 - part) + shafts[:, low + 1] * part
    size = np.linalg.norm(shafts[:, -1] - shafts[:, 0], axis=1)[:, None, None]
    width = 0.24 * size * np.sin(np.pi * place**0.8)[None, :, None]
    s = np.linspace(0, 1, 6)[None, None, :, None]
    sides = []
    for sign in (-1, 1):
        out = sign * across[:, low] + 0.9 * tangent[:, low]
        out = strands.unit(out + rng.normal(0, 0.1, out.shape))
        curve = s * out[:, :, None] + 0.35 * s**2 * tangent[:, low][:, :, None]
        sides.append(base[:, :, None] + width[..., None] * curve)
    first, second = np.array(colour(rng)), np.array(colour(rng))
    band = (np.sin(place * rng.uniform(4, 30)) > 0.2)[:, None]
    tone = np.where(band, first, second)
    tint = np.broadcast_to(tone, (2, count, each, 3)).reshape(-1, 3)
    return np.stack(sides).reshape(-1, 6, 3), np.clip(
        tint * rng.uniform(0.7, 1.3, (len(tint), 1)), 0, 0.93
    )


def leaves(stage: Stage, rng: Generator, frames: range) -> Frame:
    """Build boughs with twigs and leaves, from bare and thin to dense."""
    count = int(rng.integers(2, 6))
    roots = tuple(
        (float(rng.choice([-0.7, 0.7])), 0.0, float(rng.uniform(-0.1, 0.7))) for _ in range(count)
    )
    ends = tuple(tuple(float(v) for v in rng.uniform(-0.4, 0.4, 3)) for _ in range(count))
    greens: list[Colour] = [
        (0.1, 0.2, 0.02),
        (0.2, 0.28, 0.03),
        (0.3, 0.12, 0.02),
        (0.05, 0.1, 0.03),
    ]
    tones = tuple(
        colour(rng) if rng.random() < 0.15 else greens[rng.integers(0, 4)] for _ in range(3)
    )
    plant = foliage.Plant(
        roots=roots,
        towards=ends,  # type: ignore[arg-type]
        twigs=int(rng.integers(6, 24)),
        leaves=int(rng.choice([0, 6, 14, 26])),
        leaf_m=float(rng.uniform(0.015, 0.1)),
        leaf_width=float(rng.uniform(0.05, 0.5)),
        droop=float(rng.uniform(-0.3, 1.2)),
        colours=tones,
        gust=float(rng.choice([0.3, 1.0, 2.5])),
    )
    stage.pose = foliage.Foliage(stage, plant, rng).pose
    return Frame(height_m=0.15, radius_m=0.5)


def net(stage: Stage, rng: Generator, frames: range) -> Frame:
    across = int(rng.integers(5, 30))
    stage.pose = drapery.Net(stage, rng, meshes_across=across, colour=colour(rng)).pose
    return Frame(height_m=0.1, radius_m=0.5)


def veil(stage: Stage, rng: Generator, frames: range) -> Frame:
    low = float(rng.uniform(0.05, 0.5))
    material = materials.veil(
        colour(rng, 0.1),
        least=low,
        most=float(rng.uniform(low, 1)),
        scale=float(10 ** rng.uniform(0.2, 1.8)),
    )
    stage.pose = drapery.Veil(stage, rng, material).pose
    return Frame(height_m=0.1, radius_m=0.55)


def glass(stage: Stage, rng: Generator, frames: range) -> Frame:
    material = materials.glass(
        colour(rng, 0.5, 1.0),
        roughness=float(rng.choice([0.0, 0.0, rng.uniform(0, 0.3)])),
        index=float(rng.uniform(1.05, 1.5)),
    )
    body = stage.put(_body(rng, material))
    shell = body.modifiers.new("shell", "SOLIDIFY")
    shell.thickness = float(rng.uniform(0.01, 0.05))
    stage.opaque = False
    return Frame(radius_m=0.45)


def smoke(stage: Stage, rng: Generator, frames: range) -> Frame:
    ball, faces = meshes.sphere(32, 20)
    offset = tuple(float(v) for v in rng.uniform(-50, 50, 3))
    material = materials.smoke(
        colour(rng, 0.4, 1.0),
        density=float(10 ** rng.uniform(0.9, 2.0)),
        scale=float(rng.uniform(0.9, 3.5)),
        offset=offset,  # type: ignore[arg-type]
    )
    cloud = stage.put(meshes.add_mesh("smoke", ball, faces, material))
    cloud.scale = tuple(0.42 * rng.uniform(0.7, 1.25, 3))
    stage.scene.cycles.volume_step_rate = 8.0
    stage.opaque = False
    return Frame(radius_m=0.5)


def solid(stage: Stage, rng: Generator, frames: range) -> Frame:
    for _ in range(int(rng.integers(1, 3))):
        body = stage.put(_body(rng, _material(rng)))
        body.location = tuple(rng.uniform(-0.2, 0.2, 3))
    return Frame(radius_m=0.48)


BUILDERS: dict[str, Builder] = {
    "portrait": person, "fur": fur, "long_hair": long_hair, "feathers": feathers,
    "foliage": leaves, "net": net, "veil": veil, "glass": glass, "smoke": smoke, "solid": solid,
}  # fmt: skip


def _body(rng: Generator, material: Any) -> Any:
    """Build a soft body of a few ellipsoids, about 0.35 m in radius."""
    blobs = []
    for _ in range(int(rng.integers(1, 6))):
        x, y, z = rng.uniform(-0.2, 0.2, 3)
        a, b, c = rng.uniform(0.09, 0.28, 3)
        i, j, k = rng.uniform(-1.5, 1.5, 3)
        blobs.append(
            Blob((float(x), float(y), float(z)), (float(a), float(b), float(c)), (i, j, k))
        )
    return meshes.melt("body", blobs, material, voxel_m=0.014, smooth=int(rng.integers(2, 14)))


def _material(rng: Generator) -> Any:
    return materials.marbled(
        colour(rng),
        colour(rng),
        scale=float(10 ** rng.uniform(0, 1.5)),
        roughness=float(rng.uniform(0.1, 1)),
    )
