"""One bad frame is one failed frame, in whatever stage and of whatever kind; and every run ends
with its totals."""

from __future__ import annotations

import copy
import errno
import functools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.cli import commands
from vfxmatte.engines.protocol import Task, known_alpha
from vfxmatte.engines.registry import register
from vfxmatte.errors import (
    DeviceError,
    OutputError,
    PlateError,
    TrimapError,
    UnforeseenError,
    as_foreseen,
    concerns_all_frames,
)
from vfxmatte.io.sequence_plate import SequencePlate
from vfxmatte.journal.error_log import LOG_NAME, logged
from vfxmatte.pipeline import keyframes, plate_reader, prepared, results, shot, stages
from vfxmatte.pipeline import run as pipeline
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.shot import Shot
from vfxmatte.propagation import segment
from vfxmatte.types import FrameResult, Matte

NUMBERS = list(range(1001, 1009))
BAD = 1006
UNFORESEEN = [
    ValueError("no such time code"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    MemoryError(),
    KeyError("width"),
    OSError(errno.EIO, "a bad sector"),
    TrimapError("odd"),
    RuntimeError(""),
]


class Known:
    """Takes the trimap for the matte; quick."""

    device = "cpu"

    def describe(self) -> dict[str, str]:
        return {"engine": "known"}

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte]:
        for one in tasks:
            yield Matte(number=one.number, alpha=known_alpha(one.trimap.labels))

    def close(self) -> None:
        pass


@pytest.fixture(scope="module", autouse=True)
def known_engine() -> None:
    from vfxmatte.engines.registry import engine_names

    if "known" not in engine_names():
        register("known", lambda settings: Known())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight frames, 1001 to 1008, keyframes on 1001, 1004 and 1008."""
    made = MovingShot(frames=8, width=64, height=48, keyframes=(1001, 1004, 1008))
    return made.write(tmp_path / "shot")


def solve(folder: Path, **how: Any) -> dict[int, FrameResult]:
    with Run(Shot.open(folder), engine=Known(), **how) as run:
        return {result.number: result for result in run.frames()}


def failing(original: Callable[..., Any], error: BaseException, number: Callable[..., int]) -> Any:
    def stage(*args: Any, **how: Any) -> Any:
        if number(*args, **how) == BAD:
            raise copy.copy(error)  # `at` gives it a place
        return original(*args, **how)

    return stage


STAGES: dict[str, tuple[Any, str, Callable[..., int]]] = {
    "reading": (SequencePlate, "read", lambda plate, number: number),
    "motion": (plate_reader.PlateReader, "_proxy", lambda own, frame, size: frame.number),
    "trimap": (segment, "resized", lambda *args, **how: BAD if how else 0),
    "trimap file": (results.Results, "write_trimap", lambda own, trimap: trimap.number),
    "colour": (stages, "to_network", lambda frame, colours: frame.number),
    "engine": (stages.Task, "__post_init__", lambda own: own.number),
    "writing": (results.Results, "write_matte", lambda own, matte, *rest: matte.number),
}


@pytest.mark.parametrize("error", UNFORESEEN, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("stage", ["reading", "trimap file", "colour", "engine", "writing"])
def test_whatever_is_raised_for_a_frame_is_its_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch, stage: str, error: Exception
) -> None:
    owner, name, number = STAGES[stage]
    monkeypatch.setattr(owner, name, failing(getattr(owner, name), error, number))
    found = solve(folder)
    assert list(found) == NUMBERS
    assert [n for n, one in found.items() if one.status == "failed"] == [BAD]
    failure = found[BAD].error
    assert failure is not None and failure.frame == BAD and failure.shot == "shot"
    assert failure.path == str(folder / "plate" / f"plate.{BAD}.exr")
    log = folder / "matte" / LOG_NAME
    if isinstance(error, TrimapError):
        assert failure.what == "odd" and not log.exists()
        return
    assert isinstance(failure, UnforeseenError) and str(log) in str(failure.hint)
    text = log.read_text(encoding="utf-8")
    assert "Traceback (most recent call last)" in text and f"frame {BAD}" in text
    assert type(error).__name__ in text and text[:2] == "20"
    manifest = json.loads((folder / "matte" / "manifest.json").read_text(encoding="utf-8"))
    states = {frame["frame"]: frame["state"] for frame in manifest["frames"]}
    assert states == dict.fromkeys(NUMBERS, "done") | {BAD: "failed"}
    monkeypatch.undo()
    assert [n for n, one in solve(folder).items() if one.status == "written"] == [BAD]


def test_a_trimap_that_cannot_be_made_is_its_frame_s_failure(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = segment.TrackedBack._merged

    def merged(self: Any, number: int, step: Any) -> Any:
        if number == BAD:
            raise IndexError("no such row")
        return given(self, number, step)

    monkeypatch.setattr(segment.TrackedBack, "_merged", merged)
    found = solve(folder)
    assert list(found) == NUMBERS
    assert [n for n, one in found.items() if one.status == "failed"] == [BAD]
    assert "no such row" in str(found[BAD].error)


def test_motion_that_cannot_be_found_fails_its_segment_and_no_other(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its frames is named; keyframes and other segments are delivered."""
    flow = segment.SegmentWork.track_back

    def follow(self: Any, readable: Any) -> Any:
        if BAD in self.numbers:
            raise PlateError("no motion here")
        return flow(self, readable)

    monkeypatch.setattr(segment.SegmentWork, "track_back", follow)
    found = solve(folder)
    assert list(found) == NUMBERS
    failed = {n: one.error for n, one in found.items() if one.error is not None}
    assert list(failed) == [1005, 1006, 1007]
    assert [error.frame for error in failed.values()] == [1005, 1006, 1007]


