"""Subjects of the articulated shots: people and a dog whose limbs move.

Every subject is a function of its generator: clothes, hair, coat, gait and timing are drawn. Those
that stand on the ground stand at `GROUND_M`, as the street and the park have it. The frames that
they get begin and end two frames outside the shot.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from training.render import gestures
from training.render.dynamics import Swing
from training.render.figure import Outfit, Pattern, Person
from training.render.gait import GALLOP, SIDES, TROT, Gesture, Run, Travel, Walk
from training.render.portrait import Hairdo, HeadTurn
from training.render.scene import Stage
from training.render.shader_tree import Colour, Vec3
from training.render.strands import Generator

GROUND_M = -1.45

_WALK_M = 0.0585
"""Metres a frame of a walk whose feet do not slide."""


def walk(stage: Stage, rng: Generator, frames: range) -> None:
    """Walk across the picture with swinging arms."""
    motion = Walk(
        travel=_way(rng, frames, yaw=rng.uniform(0.95, 1.35), metres=_WALK_M),
        phase=rng.uniform(0, 2 * np.pi), swing=rng.uniform(0.5, 0.75),
    )  # fmt: skip
    glance = _glance(rng, frames, 0.5)
    do = _hairdo(rng, count=5000)
    person = Person(stage, _outfit(rng), motion, do, glance, rng, frames=frames)
    _start(stage, person)
    stage.casts_shadows = True


def crossed_arms(stage: Stage, rng: Generator, frames: range) -> None:
    """Cross the arms before the body, then throw them open."""
    late = float(rng.uniform(1.0, 2.5))
    keys = gestures.crossing(frames.start + 2, late=late, higher=rng.choice(list(SIDES)))
    motion = Gesture(travel=Travel(start=(0.0, 0.0, 0.0), yaw=rng.uniform(-0.2, 0.2)), keys=keys)
    person = Person(
        stage, _outfit(rng), motion, _hairdo(rng), _glance(rng, frames, 0.35), rng,
        frames=frames, grounded=False,
    )  # fmt: skip
    _start(stage, person)


def hair_toss(stage: Stage, rng: Generator, frames: range) -> None:
    """Throw the head and its long hair up and over to the other side."""
    side = float(rng.choice((-1.0, 1.0)))
    first = frames.start + 2 + rng.uniform(2, 4)
    last = first + rng.uniform(6.5, 8)
    turn = HeadTurn(start=-0.45 * side, end=0.75 * side, first=first, last=last, nod=-0.15)
    keys = gestures.toss(first, last, side=side, bent=rng.uniform(0.32, 0.4))
    travel = Travel(start=(0.0, 0.0, 0.0), yaw=side * rng.uniform(0.5, 0.9))
    do = _hairdo(rng, length_m=rng.uniform(0.42, 0.52), count=8500)
    person = Person(
        stage, _outfit(rng), Gesture(travel=travel, keys=keys), do, turn, rng, frames=frames,
        grounded=False, swing=Swing(drag=1.2, hold=0.1, seed_phase=rng.uniform(0, 6)),
    )  # fmt: skip
    _start(stage, person)


def own_colours(stage: Stage, rng: Generator, frames: range) -> None:
    """Turn the head by 90° and point, in clothes of the colours of a wood."""
    start = frames.start + 2
    side = float(rng.choice((-1.0, 1.0)))
    first, last = start + rng.uniform(2, 5), start + rng.uniform(14, 18)
    turn = HeadTurn(start=-0.8 * side, end=0.8 * side, first=first, last=last, nod=0.05)
    motion = Gesture(
        travel=Travel(start=(0.0, 0.0, 0.0)), keys=gestures.pointing(first, last, side=side)
    )
    tone = rng.uniform(0.7, 1.3)
    outfit = Outfit(
        top=(0.15 * tone, 0.1 * tone, 0.05), second=(0.09, 0.14 * tone, 0.025), pattern="blotches",
        skin=_skin(rng), girth=1.04,
    )  # fmt: skip
    do = Hairdo(
        length_m=0.2, root=(0.05, 0.025, 0.01), tip=(0.26, 0.15, 0.05), wave_m=0.012, strays=0.14,
        count=8000, spread_m=0.012,
    )  # fmt: skip
    person = Person(stage, outfit, motion, do, turn, rng, frames=frames, grounded=False)
    _start(stage, person)


def running_dog(stage: Stage, rng: Generator, frames: range) -> None:
    """Gallop across the picture."""
    from training.render.dog import Dog

    travel = _way(rng, frames, yaw=rng.uniform(1.3, 1.75), metres=0.19)
    motion = Run(travel=travel, paces=GALLOP, phase=rng.uniform(0, 2 * np.pi))
    dog = Dog(stage, _coat(rng), motion, rng)
    _start(stage, dog)
    stage.casts_shadows = True


def leash(stage: Stage, rng: Generator, frames: range) -> None:
    """Walk a dog on a leash."""
    from training.render.dog import Dog
    from training.render.leash import Leash

    yaw = rng.uniform(1.25, 1.5)
    held = {"arm.R": (-0.45, -0.15, 0.2), "forearm.R": (-0.75, 0.0, 0.0), "hand.R": (0.2, 0.0, 0.0)}
    motion = Walk(
        travel=_way(rng, frames, yaw=yaw, metres=_WALK_M, aside=-0.75),
        phase=rng.uniform(0, 2 * np.pi), held=held,
    )  # fmt: skip
    person = Person(
        stage, _outfit(rng), motion, _hairdo(rng, count=4000), _glance(rng, frames, 0.3), rng,
        frames=frames,
    )  # fmt: skip
    way = _way(rng, frames, yaw=yaw, metres=_WALK_M, aside=0.42)
    dog = Dog(stage, _coat(rng), Run(travel=way, paces=TROT, phase=rng.uniform(0, 6)), rng)
    strap = Leash(stage, lambda t: person.hand("R", t), dog.collar, rng)
    _start(stage, person, dog, strap)
    stage.casts_shadows = True


def _start(stage: Stage, *actors: Any) -> None:
    def pose(frame: int) -> None:
        for actor in actors:
            actor.pose(frame)

    stage.pose = pose


def _way(rng: Generator, frames: range, *, yaw: float, metres: float, aside: float = 0.0) -> Travel:
    """Return a way that is `aside` metres right of the picture's middle half through the shot."""
    first, half = frames.start + 2, 0.5 * (len(frames) - 5)
    pace = metres * float(rng.uniform(0.97, 1.03))
    velocity = (pace * float(np.sin(yaw)), -pace * float(np.cos(yaw)), 0.0)
    start = (aside - half * velocity[0], -half * velocity[1], GROUND_M)
    return Travel(start=start, velocity=velocity, yaw=yaw, first=float(first))


