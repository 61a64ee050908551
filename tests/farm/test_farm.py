"""Jobs for farms: validated and run by Open Job Description's own program, and refused in time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.cli import commands
from vfxmatte.errors import UsageError
from vfxmatte.farm.ranges import from_openjd, part_from, starts, to_openjd
from vfxmatte.io.stills.reading import read_image
from vfxmatte.journal.journal import Journal
from vfxmatte.types import FrameList, FrameRange, frames_of

NUMBERS = list(range(1001, 1009))
ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shot = MovingShot(frames=8, width=64, height=48, keyframes=(1001, 1004, 1008))
    return shot.write(tmp_path / "show a" / "creature")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """How workers call vfxmatte."""
    path = tmp_path / "vfxmatte.sh"
    path.write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}" OMP_NUM_THREADS=1 '
        f'exec "{sys.executable}" -m vfxmatte.cli "$@"\n'
    )
    path.chmod(0o755)
    return path


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(commands, [str(a) for a in arguments], prog_name="vfxmatte")


def openjd(*arguments: object) -> str:
    """What the program says; it must be content."""
    pytest.importorskip("openjd.cli")
    done = subprocess.run(
        [sys.executable, "-m", "openjd", *map(str, arguments)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def parameters(bundle: Path) -> str:
    return f"file://{bundle / 'openjd_parameters.json'}"


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def assert_same(one: Path, other: Path, numbers: list[int]) -> None:
    for number in numbers:
        a, b = (read_image(f / f"matte.{number}.exr") for f in (one, other))
        assert a.pixels.tobytes() == b.pixels.tobytes() and a.pixels.std() > 0
    a, b = ({n: r.fingerprint for n, r in Journal.peek(f).records.items()} for f in (one, other))
    assert a == b and sorted(a) == numbers


def test_a_job_runs_step_by_step_and_gives_what_a_run_gives(
    folder: Path, tmp_path: Path, tiny_weights: Path, program: Path
) -> None:
    how = ["--weights", tiny_weights, "--device", "cpu", "--keyframe-growth", "0.5"]
    assert invoke("run", folder, *how, "--output", tmp_path / "plain").exit_code == 0
    bundle = tmp_path / "job"
    result = invoke("farm", folder, *how, "-o", bundle, "--chunk", 4, "--vfxmatte", program)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in bundle.iterdir()) == [
        "asset_references.json", "openjd_parameters.json", "parameter_values.json",
        "template.json",
    ]  # fmt: skip
    assert "passes validation" in openjd("check", bundle / "template.json")
    said = openjd("run", bundle / "template.json", "-p", parameters(bundle))
    assert "Chunks run: 3" in said and "Running step 'Merge'" in said
    assert "Frame(CHUNK[INT]) = 1005-1008" in said
    assert "openjd_progress: 50.0" in said and "openjd_fail" not in said
    assert_same(folder / "matte", tmp_path / "plain", NUMBERS)
    manifest = read(folder / "matte" / "manifest.json")
    assert [frame["state"] for frame in manifest["frames"]] == ["done"] * 8


def test_without_chunking_and_with_all_paths_mapped(
    folder: Path, tmp_path: Path, tiny_weights: Path, program: Path
) -> None:
    """Every second frame; the worker mounts the shows elsewhere."""
    how = ["--weights", tiny_weights, "--device", "cpu", "--frames", "1002-1008x2"]
    assert invoke("run", folder, *how, "--output", tmp_path / "plain").exit_code == 0
    bundle = tmp_path / "job"
    more = ["--no-chunking", "--chunk", 2, "--vfxmatte", program]
    assert invoke("farm", folder, *how, "-o", bundle, *more).exit_code == 0
    worker = tmp_path / "mnt"
    (tmp_path / "show a").rename(worker)
    rules = {
        "version": "pathmapping-1.0",
        "path_mapping_rules": [
            {
                "source_path_format": "POSIX",
                "source_path": str(tmp_path / "show a"),
                "destination_path": str(worker),
            }
        ],
    }
    assert "extensions" not in read(bundle / "template.json")
    openjd("check", bundle / "template.json", "--extensions", "")
    said = openjd(
        "run", bundle / "template.json", "-p", parameters(bundle),
        "--path-mapping-rules", json.dumps(rules),
    )  # fmt: skip
    assert "Start(INT) = 1002" in said and "Start(INT) = 1006" in said
    assert_same(worker / "creature" / "matte", tmp_path / "plain", [1002, 1004, 1006, 1008])
    assert not (tmp_path / "show a").exists()


def test_a_failed_frame_fails_its_task_and_says_so_to_the_scheduler(
    folder: Path, tiny_weights: Path
) -> None:
    (folder / "plate" / "plate.1003.exr").write_bytes(b"rubbish")
    how = [folder, "--weights", tiny_weights, "--device", "cpu", "--openjd"]
    result = invoke("run", *how, "--frames", "1001-1005:2", "--chunk")
    assert result.exit_code == 1
    (line,) = [one for one in result.stdout.splitlines() if one.startswith("openjd_fail: ")]
    assert "frame 1003 failed" in line and "plate.1003.exr" in line
    assert "openjd_progress: 100.0" in result.stdout
    result = invoke("merge", *how, "--frames", "1001-1007:2")
    assert result.exit_code == 1
    assert "openjd_fail: missing frame 1007\n" in result.stdout
    assert "openjd_fail: failed frame 1003" in result.stdout
    result = invoke("merge", *how[:-1], "--json")
    found = json.loads(result.stdout)
    assert found["good"] == "1001,1005" and list(found["failed"]) == ["1003"]
    assert (result.exit_code, found["complete"]) == (1, False)


def test_workers_get_every_option_and_schedulers_every_path(
    folder: Path, tmp_path: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ocio = tmp_path / "studio.ocio"
    import PyOpenColorIO

    ocio.write_text(PyOpenColorIO.Config.CreateFromFile("ocio://default").serialize())
    monkeypatch.setenv("OCIO", str(ocio))
    (folder / "shot.toml").write_text(f'[engine]\nweights = "{tiny_weights}"\n')
    more = ["--set", "propagation.growth_px=2", "--set", "workers=3", "--mode", "fast"]
    result = invoke("farm", folder, "-o", tmp_path / "job", *more, "--device", "cuda:0,1")
    assert result.exit_code == 0, result.output
    solve, merge = read(tmp_path / "job" / "template.json")["steps"]
    arguments = solve["script"]["actions"]["onRun"]["args"]
    for step in (arguments, merge["script"]["actions"]["onRun"]["args"]):
        text = " ".join(step)
        assert "--mode fast --set propagation.growth_px=2 --set workers=3" in text
        assert "--weights {{Param.Weights}} --ocio {{Param.Ocio}}" in text
        assert str(tmp_path) not in text
    amounts = {one["name"]: one["min"] for one in solve["hostRequirements"]["amounts"]}
    assert amounts == {"amount.worker.gpu": 2, "amount.worker.memory": 16 * 1024}
    assert merge["dependencies"] == [{"dependsOn": "Solve"}]
    chosen = read(tmp_path / "job" / "openjd_parameters.json")
    assert chosen["Ocio"] == str(ocio) and chosen["Weights"] == str(tiny_weights)
    values = read(tmp_path / "job" / "parameter_values.json")["parameterValues"]
    assert {one["name"]: one["value"] for one in values} == chosen
    inputs = read(tmp_path / "job" / "asset_references.json")["assetReferences"]["inputs"]
    assert str(folder / "plate") in inputs["directories"]
    assert {str(ocio), str(tiny_weights), str(folder / "shot.toml")} <= set(inputs["filenames"])


def test_parts_instead_of_a_folder(folder: Path, tmp_path: Path) -> None:
    plate = folder / "plate" / "plate.####.exr"
    parts = ["--plate", plate, "--trimaps", folder / "trimaps", "--output", tmp_path / "out"]
    assert invoke("farm", *parts, "-o", tmp_path / "job").exit_code == 0
    chosen = read(tmp_path / "job" / "openjd_parameters.json")
    assert chosen["Plate"] == str(plate) and "Shot" not in chosen
    assert chosen["Frames"] == "1001-1008" and chosen["Output"] == str(tmp_path / "out")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--frames", "5-1"], 2, "is empty"),
        (["--frames", "2001-2010"], 3, "no frame of 2001-2010 is in the plate"),
        (["--frames", "1005-1020"], 3, "the plate lacks 12 of 16 frames"),
        (["--chunk", "0"], 2, "a chunk has 1 frame or more"),
        (["--gpus", "-1"], 2, "0 GPUs or more"),
        (["--vfxmatte", "{{x"], 2, "cannot stand in a job template"),
        (["--device", "cuda:0,"], 2, "not a list of devices"),
    ],
)
def test_a_bad_job_is_refused_before_anything_is_written(
    folder: Path, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    result = invoke("farm", folder, "-o", tmp_path / "job", *arguments)
    assert result.exit_code == code and said in result.stderr, result.output
    assert not (tmp_path / "job").exists() and not (folder / "matte").exists()


def test_another_job_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    job = [folder, "-o", tmp_path / "job"]
    assert invoke("farm", *job).exit_code == 0
    assert invoke("farm", *job).exit_code == 0  # the same again
    before = {p: p.read_bytes() for p in (tmp_path / "job").iterdir()}
    result = invoke("farm", *job, "--chunk", 7)
    assert result.exit_code == 3 and "there is another job already" in result.stderr
    assert {p: p.read_bytes() for p in (tmp_path / "job").iterdir()} == before
    assert invoke("farm", *job, "--chunk", 7, "--overwrite").exit_code == 0
    assert read(tmp_path / "job" / "openjd_parameters.json")["ChunkSize"] == 7


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--chunk-start", "1001"], "belong together"),
        (["--chunk-start", "1001", "--chunk-size", "4"], "belong together"),
        (["--chunk", "--frames", "1001-1008", "--chunk-start", "1009", "--chunk-size", "4"],
         "no chunk of 1001-1008 starts at 1009"),
        (["--chunk", "--frames", "1001-1008x2", "--chunk-start", "1002", "--chunk-size", "4"],
         "no chunk of 1001-1008x2 starts at 1002"),
        (["--chunk", "--movie", "a.mov"], "a chunk makes no movie"),
        (["--openjd", "--frames", "1001,1002,,1005"], "not a range of Open Job Description"),
        (["--openjd", "--frames", "1001-1008x2"], "not a range of Open Job Description"),
    ],
)  # fmt: skip
def test_a_part_that_is_none_is_refused(folder: Path, arguments: list[str], said: str) -> None:
    result = invoke("run", folder, *arguments)
    assert result.exit_code == 2 and said in result.output
    assert not (folder / "matte").exists()


ranges = st.builds(
    lambda first, length, step: FrameRange(first=first, last=first + length, step=step),
    st.integers(-100, 3000), st.integers(0, 300), st.integers(1, 9),
)  # fmt: skip


@given(frames=ranges, size=st.integers(1, 60))
def test_chunks_from_their_starts_are_the_range(frames: FrameRange, size: int) -> None:
    chunks = [part_from(frames, start, size) for start in starts(frames, size)]
    assert [n for chunk in chunks for n in chunk] == list(frames)
    assert all(len(chunk) <= size for chunk in chunks)


@settings(deadline=None)  # the first example imports the model
@given(frames=ranges)
def test_openjd_s_dialect_means_the_same_frames(frames: FrameRange) -> None:
    text = to_openjd(frames)
    assert list(from_openjd(text)) == list(frames)
    model = pytest.importorskip("openjd.model")
    assert list(model.IntRangeExpr.from_str(text)) == list(frames)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1-10:3", [1, 4, 7, 10]),
        ("1,5,9-12", [1, 5, 9, 10, 11, 12]),
        ("10-1:-3", [1, 4, 7, 10]),
        ("1001-1002,1004-1005", [1001, 1002, 1004, 1005]),
        ("9-11, 1 - 5 : 2 ,20", [1, 3, 5, 9, 10, 11, 20]),
        ("-5--1:2,3", [-5, -3, -1, 3]),
        ("7", [7]),
    ],
)
def test_any_frame_list_of_a_scheduler_is_read(text: str, numbers: list[int]) -> None:
    model = pytest.importorskip("openjd.model")
    assert sorted(model.IntRangeExpr.from_str(text)) == numbers
    frames = from_openjd(text)
    assert list(frames) == numbers
    assert list(from_openjd(to_openjd(frames))) == numbers
    assert FrameList.parse(str(frames)) == frames


@pytest.mark.parametrize("text", ["", "1-5:0", "5-1", "1-5:-1", "1-5x2", "1,,2", "a", "1-5:2:2"])
def test_what_a_scheduler_refuses_is_refused(text: str) -> None:
    model = pytest.importorskip("openjd.model")
    with pytest.raises(Exception):  # noqa: B017 - whatever theirs is
        model.IntRangeExpr.from_str(text)
    with pytest.raises(UsageError):
        from_openjd(text)


@settings(deadline=None)
@given(numbers=st.sets(st.integers(-50, 200), min_size=1), size=st.integers(1, 9))
def test_any_numbers_round_trip(numbers: set[int], size: int) -> None:
    frames = frames_of(numbers)
    assert list(frames) == sorted(numbers) == list(FrameList.parse(str(frames)))
    assert list(from_openjd(to_openjd(frames))) == sorted(numbers)
    model = pytest.importorskip("openjd.model")
    assert list(model.IntRangeExpr.from_str(to_openjd(frames))) == sorted(numbers)
    chunks = [part_from(frames, start, size) for start in starts(frames, size)]
    assert [n for chunk in chunks for n in chunk] == sorted(numbers)


@pytest.mark.parametrize("frames", ["1001-1002,1004-1005", "1008-1001:-3", "1001,1003,1006-1008"])
def test_a_submitter_s_own_frames_run_and_merge(
    folder: Path, tmp_path: Path, tiny_weights: Path, program: Path, frames: str
) -> None:
    """The frames are changed when the job is submitted, not when it is written."""
    bundle = tmp_path / "job"
    how = ["--weights", tiny_weights, "--device", "cpu", "--vfxmatte", program, "--chunk", 2]
    assert invoke("farm", folder, *how, "-o", bundle).exit_code == 0
    chosen = read(bundle / "openjd_parameters.json") | {"Frames": frames}
    (bundle / "mine.json").write_text(json.dumps(chosen))
    said = openjd("run", bundle / "template.json", "-p", f"file://{bundle / 'mine.json'}")
    assert "Running step 'Merge'" in said and "openjd_fail" not in said
    manifest = read(folder / "matte" / "manifest.json")
    assert [f["frame"] for f in manifest["frames"]] == list(from_openjd(frames))
    assert all(f["state"] == "done" for f in manifest["frames"])


@pytest.mark.parametrize("more", [[], ["--no-chunking"]])
def test_a_job_of_listed_frames(
    folder: Path, tmp_path: Path, tiny_weights: Path, program: Path, more: list[str]
) -> None:
    how = ["--weights", tiny_weights, "--device", "cpu", "--frames", "1001-1003,1006,1008"]
    bundle = tmp_path / "job"
    made = invoke("farm", folder, *how, "-o", bundle, "--vfxmatte", program, "--chunk", 2, *more)
    assert made.exit_code == 0, made.output
    openjd("run", bundle / "template.json", "-p", parameters(bundle))
    manifest = read(folder / "matte" / "manifest.json")
    assert [f["frame"] for f in manifest["frames"]] == [1001, 1002, 1003, 1006, 1008]


def test_a_submitter_s_window_has_hints_defaults_and_conda(
    folder: Path, tmp_path: Path, tiny_weights: Path, program: Path
) -> None:
    bundle = tmp_path / "job"
    how = ["--weights", tiny_weights, "--device", "cpu", "--vfxmatte", program, "--chunk", 1]
    more = ["--chunk-seconds", 600, "--conda-packages", "vfxmatte=0.1", "--conda-channels", "ours"]
    assert invoke("farm", folder, *how, *more, "-o", bundle).exit_code == 0
    template, chosen = read(bundle / "template.json"), read(bundle / "openjd_parameters.json")
    found = {one["name"]: one for one in template["parameterDefinitions"]}
    assert list(found) == list(chosen)
    for name, one in found.items():
        assert one["userInterface"]["control"] and one["userInterface"]["label"], name
        assert one["type"] == "PATH" or one["default"] == chosen[name], name
    assert (chosen["CondaPackages"], chosen["CondaChannels"]) == ("vfxmatte=0.1", "ours")
    chunks = template["steps"][0]["parameterSpace"]["taskParameterDefinitions"][0]["chunks"]
    assert chunks["targetRuntimeSeconds"] == "{{Param.ChunkSeconds}}"
    openjd("check", bundle / "template.json")
    said = openjd("run", bundle / "template.json", "-p", parameters(bundle))
    assert "Chunks run: 3" in said  # one frame, then as many as fit the time; and the merge
    manifest = read(folder / "matte" / "manifest.json")
    assert [f["frame"] for f in manifest["frames"]] == NUMBERS


def test_a_time_below_zero_is_refused(folder: Path, tmp_path: Path) -> None:
    result = invoke("farm", folder, "-o", tmp_path / "job", "--chunk-seconds", "-1")
    assert result.exit_code == 2 and "0 seconds or more" in result.stderr


def test_two_frames_may_come_with_a_comma() -> None:
    assert list(from_openjd("1001,1003")) == [1001, 1003]
    assert list(from_openjd("-5--3")) == [-5, -4, -3]
    with pytest.raises(UsageError):
        from_openjd("")


def test_writing_a_job_loads_no_torch(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom vfxmatte.cli import commands\n"
        f"commands(['farm', {str(folder)!r}, '-o', {str(tmp_path / 'job')!r}], "
        "standalone_mode=False)\nassert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": ROOT}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "job" / "template.json").is_file()


# -- the fit to the shot -----------------------------------------------------------------------


QUICK_FIT = ["--fit", "0.0333", "--set", "fit.crop_px=64", "--set", "fit.batch=2"]


def step_names(bundle: Path) -> list[str]:
    return [step["name"] for step in read(bundle / "template.json")["steps"]]


@pytest.mark.parametrize("more", [[], ["--no-chunking"]])
def test_a_job_begins_with_the_fit_that_its_chunks_use(
    folder: Path, tmp_path: Path, light_weights: Path, program: Path, more: list[str]
) -> None:
    how = ["--weights", light_weights, "--device", "cpu", *QUICK_FIT]
    bundle = tmp_path / "job"
    made = invoke("farm", folder, *how, "-o", bundle, "--chunk", 4, "--vfxmatte", program, *more)
    assert made.exit_code == 0, made.output
    assert step_names(bundle) == ["Fit", "Solve", "Merge"]
    fit, solve, _ = read(bundle / "template.json")["steps"]
    assert solve["dependencies"] == [{"dependsOn": "Fit"}]
    assert fit["hostRequirements"] == solve["hostRequirements"]
    said = openjd("run", bundle / "template.json", "-p", parameters(bundle))
    before, _, after = said.partition("Running step 'Solve'")
    assert "Running step 'Fit'" in before and "openjd_progress: 25.0" in before
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
    how = ["--weights", light_weights, "--device", "cpu", *QUICK_FIT]
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
    how = ["--weights", light_weights, "--device", "cpu,cpu", *QUICK_FIT, "--openjd"]
    result = invoke("fit", folder, *how, "--frames", "1001-1007:2")
    assert result.exit_code == 0, result.output
    assert "openjd_progress: 25.0" in result.stdout


# -- many shots as one job ---------------------------------------------------------------------


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Two shots of different settings and lengths, a third in another place, and their list."""
    for name, count in (("show/sh010", 4), ("show/sh020", 6), ("elsewhere/sh010", 4)):
        numbers = (1001, 1000 + count)
        MovingShot(frames=count, width=64, height=48, keyframes=numbers).write(tmp_path / name)
    (tmp_path / "tonight.txt").write_text(
        "show/sh010\nshow/sh020 --frames 1002-1006x2 --keyframe-growth 0.5\nelsewhere/sh010\n"
    )
    return tmp_path / "tonight.txt"


