"""Articulated shots: bones, skin, gaits, plans; with Blender one tiny frame of each."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from training.render import articulated, finish, gait, leash
from training.render.__main__ import cli
from training.render.blender import find_interpreter
from training.render.dog import dog_bones
from training.render.figure import SOLES_M, patterned, person_bones
from training.render.shots import FIRST_FRAME, FRAME_COUNT, SHOTS
from training.render.skeleton import (
    Actor,
    Bone,
    Skeleton,
    Stance,
    follow,
    mirrored,
    standing,
    turned,
)
from vfxmatte.errors import UsageError

FRAMES = range(FIRST_FRAME, FIRST_FRAME + FRAME_COUNT)
NAMES = [name for name, plan in SHOTS.items() if plan.articulated]
HERE = standing((0.0, 0.0, 0.0))


def test_there_are_six_articulated_shots_each_from_a_subject_and_a_set() -> None:
    from training.render.sets import SETS

    assert NAMES == ["walk", "crossed_arms", "hair_toss", "own_colours", "running_dog", "leash"]
    for name in NAMES:
        plan = SHOTS[name]
        assert {plan.place, *plan.other_places} <= set(SETS)
        assert plan.subject is getattr(articulated, name)


def test_articulated_shots_have_keyframes_every_twelve_frames() -> None:
    plan = SHOTS["walk"]
    assert plan.keyframes(FRAMES) == {1001, 1013, 1025}
    assert plan.keyframes(range(1001, 1032)) == {1001, 1013, 1025, 1031}
    assert SHOTS["long_hair"].keyframes(FRAMES) == {1001, 1025}
    assert SHOTS["two_creatures"].keyframes(range(1001, 1013)) == {1001, 1007, 1012}


def test_seed_0_has_the_planned_camera_and_other_seeds_their_own() -> None:
    for name in NAMES:
        plan = SHOTS[name]
        assert plan.camera_of(0) == plan.camera
        assert plan.place_of(0) == plan.place
        assert plan.camera_of(3) == plan.camera_of(3)
        assert plan.camera_of(3) != plan.camera_of(4) != plan.camera
    assert SHOTS["veil"].camera_of(7) == SHOTS["veil"].camera
    assert {SHOTS["walk"].place_of(seed) for seed in range(4)} == {"street", "park"}


def test_some_cameras_move_and_some_are_locked_off() -> None:
    cameras = {name: SHOTS[name].camera for name in NAMES}
    locked = {n for n, c in cameras.items() if c.start == c.end and c.shake_m == 0}
    assert locked == {"crossed_arms", "leash"}


@pytest.mark.parametrize("length", [1, 25, 60])
def test_a_steady_camera_stays_beside_its_subject_in_shots_of_any_length(length: int) -> None:
    frames = range(1001 - 2, 1001 + length + 2)
    move = SHOTS["running_dog"].camera
    way = articulated._way(np.random.default_rng(0), frames, yaw=1.5, metres=0.19)
    for frame in (1001, 1000 + length):
        share = move.progress(frame, frames)
        look = move.look_start[0] + share * (move.look_end[0] - move.look_start[0])
        assert abs(way.place(frame)[0] - look) < 0.9 + 0.02 * length
    eased = SHOTS["hair_toss"].camera
    assert [eased.progress(f, frames) for f in (frames[0], frames[-1])] == [0.0, 1.0]


def test_a_missing_interpreter_of_blender_is_said_before_anything_is_written(
    tmp_path: Path,
) -> None:
    result = CliRunner().invoke(
        cli,
        ["shots", "--shot", "walk", "-o", str(tmp_path / "walk"), "--blender-python", "/nothing"],
    )
    assert result.exit_code != 0
    assert not (tmp_path / "walk").exists()


@pytest.mark.parametrize("bones", [person_bones(), dog_bones()], ids=["person", "dog"])
def test_a_body_at_rest_stays_where_it_is(bones: list[Bone]) -> None:
    skeleton = Skeleton(bones)
    points = np.concatenate([[bone.head, bone.tail] for bone in bones]).astype(float)
    weights = skeleton.weights(points)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    moved = follow(points, weights, skeleton.matrices(Stance(root=HERE)))
    np.testing.assert_allclose(moved, points, atol=1e-12)


@pytest.mark.parametrize("bones", [person_bones(), dog_bones()], ids=["person", "dog"])
def test_bones_keep_their_length_and_stay_joined(bones: list[Bone]) -> None:
    skeleton = Skeleton(bones)
    rng = np.random.default_rng(0)
    angles = {bone.name: tuple(rng.uniform(-1, 1, 3)) for bone in bones}
    placed = skeleton.place(Stance(angles=angles, root=standing((1.0, 2.0, 3.0), 0.7)))
    for bone in bones:
        head, tail = (placed[bone.name].apply(np.array(end)) for end in (bone.head, bone.tail))
        expected = np.linalg.norm(np.subtract(bone.tail, bone.head))
        assert np.linalg.norm(tail - head) == pytest.approx(expected)
        if bone.parent:
            np.testing.assert_allclose(placed[bone.parent].apply(np.array(bone.head)), head)


def test_a_bone_moves_its_own_skin_and_not_the_other_side() -> None:
    skeleton = Skeleton(person_bones())
    left, right = np.array([0.37, 0.02, -0.83]), np.array([-0.37, 0.02, -0.83])
    points = np.stack([left, right])
    bent = Stance(angles={"forearm.L": (-1.5, 0.0, 0.0)}, root=HERE)
    moved = follow(points, skeleton.weights(points), skeleton.matrices(bent))
    assert moved[0, 1] < -0.2  # forwards
    np.testing.assert_allclose(moved[1], right, atol=1e-9)


def test_strands_follow_as_points_do() -> None:
    skeleton = Skeleton(dog_bones())
    strands = np.random.default_rng(1).normal((0, 0.3, 0.5), 0.1, (5, 4, 3))
    matrices = skeleton.matrices(
        gait.Run(travel=gait.Travel(start=(0, 0, 0)), paces=gait.GALLOP)(7)
    )
    weights = skeleton.weights(strands[:, 0])
    moved = follow(strands, weights, matrices)
    for index in range(4):
        np.testing.assert_allclose(moved[:, index], follow(strands[:, index], weights, matrices))


def test_angles_turn_about_z_first() -> None:
    quarter = np.pi / 2
    np.testing.assert_allclose(turned((quarter, 0, 0)) @ (0, 0, -1), (0, 1, 0), atol=1e-12)
    np.testing.assert_allclose(turned((quarter, 0, quarter)) @ (1, 0, 0), (0, 0, 1), atol=1e-12)


def walker() -> Actor:
    soles = [
        (f"foot.{side}", mirrored((0.12, -0.15, SOLES_M), sign))
        for side, sign in gait.SIDES.items()
    ]
    motion = gait.Walk(travel=gait.Travel(start=(0.0, 0.0, -1.45), velocity=(0.0, -0.06, 0.0)))
    return Actor(Skeleton(person_bones()), motion, soles=soles)


def test_a_walker_swings_arms_against_legs_and_a_foot_is_on_the_ground() -> None:
    actor, ahead = walker(), {}
    for name, point in (("foot.L", (0.1, 0.0, -1.5)), ("hand.L", (0.37, 0.0, -0.8))):
        track = np.array([actor.bone(name, f).apply(np.array(point))[1] for f in FRAMES])
        ahead[name] = track + 0.06 * np.arange(len(track))  # within the body
        assert np.ptp(ahead[name]) > 0.4
    assert np.corrcoef(ahead["foot.L"], ahead["hand.L"])[0, 1] < -0.7
    for frame in FRAMES:
        low = [
            actor.bone(f"foot.{s}", frame).apply(np.array(mirrored((0.12, -0.15, SOLES_M), sign)))[
                2
            ]
            for s, sign in gait.SIDES.items()
        ]
        assert min(low) == pytest.approx(-1.45)


@pytest.mark.parametrize("paces", [gait.GALLOP, gait.TROT])
def test_a_dogs_gait_repeats_and_its_legs_take_turns(paces: gait.Paces) -> None:
    run = gait.Run(travel=gait.Travel(start=(0.0, 0.0, 0.0)), paces=paces)
    skeleton = Skeleton(dog_bones())

    def feet(frame: float) -> dict[str, float]:
        placed = skeleton.place(run(frame))
        ends = {"paw": (0.08, -0.265, 0.022), "hock": (0.085, 0.29, 0.022)}
        return {
            f"{bone}.{side}": float(placed[f"{bone}.{side}"].apply(np.array(mirrored(end, s)))[1])
            for bone, end in ends.items()
            for side, s in gait.SIDES.items()
        }

    assert feet(1003.0) == pytest.approx(feet(1003.0 + paces.period))
    track = {name: [feet(1001 + 0.5 * i)[name] for i in range(40)] for name in feet(1001.0)}
    assert all(np.ptp(values) > 0.25 for values in track.values())
    assert np.corrcoef(track["paw.L"], track["hock.L"])[0, 1] < 0


def test_a_gesture_reaches_its_keys_and_rests_there() -> None:
    keys = {"arm.L": ((1003.0, (0.0, 0.0, 0.0)), (1010.0, (-1.0, 0.5, 0.0)))}
    gesture = gait.Gesture(travel=gait.Travel(start=(0.0, 0.0, 0.0)), keys=keys)
    assert gesture(1001.0).angles["arm.L"] == (0.0, 0.0, 0.0)
    assert gesture(1006.5).angles["arm.L"] == pytest.approx((-0.5, 0.25, 0.0))
    assert gesture(1020.0).angles["arm.L"] == (-1.0, 0.5, 0.0)


def test_a_leash_hangs_deeper_where_its_ends_are_nearer() -> None:
    assert leash.sag(0.6, 1.25) > leash.sag(1.2, 1.25) > 0
    assert leash.sag(1.4, 1.25) < 0.06  # taut


def test_patterns_have_both_colours() -> None:
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (3000, 3))
    for pattern in ("stripes", "checks", "blotches"):
        share = patterned(pattern, points)
        assert share.min() == 0 and share.max() == 1
    assert not patterned("plain", points).any()


@pytest.mark.parametrize("name", NAMES)
def test_one_tiny_frame_is_rendered(name: str, tmp_path: Path) -> None:
    try:
        interpreter = find_interpreter()
    except UsageError:
        pytest.skip("Blender as a module (bpy) is not installed")
    out = tmp_path / name
    result = CliRunner().invoke(
        cli,
        ["shots", "--shot", name, "-o", str(out), "--size", "96x54", "--frames", "1008-1008",
         "--samples", "4", "--colour-samples", "1", "--blender-python", str(interpreter)],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    alpha = finish.read_channels(out / "alpha/alpha.1008.exr", "A")[..., 0]
    assert 0.03 < (alpha > 0.9).mean() < 0.6
    assert (alpha < 0.1).mean() > 0.3
    plate = finish.read_channels(out / "plate/plate.1008.exr", "RGB")
    assert np.isfinite(plate).all() and plate[alpha > 0.9].std() > 0
    trimap = cv2.imread(str(out / "trimaps/trimap.1008.png"), cv2.IMREAD_GRAYSCALE)
    assert trimap is not None and (trimap == 128).any()