@pytest.mark.parametrize("number", [1001, 1004, 1008])
def test_a_reader_that_ends_is_begun_anew(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Also where a keyframe stands on the frame, on the first and on the last one."""
    read = SequencePlate.read

    def reading(self: SequencePlate, wanted: int) -> Any:
        if wanted == number:
            raise AttributeError("nobody foresaw this")
        return read(self, wanted)

    monkeypatch.setattr(SequencePlate, "read", reading)
    found = solve(folder)
    assert list(found) == NUMBERS
    assert [n for n, one in found.items() if one.status == "failed"] == [number]


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_movie_goes_on_after_a_frame_that_nobody_foresaw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A time code that cannot be, say; it is decoded in order, and begins anew behind it."""
    from vfxmatte.io.movie_plate import MoviePlate
    from vfxmatte.io.movies.movie import write_prores

    made = MovingShot(frames=5, width=64, height=48, first=1, keyframes=(1, 5))
    folder = made.write(tmp_path / "shot")
    for path in (folder / "plate").iterdir():
        path.unlink()
    frames = [np.dstack([made.pixels(n), np.ones((48, 64, 1), np.float32)]) for n in made.numbers]
    write_prores(folder / "plate" / "plate.mov", frames, 24)
    frame = MoviePlate._frame

    def odd(self: MoviePlate, wanted: int, pixels: Any) -> Any:
        if wanted == number:
            raise ValueError("hours must be below 24")
        return frame(self, wanted, pixels)

    monkeypatch.setattr(MoviePlate, "_frame", odd)
    found = solve(folder)
    assert list(found) == [1, 2, 3, 4, 5]
    assert [n for n, one in found.items() if one.status == "failed"] == [number]
    assert str(found[number].error).startswith("an error that was not foreseen: ValueError: hours")


def test_a_folder_in_a_matte_s_place_fails_that_frame_alone(folder: Path) -> None:
    (folder / "matte" / f"matte.{BAD}.exr").mkdir(parents=True)
    found = solve(folder)
    assert [n for n, one in found.items() if one.status == "failed"] == [BAD]
    assert "there is a folder of this name" in str(found[BAD].error)


def test_an_output_that_nothing_can_be_written_to_ends_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Any, matte: Any, *rest: Any) -> Path:
        raise OutputError("cannot write: permission denied") from PermissionError(13, "denied")

    monkeypatch.setattr(results.Results, "write_matte", refuse)
    monkeypatch.setattr(results.Results, "can_be_written", lambda self: False)
    with pytest.raises(OutputError, match="permission denied"):
        solve(folder)