def test_many_shots_are_one_job_that_gives_what_a_batch_gives(
    shots: Path, tmp_path: Path, program: Path
) -> None:
    how = ["--engine", "trimap", "--device", "cpu"]
    plain = tmp_path / "plain"
    assert invoke("batch", shots, *how, "-o", plain).exit_code == 0
    bundle = tmp_path / "job"
    made = invoke("farm", shots, *how, "-o", bundle, "--chunk", 3, "--vfxmatte", program)
    assert made.exit_code == 0, made.output
    content, chosen = read(bundle / "template.json"), read(bundle / "openjd_parameters.json")
    assert content["name"] == "vfxmatte tonight"
    assert [step["name"] for step in content["steps"]] == [
        "Solve sh010_show", "Merge sh010_show", "Solve sh020", "Merge sh020",
        "Solve sh010_elsewhere", "Merge sh010_elsewhere",
    ]  # fmt: skip
    assert (chosen["Shots"], chosen["Shots2"]) == (
        str(tmp_path / "show"),
        str(shots.parent / "elsewhere"),
    )
    assert str(tmp_path) not in json.dumps(content["steps"])
    assert "passes validation" in openjd("check", bundle / "template.json")
    said = openjd("run", bundle / "template.json", "-p", parameters(bundle))
    assert "openjd_fail" not in said
    for place, name, numbers in (
        ("show/sh010", "sh010_show", [1001, 1002, 1003, 1004]),
        ("show/sh020", "sh020", [1002, 1004, 1006]),
        ("elsewhere/sh010", "sh010_elsewhere", [1001, 1002, 1003, 1004]),
    ):
        assert_same(tmp_path / place / "matte", plain / name, numbers)


