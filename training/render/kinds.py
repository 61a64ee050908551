"""Kinds of still foreground elements: the kind of a seed, and the building of each kind.

A picture is a function of its seed alone. Seeds 2000 to 4999 are portraits; all others are drawn
from `MIXED`. The project keeps seeds from 5000 on for tests: they train no weights that it ships.
"""

from __future__ import annotations

import numpy as np

from training.render.jobs import StillJob
from training.render.placing import Frame
from training.render.scene import Quality, Stage
from training.render.strands import Generator

PORTRAIT_SEEDS = range(2000, 5000)

MIXED: dict[str, float] = {
    "fur": 22, "long_hair": 26, "feathers": 8, "foliage": 12, "net": 8, "veil": 8, "glass": 4,
    "smoke": 6, "solid": 6,
}  # fmt: skip
"""The kinds of mixed seeds and their frequencies."""

KINDS = (*MIXED, "portrait")


def kind_of(seed: int) -> str:
    """Return the kind of a seed, which never changes."""
    if seed in PORTRAIT_SEEDS:
        return "portrait"
    weights = np.array(list(MIXED.values()))
    chosen = np.random.default_rng([seed, 1]).choice(len(weights), p=weights / weights.sum())
    return list(MIXED)[int(chosen)]


def render_still(job: StillJob) -> None:
    """Render colour and alpha of one element as `shots.layer_paths(folder, seed)` names them."""
    from training.render import scene, shots

    stage = build_still(job.kind, job.seed, job.quality)
    job.folder.mkdir(parents=True, exist_ok=True)
    front, alpha, _ = shots.layer_paths(job.folder, job.seed)
    scene.render_layer(stage, "foreground", _MOMENT, front)
    scene.render_alpha(stage, _MOMENT, alpha)


_MOMENT = 1010
_AROUND = range(_MOMENT - 4, _MOMENT + 4)


def build_still(kind: str, seed: int, quality: Quality) -> Stage:
    """Build the stage of one element."""
    from training.render import elements, scene

    rng = np.random.default_rng([seed, 2])
    stage = scene.new_stage(quality)
    frame = elements.BUILDERS[kind](stage, rng, _AROUND)
    _light(stage, rng, frame)
    _look(stage, rng, frame)
    return stage


def _light(stage: Stage, rng: Generator, frame: Frame) -> None:
    """Add a key light, often a rim or two, sometimes a coloured fill, under a plain sky."""
    from training.render.scene import add_area_light, set_sky

    reach = frame.radius_m * 4
    middle = (0.0, 0.0, frame.height_m)
    power = 150.0 * frame.radius_m**2 * float(10 ** rng.uniform(-0.35, 0.35))

    def light(angle: float, height: float, watts: float, warmth: float) -> None:
        place = (reach * np.sin(angle), -reach * np.cos(angle), frame.height_m + height * reach)
        colour = (1.0, 1 - 0.35 * max(0.0, warmth), 1 - 0.65 * max(0.0, warmth))
        cold = (1 + 0.5 * min(0.0, warmth), 1 + 0.2 * min(0.0, warmth), 1.0)
        size = frame.radius_m * float(rng.uniform(0.5, 3))
        tint = colour if warmth >= 0 else cold
        add_area_light(stage, place, middle, watts=watts, colour=tint, size_m=size)

    light(rng.uniform(-1.3, 1.3), rng.uniform(0, 0.8), power, rng.uniform(-0.5, 1))
    for _ in range(rng.choice([0, 1, 1, 2])):
        light(
            rng.uniform(2, 4.3),
            rng.uniform(0, 0.7),
            power * rng.uniform(0.7, 4),
            rng.uniform(-1, 1),
        )
    base = rng.uniform(0.3, 1.0)
    tone = (base * rng.uniform(0.7, 1.2), base, base * rng.uniform(0.7, 1.3))
    set_sky(stage, [(0.0, tone), (1.0, tone)], rng.uniform(0.08, 0.9))


def _look(stage: Stage, rng: Generator, frame: Frame) -> None:
    """Add the camera, usually sharp, sometimes out of focus, sometimes moving."""
    from training.render import scene

    lens = rng.uniform(50, 120)
    distance = frame.radius_m * lens / 18 * rng.uniform(0.85, 1.25)
    treatment = rng.random()
    fstop = float(10 ** rng.uniform(-0.1, 0.6)) if treatment < 0.3 else None
    focus = distance * rng.uniform(0.86, 1.12)
    camera = scene.add_camera(stage, lens_mm=lens, focus_m=focus, fstop=fstop)
    side, rise = frame.radius_m * rng.uniform(-0.35, 0.35, 2)
    target = (side, 0.0, frame.height_m + rise)
    drift = np.zeros(3)
    if 0.3 <= treatment < 0.5:
        drift = rng.normal(0, 0.02, 3) * frame.radius_m

    def place(at: float) -> None:
        camera.location = np.array([0, -distance, frame.height_m]) + drift * (at - _MOMENT)
        scene.aim(camera, np.array(target) + drift * (at - _MOMENT))
        camera.rotation_euler.y += roll

    roll = float(rng.normal(0, 0.05))
    scene.animate(camera, _AROUND, place)
