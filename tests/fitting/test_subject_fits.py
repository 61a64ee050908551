"""Fits of a shot with several subjects: each is made from, and used for, its subject alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fitting.conftest import QUICK
from tests.subjects import (
    MOTION_ALONE,
    NUMBERS,
    WINDOW,
    alpha_of,
    as_single_shot,
    contents,
    write_keyframe,
    write_subjects,
)
from vfxmatte.cli.group import commands
from vfxmatte.common.configuration import changed
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.fitting import fit as fit_module
from vfxmatte.fitting.fit import FitProgress
from vfxmatte.io.mattes import read_matte
from vfxmatte.pipeline.merge import merge
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subject_shots import chosen
from vfxmatte.pipeline.subjects_run import open_run
from vfxmatte.reporting.inspection import inspect
from vfxmatte.types import FrameResult

pytestmark = pytest.mark.usefixtures("always")


@pytest.fixture
def shot(tmp_path: Path, light_weights: Path) -> Shot:
    return shot_in(write_subjects(tmp_path / "two of them"), light_weights)


def shot_in(folder: Path, weights: Path) -> Shot:
    settings = RunSettings(engine=EngineSettings(weights=weights, device="cpu"), fit=QUICK)
    settings = changed(settings, {"propagation": MOTION_ALONE})
    return replace(Shot.open(folder), settings=settings)


Solved = tuple[list[FrameResult], list[str], list[FitProgress]]


@pytest.fixture(scope="module")
def solved_once(
    tmp_path_factory: pytest.TempPathFactory, light_weights: Path
) -> tuple[Path, Solved]:
    """The folder of such a shot, and what solving it has given; read only."""
    folder = write_subjects(tmp_path_factory.mktemp("fitted") / "two of them")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_module, "_BETTER", 1e9)
        return folder, solved(shot_in(folder, light_weights))


@pytest.fixture
def fitted(tmp_path: Path, solved_once: tuple[Path, Solved], light_weights: Path) -> Shot:
    """The same shot as `solved(shot)` leaves it: a copy."""
    folder = shutil.copytree(solved_once[0], tmp_path / "two of them")
    return shot_in(Path(folder), light_weights)


def solved(shot: Shot, **options: object) -> Solved:
    """The results, what was said, and the progress of the fits."""
    said: list[str] = []
    steps: list[FitProgress] = []
    with open_run(shot, **options) as run:
        run.tell(steps.append, said.append)
        results = list(run.frames())
    assert not [result.error for result in results if result.error]
    return results, said, steps


def written(results: Sequence[FrameResult]) -> dict[str, list[int]]:
    frames: dict[str, list[int]] = {}
    for result in results:
        if result.status == "written":
            frames.setdefault(str(result.subject), []).append(result.number)
    return frames


def fits(shot: Shot) -> dict[str, list[Path]]:
    return {
        name: sorted((shot.output / name / "fit").glob("*.safetensors")) for name in ("cat", "dog")
    }


FEW = [1004, 1005, 1006]


def few_of(shot: Shot) -> Shot:
    """A part of its frames; the fits are the shot's nevertheless."""
    return replace(shot, settings=changed(shot.settings, {"frames": "1004-1006"}))


def folder_of(shot: Shot) -> Path:
    return shot.output.parent


def test_each_is_fitted_to_its_own_keyframes_and_kept_in_its_own_folder(
    fitted: Shot, solved_once: tuple[Path, Solved]
) -> None:
    results, said, steps = solved_once[1]
    assert written(results) == {"cat": [*NUMBERS], "dog": [*NUMBERS]}
    assert [p.subject for p in steps] == ["cat"] * QUICK.steps + ["dog"] * QUICK.steps
    assert said[0].startswith("cat: fitted to the shot: on keyframe 1008")
    assert said[1].startswith("dog: fitted to the shot: on keyframe 1006")
    made = fits(fitted)
    assert all(len(paths) == 1 for paths in made.values())
    assert made["cat"][0].read_bytes() != made["dog"][0].read_bytes()
    before = contents(fitted.output)
    results, _, steps = solved(fitted)
    assert {r.status for r in results} == {"kept"} and not steps
    assert contents(fitted.output) == before
    assert inspect(fitted).finished == 16


def test_a_fit_and_its_mattes_are_those_of_the_subject_alone(fitted: Shot, tmp_path: Path) -> None:
    for subject in ("cat", "dog"):
        folder = as_single_shot(folder_of(fitted), subject, tmp_path / subject)
        settings = changed(fitted.settings, {"frames": "1001-1002"})
        solved(replace(Shot.open(folder), settings=settings))
        (own,) = (folder / "matte" / "fit").glob("*.safetensors")
        (beside,) = fits(fitted)[subject]
        assert own.name == beside.name  # the recipe
        for number in (1001, 1002):  # they are apart there
            alone = read_matte(folder / "matte" / f"matte.{number}.exr", WINDOW)
            assert (alpha_of(folder_of(fitted), subject, number) == alone).all()


