"""The moving shots: their subjects, sets, motion and cameras.

`SHOTS` lists them. A shot is a function of its seed; seed 0 is the one in sample_shots. Building a
stage needs `bpy`; naming and describing shots does not.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from training.render import articulated
from training.render.articulated_shots import ARTICULATED
from training.render.plans import CameraMove, ShotPlan
from training.render.portrait import Hairdo, HeadTurn
from training.render.scene import Quality, Stage
from training.render.strands import Generator

FIRST_FRAME = 1001
FRAME_COUNT = 25


def build(name: str, seed: int, quality: Quality, frames: range, *, threads: int = 1) -> Stage:
    """Build the stage of a shot of `SHOTS`, ready for `render_frame` on any of `frames`."""
    from training.render import scene, sets

    plan = SHOTS[name]
    stage = scene.new_stage(quality, threads=threads)
    rng = np.random.default_rng([seed, *plan.name.encode()])
    margin = range(frames.start - 2, frames.stop + 2)
    place = plan.place_of(seed)
    plan.subject(stage, rng, margin)
    if plan.articulated:
        articulated.light_subject(stage, place)
    sets.SETS[place](stage, np.random.default_rng([seed, *place.encode()]))
    camera = plan.camera_of(seed)
    _move_camera(stage, camera, margin, rng)
    stage.framed = plan.articulated
    stage.still_background = camera.locked_off and not stage.casts_shadows
    return stage


def _move_camera(stage: Stage, move: CameraMove, frames: range, rng: Generator) -> None:
    from training.render import scene

    camera = scene.add_camera(stage, lens_mm=move.lens_mm, focus_m=1.0, fstop=move.fstop)
    phases = rng.uniform(0, 6.28, (2, 3))

    def place(frame: float) -> None:
        ease = move.progress(frame, frames)
        shake = move.shake_m * (
            np.sin(0.8 * frame + phases[0]) + 0.5 * np.sin(1.9 * frame + phases[1])
        )
        camera.location = np.array(move.start) * (1 - ease) + np.array(move.end) * ease + shake
        target = np.array(move.look_start) * (1 - ease) + np.array(move.look_end) * ease
        scene.aim(camera, target + 0.4 * shake)
        camera.data.dof.focus_distance = (
            float(np.linalg.norm(target - np.array(camera.location))) - 0.12
        )
        camera.data.dof.keyframe_insert("focus_distance", frame=int(frame))

    scene.animate(camera, frames, place)


def render_frame(stage: Stage, frame: int, folder: Path) -> None:
    """Render the layers of one frame into `folder`; existing layers are skipped."""
    from training.render import scene

    folder.mkdir(parents=True, exist_ok=True)
    front, alpha, back = layer_paths(folder, frame)
    if not stage.subjects and not front.exists():
        scene.render_layer(stage, "foreground", frame, front)
    for name in stage.subjects:
        if not (path := subject_path(folder, frame, name)).exists():
            scene.render_layer(stage, "foreground", frame, path, subject=name)
    if not alpha.exists():
        scene.render_alpha(stage, frame, alpha)
    if not back.exists():
        _render_background(stage, frame, back)


def _render_background(stage: Stage, frame: int, path: Path) -> None:
    """Render the background; one that never changes is copied from another frame."""
    from training.render import scene

    rendered = sorted(path.parent.glob("background.????.exr")) if stage.still_background else []
    if rendered:
        part = path.with_name(f"{path.stem}.part{os.getpid()}.exr")
        shutil.copyfile(rendered[0], part)
        os.replace(part, path)
    else:
        scene.render_layer(stage, "background", frame, path)


def layer_paths(folder: Path, frame: int) -> tuple[Path, Path, Path]:
    """Return the paths of foreground, alpha and background of one frame."""
    first, second, third = (
        folder / f"{n}.{frame}.exr" for n in ("foreground", "alpha", "background")
    )
    return first, second, third


def subject_path(folder: Path, frame: int, subject: str) -> Path:
    """Return the path of the foreground of one of several subjects."""
    return folder / f"foreground.{subject}.{frame}.exr"


def rendered_paths(shot: str, folder: Path, frame: int) -> list[Path]:
    """Return the paths of everything that is rendered of one frame of a shot."""
    front, alpha, back = layer_paths(folder, frame)
    subjects = [subject_path(folder, frame, name) for name in SHOTS[shot].subjects]
    return [*(subjects or [front]), alpha, back]


def _creature(stage: Stage, rng: Generator, frames: range) -> None:
    from training.render.creature import Coat, Creature, Turn

    creature = Creature(stage, Coat(), Turn(), rng)
    creature.key(frames)
    stage.pose = creature.pose
    _golden_light(stage)


def _two_creatures(stage: Stage, rng: Generator, frames: range) -> None:
    """Put a brown creature before a grey one; they pass each other."""
    from training.render.creature import Coat, Creature, Turn
    from training.render.scene import add_area_light

    span = {"first": 1000.0, "last": 1013.0}
    brown = Creature(
        stage,
        Coat(belly=(0.4, 0.22, 0.1), count=26000),
        Turn(start=0.3, end=0.9, walk_from=(-0.54, -0.35, 0.0), walk_to=(0.46, -0.35, 0.0), **span),
        rng,
    )
    grey = Creature(
        stage,
        Coat(
            back=(0.03, 0.032, 0.038), belly=(0.5, 0.5, 0.52), length_m=0.11, count=26000,
            iris=(0.1, 0.3, 0.5),
        ),
        Turn(start=-0.2, end=-0.8, walk_from=(0.64, 0.5, 0.06), walk_to=(-0.58, 0.5, 0.06), **span),
        rng,
    )  # fmt: skip
    for name, creature in {"brown": brown, "grey": grey}.items():
        creature.key(frames)
        stage.subjects[name] = [*creature.parts, creature.fur]

    def pose(frame: int) -> None:
        brown.pose(frame)
        grey.pose(frame)

    stage.pose = pose
    add_area_light(
        stage, (-2.2, -2.4, 1.6), (0, 0, 0), watts=55, colour=(1, 0.88, 0.72), size_m=1.4
    )
    add_area_light(
        stage, (-1.5, 2.2, 1.5), (0, 0.3, 0.1), watts=220, colour=(1, 0.8, 0.5), size_m=0.7
    )


_CROSSING_CAMERA = CameraMove(
    start=(-0.2, -3.3, 0.16), end=(0.16, -3.2, 0.1),
    look_start=(0.02, 0, 0.1), look_end=(-0.02, 0, 0.1), lens_mm=49, fstop=4.0,
)  # fmt: skip


def _golden_light(stage: Stage) -> None:
    from training.render.scene import add_area_light

    add_area_light(
        stage, (-1.6, -1.6, 1.3), (0, 0, 0), watts=34, colour=(1, 0.86, 0.68), size_m=1.2
    )
    add_area_light(
        stage, (-1.5, 1.7, 1.5), (0, 0, 0.1), watts=190, colour=(1, 0.8, 0.5), size_m=0.7
    )


_CREATURE_CAMERA = CameraMove(
    start=(-0.34, -2.35, 0.12), end=(0.3, -2.1, 0.02),
    look_start=(0.05, 0, 0.03), look_end=(-0.04, 0, 0.05), lens_mm=50, fstop=2.2,
)  # fmt: skip


def _person(stage: Stage, rng: Generator, frames: range, do: Hairdo, turn: HeadTurn) -> None:
    from training.render.portrait import Portrait
    from training.render.scene import add_area_light

    person = Portrait(
        stage, do, turn, rng, skin=(0.52, 0.3, 0.2), cloth=(0.05, 0.075, 0.11), frames=frames
    )
    person.key(frames)
    stage.pose = person.pose
    add_area_light(stage, (1.3, -1.1, 0.7), (0, 0, 0), watts=17, colour=(0.8, 0.88, 1), size_m=0.9)
    add_area_light(
        stage, (-1.1, 1.3, 0.9), (0, 0, 0), watts=120, colour=(1, 0.64, 0.32), size_m=0.5
    )
    add_area_light(stage, (1.2, 1.2, 0.3), (0, 0, 0), watts=45, colour=(0.45, 0.7, 1), size_m=0.5)


def _long_hair(stage: Stage, rng: Generator, frames: range) -> None:
    _person(stage, rng, frames, Hairdo(), HeadTurn())


def _curly_hair(stage: Stage, rng: Generator, frames: range) -> None:
    do = Hairdo(
        length_m=0.24, root=(0.03, 0.012, 0.006), tip=(0.3, 0.11, 0.03),
        curl_m=0.011, curl_turns=6.5, lift=0.75, strays=0.09, clumping=0.85,
        spread_m=0.02, points=30, count=12000,
    )  # fmt: skip
    _person(stage, rng, frames, do, HeadTurn(start=-0.9, end=0.5, first=1005, last=1018))


_PERSON_CAMERA = CameraMove(
    start=(-0.12, -1.75, 0.06), end=(0.1, -1.62, 0.0),
    look_start=(-0.03, 0, -0.06), look_end=(0.03, 0, -0.05), lens_mm=75, fstop=1.4,
)  # fmt: skip


def _foliage(stage: Stage, rng: Generator, frames: range) -> None:
    from training.render.foliage import Foliage, Plant
    from training.render.scene import add_area_light

    del frames  # the wind is a function of time, so nothing is keyed
    plant = Plant(
        roots=((-0.95, 0.05, 0.62), (-0.6, 0.2, 0.75), (0.95, 0.1, 0.7), (-0.95, -0.1, 0.3)),
        towards=((0.1, 0.0, 0.28), (0.35, 0.15, 0.5), (0.42, 0.05, 0.35), (-0.35, 0.0, 0.05)),
    )
    stage.pose = Foliage(stage, plant, rng).pose
    add_area_light(
        stage, (-1.8, 2.2, 1.6), (0, 0, 0.3), watts=260, colour=(1, 0.75, 0.45), size_m=0.8
    )
    add_area_light(
        stage, (1.2, -1.8, 0.8), (0, 0, 0.3), watts=26, colour=(0.8, 0.88, 1), size_m=1.5
    )


_FOLIAGE_CAMERA = CameraMove(
    start=(0.2, -2.15, 0.2), end=(-0.16, -2.05, 0.27),
    look_start=(0.06, 0, 0.2), look_end=(-0.06, 0, 0.24), lens_mm=48, fstop=2.8,
)  # fmt: skip


def _fast_creature(stage: Stage, rng: Generator, frames: range) -> None:
    from training.render.creature import Coat, Creature, Turn

    coat = Coat(back=(0.025, 0.025, 0.03), belly=(0.5, 0.5, 0.52), length_m=0.11, count=45000)
    turn = Turn(start=1.1, end=-1.2, first=1006, last=1016, bob_m=0.035)
    creature = Creature(stage, coat, turn, rng)
    creature.key(frames)
    stage.pose = creature.pose
    _golden_light(stage)


def _blond_hair(stage: Stage, rng: Generator, frames: range) -> None:
    do = Hairdo(
        length_m=0.55, root=(0.32, 0.19, 0.075), tip=(0.82, 0.62, 0.34), wave_m=0.003, strays=0.12,
        clumping=0.35, count=10000,
    )  # fmt: skip
    _person(stage, rng, frames, do, HeadTurn(start=-2.4, end=-0.5, first=1004, last=1014))


def _net(stage: Stage, rng: Generator, frames: range) -> None:
    from training.render.drapery import Net

    del frames  # a function of time, so nothing is keyed
    stage.pose = Net(stage, rng, meshes_across=15, colour=(0.35, 0.3, 0.2)).pose
    _golden_light(stage)


def _veil(stage: Stage, rng: Generator, frames: range) -> None:
    from training.render import materials
    from training.render.drapery import Veil

    del frames
    gauze = materials.veil((0.75, 0.68, 0.6), least=0.25, most=0.7, scale=4.0)
    stage.pose = Veil(stage, rng, gauze).pose
    _golden_light(stage)


_HANGING_CAMERA = CameraMove(
    start=(0.25, -2.3, 0.15), end=(-0.2, -2.2, 0.05),
    look_start=(0.04, 0, 0.08), look_end=(-0.04, 0, 0.06), lens_mm=52, fstop=2.2,
)  # fmt: skip

SHOTS = {
    plan.name: plan
    for plan in (
        ShotPlan(name="furry_creature", subject=_creature, place="forest", camera=_CREATURE_CAMERA),
        ShotPlan(name="long_hair", subject=_long_hair, place="street", camera=_PERSON_CAMERA),
        ShotPlan(name="foliage", subject=_foliage, place="valley", camera=_FOLIAGE_CAMERA),
        ShotPlan(
            name="two_creatures",
            subject=_two_creatures,
            place="valley",
            camera=_CROSSING_CAMERA,
            subjects=("brown", "grey"),
        ),
        ShotPlan(name="curly_hair", subject=_curly_hair, place="valley", camera=_PERSON_CAMERA),
        ShotPlan(name="blond_hair", subject=_blond_hair, place="forest", camera=_PERSON_CAMERA),
        ShotPlan(
            name="fast_creature", subject=_fast_creature, place="street", camera=_CREATURE_CAMERA
        ),
        ShotPlan(name="net", subject=_net, place="valley", camera=_HANGING_CAMERA),
        ShotPlan(name="veil", subject=_veil, place="forest", camera=_HANGING_CAMERA),
        *ARTICULATED,
    )
}
"""Every shot by name; `furry_creature`, `long_hair`, `foliage` and `two_creatures` are the sample
shots."""
