"""Features together: several subjects, locks, limits, finished mattes, layers, fits, chunks."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import OpenEXR
import pytest
from click.testing import CliRunner

from tests.pipeline.checked_runs import as_checked, files, solve, statuses, write_alpha, write_still
from tests.subjects import NUMBERS, WINDOW, alpha, settings_of, write_keyframe, write_subjects
from vfxmatte.batch.checked import CheckedShot
from vfxmatte.cli.group import commands
from vfxmatte.errors import ShotError, UsageError
from vfxmatte.io.mattes import read_matte
from vfxmatte.paint.desk import Desk
from vfxmatte.pipeline.locking import lock
from vfxmatte.pipeline.merge import merge
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subject_shots import chosen, one_subject
from vfxmatte.pipeline.subjects_run import open_run
from vfxmatte.reporting.inspection import inspect
from vfxmatte.review.withholding import Withholding
from vfxmatte.types import FloatImage, Window

CROSSING = 1006  # here the cat and the dog touch


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_subjects(tmp_path / "pair")


def shot_at(folder: Path, *subjects: str, **settings: Any) -> Shot:
    return chosen(replace(Shot.open(folder), settings=settings_of(**settings)), subjects)


def matte(folder: Path, subject: str, number: int, window: Window = WINDOW) -> FloatImage:
    return read_matte(folder / "matte" / subject / f"matte.{number}.exr", window)


def lock_frames(folder: Path, subject: str, *numbers: int) -> None:
    lock(one_subject(shot_at(folder, subject)), numbers)


# -- subjects and locks ----------------------------------------------------------------------------


@pytest.mark.parametrize("again", [("dog",), ()])
def test_others_give_way_to_a_locked_matte(folder: Path, again: tuple[str, ...]) -> None:
    solve(shot_at(folder))
    lock_frames(folder, "cat", CROSSING)
    path = folder / "matte" / "cat" / f"matte.{CROSSING}.exr"
    kept = path.read_bytes()
    for number in (1004, 1006, 1008):
        write_keyframe(folder / "trimaps" / "dog", "dog", number, band_px=8)
    as_checked(shot_at(folder, *again))
    assert path.read_bytes() == kept
    total = matte(folder, "cat", CROSSING).astype(np.float64) + matte(folder, "dog", CROSSING)
    assert total.max() <= 1
    solve(shot_at(folder), overwrite=True)
    assert path.read_bytes() == kept
    assert (matte(folder, "cat", CROSSING) + matte(folder, "dog", CROSSING)).max() <= 1


def test_an_edited_locked_matte_makes_the_others_give_way_again(folder: Path) -> None:
    solve(shot_at(folder))
    lock_frames(folder, "cat", CROSSING)
    as_checked(shot_at(folder))
    edited = np.clip(matte(folder, "cat", CROSSING) + 0.5 * alpha("dog", CROSSING), 0, 1)
    write_alpha(folder / "matte" / "cat" / f"matte.{CROSSING}.exr", edited)
    results = as_checked(shot_at(folder))
    assert CROSSING in statuses(results)["dog"]
    assert (edited.astype(np.float64) + matte(folder, "dog", CROSSING)).max() <= 1
    assert not statuses(as_checked(shot_at(folder)))


def test_locks_of_both_subjects_in_every_order_of_runs(folder: Path) -> None:
    solve(shot_at(folder))
    lock_frames(folder, "cat", 1005, CROSSING)
    lock_frames(folder, "dog", CROSSING)
    before = files(folder / "matte")
    as_checked(shot_at(folder, "dog"))
    as_checked(shot_at(folder))
    assert not statuses(as_checked(shot_at(folder, "cat")))
    after = files(folder / "matte")
    locked = (f"cat/matte.{CROSSING}.exr", f"dog/matte.{CROSSING}.exr", "cat/matte.1005.exr")
    assert all(after[name] == before[name] for name in locked)


def test_a_lock_in_chunks_and_merge(folder: Path) -> None:
    solve(shot_at(folder))
    lock_frames(folder, "cat", CROSSING)
    output = folder.parent / "apart"
    shutil.copytree(folder / "matte", output)
    solve(shot_at(folder))
    for frames in ("1001-1005", "1006-1008"):
        solve(replace(shot_at(folder, frames=frames), output=output), chunk=True)
    report = merge(replace(shot_at(folder), output=output))
    assert report.complete, report.lines()
    found, expected = files(output), files(folder / "matte")
    assert {n: found[n] for n in expected} == expected


def test_layers_of_a_locked_matte_that_was_edited(folder: Path) -> None:
    solve(shot_at(folder, subject_layers=True))
    lock_frames(folder, "cat", CROSSING)
    solve(shot_at(folder, subject_layers=True))
    edited = (0.5 * alpha("cat", CROSSING)).astype(np.float32)
    write_alpha(folder / "matte" / "cat" / f"matte.{CROSSING}.exr", edited)
    solve(shot_at(folder, subject_layers=True))
    path = folder / "matte" / f"matte.{CROSSING}.exr"
    with OpenEXR.File(str(path), separate_channels=True) as file:
        planes = {name: one.pixels.astype(np.float32) for name, one in file.channels().items()}
    np.testing.assert_allclose(planes["cat.A"], edited, atol=1e-3)
    np.testing.assert_array_equal(planes["dog.A"], matte(folder, "dog", CROSSING))
    before = path.read_bytes()
    solve(shot_at(folder, subject_layers=True))
    assert path.read_bytes() == before


def test_layers_of_a_matte_locked_in_another_format(folder: Path) -> None:
    solve(shot_at(folder, output={"format": "tiff"}))
    lock_frames(folder, "cat", CROSSING)
    solve(shot_at(folder, subject_layers=True))
    path = folder / "matte" / f"matte.{CROSSING}.exr"
    with OpenEXR.File(str(path), separate_channels=True) as file:
        own = file.channels()["cat.A"].pixels.astype(np.float32)
    locked = read_matte(folder / "matte" / "cat" / f"matte.{CROSSING}.tif", WINDOW)
    np.testing.assert_allclose(own, locked, atol=1e-3)


# -- subjects and garbage, core and finished mattes ------------------------------------------------


def test_each_subject_has_its_own_limits(folder: Path) -> None:
    half = np.zeros(WINDOW.shape, np.float32)
    half[:, :64] = 1
    write_still(folder / "garbage" / "dog" / "wall.png", 1 - half)
    write_still(folder / "core" / "cat" / "solid.png", np.where(alpha("cat", 1008) == 1, 1, 0))
    as_checked(shot_at(folder))
    for number in NUMBERS:
        assert (matte(folder, "dog", number)[:, :64] == 0).all()
    assert matte(folder, "cat", 1001)[:, :64].max() > 0.9
    assert not statuses(as_checked(shot_at(folder)))
    write_still(folder / "garbage" / "dog" / "wall.png", np.ones(WINDOW.shape, np.float32))
    results = as_checked(shot_at(folder, "dog"))
    assert set(statuses(results)) == {"dog"}


@pytest.mark.parametrize("kind", ["garbage", "core", "keys"])
def test_flat_limits_are_refused_by_run_and_check(folder: Path, kind: str) -> None:
    write_still(folder / kind / f"{kind}.1001.png", np.zeros(WINDOW.shape, np.float32))
    with pytest.raises(UsageError, match=f"{kind} mattes lie in a folder for each") as raised:
        open_run(shot_at(folder))
    assert str(folder / kind) in str(raised.value)
    assert any(kind in str(problem) for problem in inspect(shot_at(folder)).problems)


def test_edges_are_refused_by_run_and_check(folder: Path) -> None:
    shot = shot_at(folder, matte={"gamma": 2.0})
    with pytest.raises(UsageError, match="several"):
        open_run(shot)
    assert any("[matte]" in str(problem) for problem in inspect(shot).problems)


def test_a_finished_matte_is_delivered_as_it_is_beside_another_subject(folder: Path) -> None:
    soft = np.clip(0.8 * alpha("cat", CROSSING) + 0.3 * alpha("dog", CROSSING), 0, 1)
    soft = soft.astype(np.float16).astype(np.float32)
    write_alpha(folder / "keys" / "cat" / f"matte.{CROSSING}.exr", soft)
    as_checked(shot_at(folder))
    np.testing.assert_array_equal(matte(folder, "cat", CROSSING), soft)
    assert (soft.astype(np.float64) + matte(folder, "dog", CROSSING)).max() <= 1
    results = as_checked(shot_at(folder, output={"pixel_type": "float"}))
    assert CROSSING in statuses(results)["cat"]
    np.testing.assert_array_equal(matte(folder, "cat", CROSSING), soft)


def test_finished_mattes_are_keyframes_enough_for_a_subject(folder: Path) -> None:
    for path in (folder / "trimaps" / "cat").iterdir():
        path.unlink()
    with pytest.raises(ShotError, match="'cat' has no keyframe"):
        open_run(shot_at(folder))
    for number in (1001, 1008):
        write_alpha(folder / "keys" / "cat" / f"matte.{number}.exr", alpha("cat", number))
    assert set(statuses(as_checked(shot_at(folder)))) == {"cat", "dog"}


# -- subjects and foregrounds ----------------------------------------------------------------------


def test_layers_of_rewritten_frames_have_the_trimap_on_disk(folder: Path) -> None:
    layers = {"layers": ["alpha", "trimap", "foreground=fg"], "pixel_type": "float"}
    solve(shot_at(folder, output={"pixel_type": "float"}))
    results = as_checked(shot_at(folder, output=layers, subject_layers=True))
    assert statuses(results) == {"cat": [*NUMBERS], "dog": [*NUMBERS]}
    for number in (1001, CROSSING):
        for subject in ("cat", "dog"):
            output = folder / "matte" / subject
            with OpenEXR.File(str(output / f"matte.{number}.exr"), separate_channels=True) as file:
                names = set(file.channels())
                found = file.channels()["trimap.Y"].pixels.astype(np.float32)
            disk = cv2.imread(str(output / "trimaps" / f"trimap.{number}.png"), 0)
            assert disk is not None
            np.testing.assert_allclose(found, disk / 255, atol=0.01)
        with OpenEXR.File(
            str(folder / "matte" / f"matte.{number}.exr"), separate_channels=True
        ) as file:
            layered = set(file.channels())
        assert {f"{s}_{n}" for s in ("cat", "dog") for n in names if "." in n} <= layered
        assert {"A", "cat.A", "dog.A"} <= layered
    solve(replace(shot_at(folder, output=layers), output=folder.parent / "afresh"))
    found, expected = files(folder / "matte"), files(folder.parent / "afresh")
    assert {n: found[n] for n in expected} == expected


# -- subjects and the other doors ------------------------------------------------------------------


def test_a_batch_counts_a_result_for_each_subject(folder: Path) -> None:
    shot = shot_at(folder)
    one = CheckedShot("pair", "here", shot, inspect(shot))
    assert (one.frames, one.to_do) == (2 * len(NUMBERS), 2 * len(NUMBERS))
    solve(shot)
    one = CheckedShot("pair", "here", shot, inspect(shot))
    assert (one.frames, one.finished, one.to_do) == (16, 16, 0)


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(commands, list(map(str, arguments)))


def test_a_batch_of_both_kinds_of_shots(folder: Path, tiny_shot: Path) -> None:
    done = invoke("batch", folder, tiny_shot, "--engine", "trimap")
    assert done.exit_code == 0, done.output
    assert "21/21" in done.stdout
    assert (folder / "matte" / "dog" / "matte.1003.exr").is_file()


def test_a_review_is_of_one_subject(folder: Path, tmp_path: Path) -> None:
    solve(shot_at(folder))
    refused = invoke("review", folder)
    assert refused.exit_code == 2 and "--subject cat" in refused.output
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    done = invoke("review", folder, "--subject", "dog", "--against", other, "--json")
    assert done.exit_code == 0, done.output
    assert (folder / "matte" / "dog" / "review.html").is_file()
    record = json.loads((folder / "matte" / "dog" / "review.json").read_text("utf-8"))
    assert list(record["against"]) == ["other/matte/dog"]


def test_the_page_paints_no_shot_with_several_subjects(folder: Path) -> None:
    with pytest.raises(ShotError, match="cat, dog"):
        Desk(Shot.open(folder), folder)


def test_folders_of_the_paint_page_are_no_subjects(folder: Path, tiny_shot: Path) -> None:
    for place in (folder / "trimaps", folder / "trimaps" / "cat", tiny_shot / "trimaps"):
        for name in ("replaced", "unsaved"):
            (place / name).mkdir()
            shutil.copy(tiny_shot / "trimaps" / "trimap.1001.png", place / name)
    assert list(Shot.open(folder).subjects) == ["cat", "dog"]
    shot = Shot.open(tiny_shot)
    assert not shot.subjects and not any("folders of images" in n for n in notes_of(shot))
    for path in (tiny_shot / "trimaps").glob("*.png"):
        path.unlink()
    shot = Shot.open(tiny_shot)
    assert not shot.subjects and not shot.keyframes
    with pytest.raises(ShotError, match="no keyframe"):
        open_run(shot)


def notes_of(shot: Shot) -> Sequence[str]:
    with open_run(shot) as run:
        return run.plan.notes


def test_withholding_from_one_subject_withholds(folder: Path) -> None:
    with pytest.raises(UsageError, match="--subject cat"):
        Withholding(shot=shot_at(folder))
    found = list(Withholding(shot=shot_at(folder, "dog")).frames())
    assert [(one.number, one.withheld) for one in found] == [(1004, (1004,)), (1006, (1006,))]
    assert all(one.error is None and (one.confidence or 1) < 1 for one in found)


def test_a_finished_matte_is_not_withheld(folder: Path) -> None:
    write_alpha(folder / "keys" / "dog" / "matte.1004.exr", alpha("dog", 1004))
    found = list(Withholding(shot=shot_at(folder, "dog")).frames())
    assert [one.number for one in found] == [1006] and found[0].error is None


def test_several_subjects_are_not_fitted(folder: Path, tiny_weights: Path) -> None:
    engine = {"name": "dim", "weights": str(tiny_weights), "device": "cpu"}
    shot = shot_at(folder, engine=engine, fit={"when": "on"}, frames="1001-1002")
    assert set(statuses(as_checked(shot))) == {"cat", "dog"}
    assert not list((folder / "matte").rglob("*.safetensors"))


# -- two runs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"output": {"layers": ["alpha", "trimap", "foreground=fg"]}},
        {"output": {"foreground": "straight"}},
        {"matte": {"soften_px": 1.0}},
        {"output": {"format": "tiff"}, "matte": {"grow_px": 1.0}},
    ],
)
def test_a_second_run_does_nothing(tiny_shot: Path, settings: dict[str, Any]) -> None:
    shot = replace(Shot.open(tiny_shot), settings=settings_of(**settings))
    as_checked(shot)
    before = files(shot.output)
    assert not statuses(as_checked(shot))
    assert files(shot.output) == before