def test_another_keyframe_makes_another_fit_of_its_subject_alone(fitted: Shot) -> None:
    before = fits(fitted)
    write_keyframe(folder_of(fitted) / "trimaps" / "dog", "dog", 1003)
    again = replace(Shot.open(folder_of(fitted)), settings=fitted.settings)
    found = inspect(again)
    assert found.stale == 4  # the dog's between its keyframes, 1003 among them
    results, said, steps = solved(again)
    assert {p.subject for p in steps} == {"dog"}
    assert "dog" in said[1] and fits(fitted)["cat"] == before["cat"]
    assert fits(fitted)["dog"] != before["dog"]
    keyframes = {1001, 1004, 1006, 1008}
    assert set(written(results)["dog"]) == set(NUMBERS) - keyframes


def test_one_alone_uses_and_makes_its_own(shot: Shot) -> None:
    shot = few_of(shot)
    results, _, steps = solved(chosen(shot, ["cat"]))
    assert {p.subject for p in steps} == {"cat"} and not fits(shot)["dog"]
    assert written(results) == {"cat": FEW}
    results, _, steps = solved(shot)
    assert {p.subject for p in steps} == {"dog"}
    assert written(results)["dog"] == FEW
    results, _, steps = solved(chosen(shot, ["dog"]))
    assert {r.status for r in results} == {"kept"} and not steps


def test_chunks_after_the_command_equal_the_whole(
    fitted: Shot, tmp_path: Path, light_weights: Path
) -> None:
    apart = replace(fitted, output=tmp_path / "apart")
    (folder_of(fitted) / "shot.toml").write_text(
        f'[engine]\nweights = "{light_weights}"\ndevice = "cpu"\n'
        f'[fit]\nwhen = "on"\nminutes = {QUICK.minutes}\ncrop_px = 64\nbatch = 2\n'
        "[propagation]\ntighten = false\n[propagation.clean_plate]\nmoving = false\n"
    )
    command = ["fit", str(folder_of(fitted)), "-o", str(apart.output), "--json"]
    done = CliRunner().invoke(commands, command)
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in done.output.splitlines()]
    assert [(row["subject"], row["fit"]["used"]) for row in rows] == [("cat", True), ("dog", True)]
    for numbers in ((1001, 1002, 1003), (1004, 1005, 1006, 1007, 1008)):
        _, _, steps = solved(apart, chunk=True, only=numbers)
        assert not steps
    assert merge(apart).good == NUMBERS
    assert contents(apart.output) == contents(fitted.output)
    said = CliRunner().invoke(commands, [*command[:-1], "--fit", "off"])
    assert said.output.splitlines() == [
        "cat: this shot is not to be fitted", "dog: this shot is not to be fitted"
    ]  # fmt: skip


def test_a_job_begins_with_the_fits(shot: Shot, tmp_path: Path, light_weights: Path) -> None:
    def steps(*how: str) -> list[str]:
        weights = ["--weights", str(light_weights), "--device", "cpu"]
        command = ["farm", str(folder_of(shot)), *weights, *how, "-o", str(tmp_path / "job")]
        made = CliRunner().invoke(commands, [*command, "--overwrite"])
        assert made.exit_code == 0, made.output
        template = json.loads((tmp_path / "job" / "template.json").read_text())
        return [step["name"] for step in template["steps"]]

    assert steps("--fit", "1") == ["Fit", "Solve", "Merge"]
    assert steps("--fit", "off") == ["Solve", "Merge"]
    assert steps("--fit", "1", "--subject", "cat") == ["Fit", "Solve", "Merge"]
    (folder_of(shot) / "trimaps" / "cat" / "trimap.1008.png").unlink()
    assert steps("--fit", "1", "--subject", "cat") == ["Solve", "Merge"]


@pytest.mark.usefixtures("warm_children")
def test_several_devices_find_the_fits(fitted: Shot, tmp_path: Path) -> None:
    two = changed(few_of(fitted).settings, {"engine": {"device": "cpu,cpu"}})
    other = replace(fitted, output=tmp_path / "two", settings=two)
    results, _, steps = solved(other)
    found = {subject: sorted(numbers) for subject, numbers in written(results).items()}
    assert found == {"cat": FEW, "dog": FEW}
    assert [p.subject for p in steps] == ["cat"] * 2 + ["dog"] * 2  # once, not by each device
    whole, part = contents(fitted.output), contents(other.output)
    assert len(part) == 2 * 2 * 3 and part == {name: whole[name] for name in part}


def test_a_subject_that_is_not_fitted_leaves_the_other_its_fit(
    shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder_of(shot) / "trimaps" / "cat" / "trimap.1008.png").unlink()  # one keyframe: too few
    alone = few_of(replace(Shot.open(folder_of(shot)), settings=shot.settings))
    results, said, steps = solved(alone)
    assert {p.subject for p in steps} == {"dog"} and len(said) == 1
    assert written(results) == {"cat": FEW, "dog": FEW}
    assert {r.status for r in solved(alone)[0]} == {"kept"}


def test_a_fit_that_fails_is_left_out_for_its_subject(
    shot: Shot, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = fit_module.fit, []

    def failing(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError
        return whole(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(fit_module, "fit", failing)
    results, said, _ = solved(few_of(shot))
    assert said[0].startswith("cat: not fitted to the shot") and said[1].startswith("dog: fitted")
    assert written(results) == {"cat": FEW, "dog": FEW}
    assert not fits(shot)["cat"] and fits(shot)["dog"]