@pytest.mark.parametrize(
    ("error", "all_frames"),
    [
        (DeviceError("lost"), True),
        (OSError(errno.ENOSPC, "full"), True),
        (OSError(errno.ENOENT, "gone"), False),
        (ValueError(), False),
        (MemoryError(), False),
        (PlateError("damaged"), False),
    ],
)
def test_what_concerns_all_frames(error: Exception, all_frames: bool) -> None:
    assert concerns_all_frames(error) is all_frames
    wrapped = OutputError("cannot write")
    wrapped.__cause__ = error
    assert concerns_all_frames(wrapped) is (isinstance(error, OSError) and all_frames)


def test_one_log_holds_the_whole_traceback_of_each(tmp_path: Path) -> None:
    for number in (1, 2):
        try:
            int("x" * number)
        except ValueError as reason:
            error = as_foreseen(reason).at(shot="s", frame=number)
        assert logged(error, tmp_path) is error and str(tmp_path / LOG_NAME) in str(error)
    text = (tmp_path / LOG_NAME).read_text(encoding="utf-8")
    assert (
        text.count("Traceback") == 2 and "shot s, frame 2" in text and 'int("x" * number)' in text
    )
    foreseen = PlateError("damaged")
    assert logged(foreseen, tmp_path) is foreseen and foreseen.hint is None


def test_a_message_stays_short_however_long_its_error_is(tmp_path: Path) -> None:
    error = logged(ValueError("x" * 5000), tmp_path)
    assert len(error.what) < 400 and "x" * 5000 in (tmp_path / LOG_NAME).read_text("utf-8")


def test_a_log_that_cannot_be_written_goes_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    error = logged(ValueError("odd"), tmp_path / "file")
    name = str(error.hint).split(" in ")[1].split(";")[0]
    assert "odd" in Path(name).read_text(encoding="utf-8")
    Path(name).unlink()


# -- the command line -----------------------------------------------------------------------------