def test_many_shots_by_pattern_without_chunking(shots: Path, tmp_path: Path) -> None:
    how = ["--no-chunking", "--chunk", 4, "--output", tmp_path / "out"]
    made = invoke("farm", tmp_path / "show", *how, "-o", tmp_path / "job")
    assert made.exit_code == 0, made.output
    content, chosen = (
        read(tmp_path / "job" / f"{n}.json") for n in ("template", "openjd_parameters")
    )
    assert content["name"] == "vfxmatte show" and len(content["steps"]) == 4
    openjd("check", tmp_path / "job" / "template.json", "--extensions", "")
    assert chosen["Output"] == str(tmp_path / "out" / "sh010")
    assert chosen["Output2"] == str(tmp_path / "out" / "sh020")
    flows = {one["name"]: one.get("dataFlow") for one in content["parameterDefinitions"]}
    assert (flows["Shots"], flows["Output2"]) == ("NONE", "INOUT")
    references = read(tmp_path / "job" / "asset_references.json")["assetReferences"]
    assert references["outputs"]["directories"] == [chosen["Output"], chosen["Output2"]]


def test_a_broken_shot_keeps_the_job_from_being_written(shots: Path, tmp_path: Path) -> None:
    (tmp_path / "show" / "sh020" / "trimaps" / "trimap.1001.png").write_bytes(b"rubbish")
    result = invoke("farm", shots, "-o", tmp_path / "job")
    assert result.exit_code == 3 and "sh020" in result.stderr and "trimap.1001" in result.stderr
    assert not (tmp_path / "job").exists()
    result = invoke("farm", shots, "-o", tmp_path / "job", "--keep-going")
    assert result.exit_code == 1 and "sh020" in result.stderr
    names = [step["name"] for step in read(tmp_path / "job" / "template.json")["steps"]]
    assert names[::2] == ["Solve sh010_show", "Solve sh010_elsewhere"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--frames", "1001-1002"], "--frames cannot go with several shots"),
        (["--cut", "{list}"], "SHOT cannot go with --cut"),
        (["--handles", "3"], "--handles without a cut"),
    ],
)
def test_what_does_not_go_with_many_shots(
    shots: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    words = [word.format(list=shots) for word in arguments]
    result = invoke("farm", shots, "-o", tmp_path / "job", *words)
    assert result.exit_code == 2 and said in result.stderr, result.output
    assert not (tmp_path / "job").exists()


def test_shots_in_too_many_places_are_no_single_job(tmp_path: Path) -> None:
    for number in range(46):
        place = tmp_path / f"place{number}" / "sh010"
        MovingShot(frames=2, width=16, height=16, keyframes=(1001,)).write(place)
    result = invoke("farm", tmp_path / "place*" / "sh010", "-o", tmp_path / "job")
    assert result.exit_code == 2 and "46 places, too many for one job" in result.stderr
