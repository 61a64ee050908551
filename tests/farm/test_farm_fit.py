"""Jobs for farms of shots that are fitted: a task for the fit, which the chunks find."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.farm.conftest import invoke, openjd, parameters, read, step_names
from tests.fitting.conftest import QUICK_OPTIONS


@pytest.mark.parametrize("more", [[], ["--no-chunking"]])
def test_a_job_begins_with_the_fit_that_its_chunks_use(
    folder: Path, tmp_path: Path, light_weights: Path, program: Path, more: list[str]
) -> None:
    how = ["--weights", light_weights, "--device", "cpu", *QUICK_OPTIONS]
    bundle = tmp_path / "job"
    made = invoke("farm", folder, *how, "-o", bundle, "--chunk", 4, "--vfxmatte", program, *more)
    assert made.exit_code == 0, made.output
    assert step_names(bundle) == ["Fit", "Solve", "Merge"]
    fit, solve, _ = read(bundle / "template.json")["steps"]
    assert solve["dependencies"] == [{"dependsOn": "Fit"}]
    assert fit["hostRequirements"] == solve["hostRequirements"]
    said = openjd("run", bundle / "template.json", "-p", parameters(bundle))
    before, _, after = said.partition("Running step 'Solve'")
    assert "Running step 'Fit'" in before and "openjd_progress: 50.0" in before
    assert "fitted to the shot: on keyframe 1004" in before and "fitting to the shot" not in after
    manifest = read(folder / "matte" / "manifest.json")
    assert [frame["state"] for frame in manifest["frames"]] == ["done"] * 8
    assert len(list((folder / "matte" / "fit").glob("*.json"))) == 1


def test_a_job_without_a_fit_has_no_task_for_it(
    folder: Path, tmp_path: Path, light_weights: Path, tiny_weights: Path
) -> None:
    def steps(*how: object) -> list[str]:
        bundle = tmp_path / "job"
        result = invoke("farm", folder, *how, "--device", "cpu", "-o", bundle, "--overwrite")
        assert result.exit_code == 0, result.output
        return step_names(bundle)

    light = ["--weights", light_weights]
    assert steps(*light, "--fit", "1") == ["Fit", "Solve", "Merge"]
    assert steps(*light) == ["Solve", "Merge"]  # five frames between keyframes are not worth it
    assert steps(*light, "--set", "fit.fewest_frames=5") == ["Fit", "Solve", "Merge"]
    assert steps(*light, "--fit", "off") == ["Solve", "Merge"]
    assert steps(*light, "--fit", "1", "--engine", "trimap") == ["Solve", "Merge"]
    assert steps("--weights", tiny_weights) == ["Solve", "Merge"]
    part = ["--frames", "1002-1003"]  # the fit is the shot's, whichever frames a job has
    assert steps(*light, "--fit", "1", *part) == ["Fit", "Solve", "Merge"]
    for number in (1004, 1008):
        next((folder / "trimaps").glob(f"*.{number}.png")).unlink()
    assert steps(*light, "--fit", "1") == ["Solve", "Merge"]  # one keyframe


def test_each_shot_of_a_batch_has_its_own_fit(
    shots: Path, tmp_path: Path, light_weights: Path
) -> None:
    list_of = shots.read_text().replace("--keyframe-growth 0.5", "--keyframe-growth 0.5 --fit off")
    shots.write_text(list_of)
    how = ["--weights", light_weights, "--device", "cpu", *QUICK_OPTIONS]
    bundle = tmp_path / "job"
    assert invoke("farm", shots, *how, "-o", bundle).exit_code == 0
    assert step_names(bundle) == [
        "Fit sh010_show", "Solve sh010_show", "Merge sh010_show", "Solve sh020", "Merge sh020",
        "Fit sh010_elsewhere", "Solve sh010_elsewhere", "Merge sh010_elsewhere",
    ]  # fmt: skip
    assert "passes validation" in openjd("check", bundle / "template.json")
    steps = {step["name"]: step for step in read(bundle / "template.json")["steps"]}
    assert steps["Solve sh010_show"]["dependencies"] == [{"dependsOn": "Fit sh010_show"}]
    assert "dependencies" not in steps["Solve sh020"]


def test_a_fit_on_several_devices(folder: Path, light_weights: Path) -> None:
    how = ["--weights", light_weights, "--device", "cpu,cpu", *QUICK_OPTIONS, "--openjd"]
    result = invoke("fit", folder, *how, "--frames", "1001-1007:2")
    assert result.exit_code == 0, result.output
    assert "openjd_progress: 50.0" in result.stdout