def events(folder: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
    arguments = ["run", str(folder), "--engine", "known", "--json", *options]
    result = CliRunner().invoke(commands, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("place", ["find", "plan", "frames", "deliver"])
def test_json_always_ends_with_its_error_and_totals(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("nobody foresaw this")

    owner, name = {
        "find": (shot, "find_keyframes"),
        "plan": (prepared, "make_plan"),
        "frames": (pipeline, "record_of"),
        "deliver": (pipeline.Run, "write_manifest"),
    }[place]
    monkeypatch.setattr(owner, name, fail)
    code, lines = events(folder)
    assert [line["event"] for line in lines[-2:]] == ["error", "totals"]
    error, totals = lines[-2:]
    assert "nobody foresaw this" in error["message"] and error["kind"] == "UnforeseenError"
    assert code == (1 if totals["written"] else 3)
    log = Path(error["hint"].split(" in ")[1].split(";")[0])
    assert "Traceback" in log.read_text(encoding="utf-8")
    if place == "find":
        log.unlink()  # no output folder is known: it lies in the temporary one
    else:
        assert log == folder / "matte" / LOG_NAME


def test_a_frame_that_fails_unforeseen_is_told_with_its_log(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, number = STAGES["colour"]
    error = KeyError("width")
    monkeypatch.setattr(owner, name, failing(getattr(owner, name), error, number))
    code, lines = events(folder)
    (bad,) = [line for line in lines if line.get("status") == "failed"]
    assert code == 1 and bad["frame"] == BAD and lines[-1]["event"] == "totals"
    assert lines[-1]["written"] == 7 and lines[-1]["failed"] == 1
    assert str(folder / "matte" / LOG_NAME) in bad["error"]["hint"]


def test_a_reader_that_goes_away_is_no_error_of_the_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`vfxmatte run --json | head -1`"""
    from vfxmatte.reporting.events import JsonReport

    def gone(*_: Any) -> None:
        raise BrokenPipeError(errno.EPIPE, "nobody reads")

    monkeypatch.setattr(JsonReport, "frame", gone)
    result = CliRunner().invoke(commands, ["run", str(folder), "--engine", "known", "--json"])
    assert result.exit_code == 1 and not (folder / "matte" / LOG_NAME).exists()
    monkeypatch.undo()
    assert events(folder)[0] == 0


def test_one_preview_that_fails_does_not_take_the_others_with_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from vfxmatte.review.delivery import Delivery

    def fail(self: Any) -> Path:
        raise ValueError("no sheet")

    monkeypatch.setattr(Delivery, "sheet", fail)
    movie = tmp_path / "out.mov"
    code, lines = events(folder, "--preview", "sheet", "--movie", str(movie))
    assert code == 1 and movie.is_file() and lines[-1]["files"] == [str(movie)]
    assert [line["message"] for line in lines if line["event"] == "error"] == [
        "an error that was not foreseen: ValueError: no sheet"
    ]


def test_a_plate_that_vanishes_before_the_movie_leaves_a_gap_in_it(
    folder: Path, tmp_path: Path
) -> None:
    assert events(folder)[0] == 0
    (folder / "plate" / f"plate.{BAD}.exr").write_bytes(b"rubbish")
    movie = tmp_path / "out.mov"
    code, lines = events(folder, "--preview", "sheet", "--movie", str(movie))
    assert code == 1 and lines[-1]["failed"] >= 1 and len(lines[-1]["files"]) == 2


def test_any_command_names_the_log_of_what_was_not_foreseen(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vfxmatte.cli import merge

    def fail(*_: Any, **__: Any) -> Any:
        raise LookupError("odd")

    monkeypatch.setattr(merge, "merge_shot", fail)
    result = CliRunner().invoke(commands, ["merge", str(folder)])
    assert result.exit_code == 3 and "not foreseen: LookupError: odd" in result.stderr
    log = Path(result.stderr.split("traceback is in ")[1].split(";")[0])
    assert "LookupError" in log.read_text(encoding="utf-8")
    log.unlink()


# -- keyframes ------------------------------------------------------------------------------------


def test_every_keyframe_is_decoded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    read = keyframes.read_image

    def counted(path: Path) -> Any:
        reads.append(Path(path).name)
        return read(path)

    monkeypatch.setattr(keyframes, "read_image", counted)
    assert events(folder)[0] == 0
    assert sorted(reads) == [f"trimap.{n}.png" for n in (1001, 1004, 1008)]
    reads.clear()
    with Run(Shot.open(folder)) as run:
        assert len(list(run.trimaps())) == 8
    assert sorted(reads) == [f"trimap.{n}.png" for n in (1001, 1004, 1008)]


def test_a_keyframe_with_nothing_unknown_is_said_by_run_too(folder: Path) -> None:
    import cv2

    path = folder / "trimaps" / "trimap.1004.png"
    labels = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    path.write_bytes(cv2.imencode(".png", np.where(labels == 128, 255, labels))[1].tobytes())
    code, lines = events(folder)
    notes = [line["text"] for line in lines if line["event"] == "note"]
    assert notes == ["keyframe 1004: nothing is unknown: the trimap itself is the matte"]
    assert code == 0 and [line["event"] for line in lines[:2]] == ["start", "note"]
    plain = CliRunner().invoke(commands, ["run", str(folder), "--engine", "known"])
    assert "keyframe 1004: nothing is unknown" in plain.output


# -- other loops over frames ----------------------------------------------------------------------


def test_evaluation_goes_on_after_a_frame_that_cannot_be_read(folder: Path) -> None:
    from vfxmatte.io.stills.exr import write_exr
    from vfxmatte.types import Window

    window = Window.of_size(64, 48)
    (folder / "alpha").mkdir()
    for number in NUMBERS:
        write_exr(
            folder / "alpha" / f"alpha.{number}.exr",
            {"A": np.full((48, 64), 0.5, np.float16)},
            data_window=window,
            display_window=window,
        )
    assert events(folder)[0] == 0
    (folder / "matte" / "matte.1003.exr").write_bytes(b"rubbish")
    (folder / "alpha" / "alpha.1006.exr").write_bytes(b"rubbish")
    result = CliRunner().invoke(commands, ["evaluate", str(folder), "--json"])
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1 and lines[-1]["event"] == "means" and len(lines) == 9
    failed = {line["frame"]: line["error"]["path"] for line in lines if "error" in line}
    assert list(failed) == [1003, 1006] and "matte.1003.exr" in failed[1003]
    assert result.stderr.count("failed: ") == 2


def test_trimaps_are_made_of_the_mattes_that_can_be_read(folder: Path, tmp_path: Path) -> None:
    assert events(folder)[0] == 0
    (folder / "matte" / "matte.1003.exr").write_bytes(b"rubbish")
    arguments = ["trimap", "from-matte", str(folder / "matte" / "matte.####.exr"), "-o"]
    result = CliRunner().invoke(commands, [*arguments, str(tmp_path / "made")])
    made = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert made == [f"trimap.{n}.png" for n in NUMBERS if n != 1003]
    assert result.exit_code == 1 and "7 of 8 trimaps made" in result.stdout
    assert "matte.1003.exr" in result.stderr


def test_a_job_of_the_server_ends_with_error_and_totals_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vfxmatte.serve.engine_cache import EngineCache
    from vfxmatte.serve.jobs import Job
    from vfxmatte.serve.requests import RunRequest
    from vfxmatte.serve.work import run_steps

    def fail(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("nobody foresaw this")

    monkeypatch.setattr(pipeline, "record_of", fail)
    made = Shot.open(folder)
    request = RunRequest(shot=made, overwrite=False)
    start = functools.partial(run_steps, request, EngineCache(opener=lambda settings: Known()))
    told: list[tuple[str, dict[str, Any]]] = []
    job = Job(
        client=None, ident=1, kind="run", start=start, answer=lambda _: None,
        emit=lambda event, **values: told.append((event, values)),
    )  # fmt: skip
    with pytest.raises(UnforeseenError, match="nobody foresaw this"):
        for _ in start(job):
            pass
    assert [event for event, _ in told[-2:]] == ["error", "totals"]
    assert (folder / "matte" / LOG_NAME).is_file()


def test_an_evaluation_that_is_stopped_has_its_means(
    tiny_shot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vfxmatte.review.evaluation import Evaluation

    measured = Evaluation._measure

    def stopped(self: Evaluation, trimap: Any) -> Any:
        if trimap.number == 1004:
            raise KeyboardInterrupt
        return measured(self, trimap)

    monkeypatch.setattr(Evaluation, "_measure", stopped)
    result = CliRunner().invoke(commands, ["evaluate", str(tiny_shot), "--json"])
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 130 and lines[-1]["event"] == "means" and len(lines) == 3


def test_trimaps_that_were_made_before_the_disk_was_full_are_counted(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vfxmatte.io import temporary

    assert events(folder)[0] == 0

    def full(path: Path) -> None:
        if "1004" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(temporary, "_sync", full)
    arguments = ["trimap", "from-matte", str(folder / "matte" / "matte.####.exr"), "-o"]
    result = CliRunner().invoke(commands, [*arguments, str(tmp_path / "made")])
    assert result.exit_code == 3 and "3 of 8 trimaps made" in result.stdout
    assert "No space left" in result.stderr
