"""Several subjects by the command line, the server, its client and ComfyUI's node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nodes.vfxmatte_client.job import Job
from nodes.vfxmatte_client.parameters import command_options, request_params
from tests.subjects import NUMBERS, WINDOW, alpha, write_keyframe, write_subjects
from vfxmatte.cli import commands
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.reporting.totals import suggestion
from vfxmatte.serve.params import Params
from vfxmatte.serve.requests import RunRequest
from vfxmatte.serve.rpc import RpcError
from vfxmatte.types import FrameResult


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A shot, and the run that has solved it with layers and sheets; read only."""
    folder = write_subjects(tmp_path_factory.mktemp("subjects") / "shot")
    more = ("--subject-layers", "--preview", "sheet", "--json")
    return folder, invoke("run", folder, "--engine", "bright", "--workers", 2, *more)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(commands, [str(a) for a in arguments], prog_name="vfxmatte")


def events(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_events_name_the_subject_and_totals_have_the_mattes_of_each(
    solved: tuple[Path, Result],
) -> None:
    folder, result = solved
    assert result.exit_code == 0, result.output
    start, *frames, totals = events(result)
    assert start["count"] == 16 and start["subjects"] == {
        "cat": [1001, 1008],
        "dog": [1001, 1004, 1006, 1008],
    }
    assert [(f["frame"], f["subject"]) for f in frames] == [
        (n, s) for n in NUMBERS for s in ("cat", "dog")
    ]
    assert totals["written"] == 16
    matte = str(folder / "matte")
    assert totals["subjects"] == {s: f"{matte}/{s}/matte.####.exr" for s in ("cat", "dog")}
    assert totals["files"] == [f"{matte}/{s}/preview.png" for s in ("cat", "dog")]
    assert all(Path(name).is_file() for name in totals["files"])


def test_lines_on_screen_name_the_subject(solved: tuple[Path, Result]) -> None:
    folder, _ = solved
    result = invoke("run", folder, "--engine", "bright", "--subject", "dog")
    assert "keyframes  dog: 1001,1004,1006,1008" in result.output
    assert "1001 dog kept  1/8" in result.output
    assert f"mattes   {folder}/matte/dog/matte.####.exr" in result.output


def test_check_lists_each_subjects_keyframes(solved: tuple[Path, Result]) -> None:
    folder, _ = solved
    text = invoke("check", folder, "--engine", "bright").output
    assert "keyframe   cat: 1001 " in text and "keyframe   dog: 1004 " in text
    assert "to do      0 of 16 mattes of 8 frames, for cat, dog" in text
    record = json.loads(invoke("check", folder, "--engine", "bright", "--json").output)
    assert record["finished"] == 16 and record["subjects"]["dog"]["finished"] == 8


def test_merge_reports_each_subject(solved: tuple[Path, Result]) -> None:
    folder, _ = solved
    result = invoke("merge", folder, "--engine", "bright", "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.output)
    assert record["complete"] and record["subjects"]["cat"]["good"] == "1001-1008"


def test_a_movie_needs_one_subject(solved: tuple[Path, Result], tmp_path: Path) -> None:
    folder, _ = solved
    movie = tmp_path / "dog.mov"
    result = invoke("run", folder, "--engine", "bright", "--movie", movie)
    assert (
        result.exit_code == 2 and "a movie holds one matte, and this run makes 2" in result.output
    )
    result = invoke("run", folder, "--engine", "bright", "--movie", movie, "--subject", "dog")
    assert result.exit_code == 0 and movie.stat().st_size > 1000


def test_commands_for_one_matte_ask_which(solved: tuple[Path, Result]) -> None:
    folder, _ = solved
    result = invoke("evaluate", folder, "--engine", "bright")
    assert result.exit_code == 2
    assert "2 subjects, and this needs one" in result.output and "--subject cat" in result.output


def test_one_subject_is_measured_against_its_own_alpha(
    solved: tuple[Path, Result], tmp_path: Path
) -> None:
    folder, _ = solved
    for number in NUMBERS:
        path = folder / "alpha" / "dog" / f"alpha.{number}.exr"
        path.parent.mkdir(parents=True, exist_ok=True)
        planes = {"A": alpha("dog", number)}
        write_exr(path, planes, data_window=WINDOW, display_window=WINDOW)
    result = invoke("evaluate", folder, "--engine", "bright", "--subject", "dog", "--json")
    assert result.exit_code == 0, result.output
    frames = [e for e in events(result) if e["event"] == "frame"]
    assert [frame["frame"] for frame in frames] == [*NUMBERS]


def test_a_missing_keyframe_ends_the_run_with_3(tmp_path: Path) -> None:
    folder = write_subjects(tmp_path / "shot")
    (folder / "trimaps" / "eel").mkdir()
    result = invoke("run", folder, "--engine", "bright")
    assert result.exit_code == 3 and "the subject 'eel' has no keyframe trimap" in result.output
    assert not (folder / "matte").exists()


def test_a_farm_job_carries_subjects_and_their_keyframes(
    solved: tuple[Path, Result], tmp_path: Path
) -> None:
    folder, _ = solved
    more = ("--subject", "dog", "--subject-layers", "--engine", "bright")
    result = invoke("farm", folder, "-o", tmp_path / "job", *more)
    assert result.exit_code == 0, result.output
    template = json.loads((tmp_path / "job" / "template.json").read_text())
    for step in template["steps"]:
        arguments = step["script"]["actions"]["onRun"]["args"]
        at = arguments.index("--subject")
        assert arguments[at + 1] == "dog"
        assert arguments[arguments.index("--subject-layers") + 1].startswith("--")
    references = json.loads((tmp_path / "job" / "asset_references.json").read_text())
    files = references["assetReferences"]["inputs"]["filenames"]
    assert {str(p) for p in folder.glob("trimaps/*/*.png")} <= set(files)


# -- the server, the client, ComfyUI --------------------------------------------------------------


def test_a_request_may_name_subjects(solved: tuple[Path, Result]) -> None:
    folder, _ = solved
    for value, names in (("dog", {"dog"}), (["cat", "dog"], {"cat", "dog"}), (None, set())):
        request = RunRequest.from_params(Params({"shot": str(folder), "subject": value}))
        assert request.shot.chosen == names
    with pytest.raises(RpcError, match="subject must be a text or a list of texts"):
        RunRequest.from_params(Params({"shot": str(folder), "subject": 7}))


def test_the_client_sends_subjects() -> None:
    assert request_params("run", {"shot": "/s", "subject": "dog"})["subject"] == ["dog"]
    params = request_params("open", {"shot": "/s", "subject": ["cat", "dog"]})
    assert command_options(params)[:5] == ["/s", "--subject", "cat", "--subject", "dog"]
    assert "subject" not in request_params("run", {"shot": "/s", "subject": ""})


def test_a_frame_of_each_subject_is_reported_once() -> None:
    seen: list[Any] = []
    job = Job("run-1", seen.append)
    for subject in ("cat", "dog", "cat"):
        job.report({"event": "frame", "frame": 1001, "subject": subject, "path": None})
    assert [event["subject"] for event in seen] == ["cat", "dog"]


def test_a_keyframe_is_suggested_for_the_subject_that_needs_it() -> None:
    def result(subject: str, number: int, distance: int, confidence: float) -> FrameResult:
        stats = {"confidence": confidence, "unknown_share": 0.1, "keyframe_distance": distance}
        return FrameResult(number=number, status="written", subject=subject, stats=stats)

    frames = [
        result(subject, number, distance, confidence if distance else 1.0)
        for subject, confidence in (("cat", 0.9), ("dog", 0.3))
        for number, distance in ((1001, 0), (1002, 1), (1003, 0))
    ]
    found = suggestion(frames)
    assert (found["suggested_subject"], found["suggested_keyframe"]) == ("dog", 1002)


def test_a_changed_keyframe_by_the_command_line(tmp_path: Path) -> None:
    folder = write_subjects(tmp_path / "shot")
    invoke("run", folder, "--engine", "bright", "--workers", 2, "--frames", "1006-1008")
    write_keyframe(folder / "trimaps" / "dog", "dog", 1008, band_px=6)
    result = invoke(
        "run", folder, "--engine", "bright", "--workers", 2, "--frames", "1006-1008", "--json"
    )
    frames = [
        (e["frame"], e["subject"], e["status"]) for e in events(result) if e["event"] == "frame"
    ]
    assert sorted(frames) == [
        (1006, "cat", "kept"), (1006, "dog", "kept"),
        (1007, "cat", "written"), (1007, "dog", "written"),
        (1008, "cat", "written"), (1008, "dog", "written"),
    ]  # fmt: skip


def test_locks_are_of_all_subjects_or_of_the_chosen_ones(tmp_path: Path) -> None:
    folder = write_subjects(tmp_path / "shot")
    assert invoke("run", folder, "--engine", "bright", "--workers", 2, "--quiet").exit_code == 0

    def locked(*arguments: object) -> dict[str, list[int]]:
        result = invoke("lock", folder, *arguments, "--json")
        assert result.exit_code == 0, result.output
        return {one["subject"]: one["locked"] for one in events(result)}

    assert locked() == {"cat": [], "dog": []}
    assert locked("1003-1004", "--subject", "dog") == {"dog": [1003, 1004]}
    assert locked("1003") == {"cat": [1003], "dog": [1003, 1004]}
    shown = invoke("lock", folder).output.splitlines()
    assert shown[:2] == ["subject    cat", "locked     frame 1003"]
    unlocked = invoke("unlock", folder, "--all")
    assert unlocked.exit_code == 0, unlocked.output
    assert locked() == {"cat": [], "dog": []}