def _glance(rng: Generator, frames: range, reach: float) -> HeadTurn:
    start, end = rng.uniform(-reach, reach, 2)
    first = frames.start + 2 + float(rng.uniform(1, 6))
    return HeadTurn(start=start, end=end, first=first, last=first + rng.uniform(9, 14), nod=0.1)


def _skin(rng: Generator) -> Colour:
    tones: list[Colour] = [(0.55, 0.33, 0.23), (0.42, 0.23, 0.14), (0.22, 0.11, 0.06)]
    return tones[rng.integers(0, 3)]


def _outfit(rng: Generator) -> Outfit:
    patterns: list[Pattern] = ["plain", "stripes", "checks", "blotches"]
    darkness = rng.uniform(0.25, 1.0)
    return Outfit(
        top=_cloth(rng, darkness),
        second=_cloth(rng, 1.25 - darkness),
        pattern=patterns[rng.integers(0, 4)],
        trousers=_cloth(rng, 0.35),
        shoes=_cloth(rng, 0.3),
        skin=_skin(rng),
        short_sleeves=bool(rng.random() < 0.35),
        girth=float(rng.uniform(0.92, 1.1)),
    )


def _cloth(rng: Generator, light: float) -> Colour:
    """Draw a dye of at most `light`: mostly muted, as clothes are."""
    grey = rng.uniform(0.25, 0.6)
    r, g, b = light * (grey + (1 - grey) * rng.random(3) ** 1.5) * rng.uniform(0.35, 0.8)
    return float(r), float(g), float(b)


def _hairdo(rng: Generator, *, length_m: float | None = None, count: int = 8000) -> Hairdo:
    colours: list[tuple[Colour, Colour]] = [
        ((0.012, 0.008, 0.006), (0.06, 0.035, 0.02)),
        ((0.07, 0.03, 0.012), (0.34, 0.17, 0.065)),
        ((0.32, 0.19, 0.075), (0.82, 0.62, 0.34)),
        ((0.09, 0.02, 0.006), (0.45, 0.13, 0.03)),
    ]
    root, tip = colours[rng.integers(0, 4)]
    curly = bool(rng.random() < 0.3)
    return Hairdo(
        length_m=float(rng.uniform(0.12, 0.4)) if length_m is None else length_m,
        root=root, tip=tip, strays=float(rng.uniform(0.08, 0.16)), count=count,
        curl_m=0.008 if curly else 0.0, curl_turns=5.0 if curly else 0.0,
        wave_m=float(rng.uniform(0.004, 0.012)), clumping=float(rng.uniform(0.35, 0.7)),
        points=24 if curly else 17,
    )  # fmt: skip


def _coat(rng: Generator) -> Any:
    from training.render.dog import Coat

    colours: list[tuple[Colour, Colour]] = [
        ((0.12, 0.055, 0.02), (0.5, 0.36, 0.22)),
        ((0.02, 0.018, 0.016), (0.4, 0.22, 0.1)),
        ((0.02, 0.02, 0.022), (0.6, 0.58, 0.54)),
        ((0.4, 0.24, 0.1), (0.55, 0.4, 0.24)),
    ]
    back, belly = colours[rng.integers(0, 4)]
    return Coat(back=back, belly=belly, length_m=float(rng.uniform(0.026, 0.045)))


def light_subject(stage: Stage, place: str) -> None:
    """Light the subject as its set is lit, with a large soft key from the camera's side."""
    from training.render.scene import add_area_light, add_sun

    suns: dict[str, tuple[Vec3, float, Colour]] = {
        "forest": ((0.55, -0.75, -0.42), 3.0, (1, 0.78, 0.48)),
        "valley": ((-0.8, -0.45, -0.36), 3.0, (1, 0.72, 0.45)),
        "park": ((-0.62, 0.3, -0.62), 3.2, (1, 0.9, 0.76)),
    }
    middle: Vec3 = (0.0, 0.0, -0.6)
    if place in suns:
        direction, strength, colour = suns[place]
        add_sun(stage, direction, strength=strength, colour=colour, layer="foreground")
        add_area_light(stage, (2.4, -3.4, 1.4), middle, watts=90, colour=(0.9, 0.95, 1), size_m=2.4)
        return
    add_area_light(stage, (2.2, -3.0, 1.6), middle, watts=110, colour=(1, 0.85, 0.65), size_m=1.4)
    add_area_light(stage, (-2.6, 2.2, 1.6), middle, watts=260, colour=(1, 0.62, 0.3), size_m=0.8)
    add_area_light(stage, (2.6, 2.0, 0.6), middle, watts=120, colour=(0.45, 0.7, 1), size_m=0.8)
