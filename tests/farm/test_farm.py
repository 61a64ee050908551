"""Jobs for farms: validated and run by Open Job Description's own program, and refused in time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.farm.conftest import ROOT, assert_same, invoke, openjd, parameters, read
from vfxmatte.errors import UsageError
from vfxmatte.farm.ranges import from_openjd, part_from, starts, to_openjd
from vfxmatte.types import FrameList, FrameRange, frames_of

NUMBERS = list(range(1001, 1009))


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
