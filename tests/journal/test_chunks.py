"""Chunks: many processes at one output, none of which knows of the others, and the merge."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.common.configuration import changed
from vfxmatte.errors import MissingFrameError, OutputError, ShotError, UsageError
from vfxmatte.io import process_marks as owner
from vfxmatte.io.stills.reading import read_image
from vfxmatte.journal import chunks
from vfxmatte.journal.journal import Journal
from vfxmatte.journal.records import FrameRecord, append
from vfxmatte.pipeline.merge import MergeReport, merge
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FrameResult

NUMBERS = list(range(1001, 1009))
ROOT = str(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames, 1001 to 1008, keyframes on 1001, 1004 and 1008."""
    shot = MovingShot(frames=8, width=64, height=48, keyframes=(1001, 1004, 1008))
    return shot.write(tmp_path_factory.mktemp("source"))


@pytest.fixture
def shot_in(source: Path, tiny_weights: Path) -> Callable[..., Shot]:
    """The shot with an output folder and settings of its own."""

    def made(into: Path, folder: Path = source, **settings: Any) -> Shot:
        settings.setdefault("engine", {"weights": str(tiny_weights), "device": "cpu"})
        shot = Shot.open(folder, output=into)
        return replace(shot, settings=changed(RunSettings(), settings))

    return made


def run(shot: Shot, **how: Any) -> dict[int, FrameResult]:
    with Run(shot, **how) as prepared:
        return {result.number: result for result in prepared.frames()}


def statuses(results: dict[int, FrameResult]) -> dict[int, str]:
    return {number: result.status for number, result in results.items()}


def same(one: Path, other: Path, numbers: list[int] = NUMBERS) -> bool:
    """Alpha, bit by bit, and fingerprints."""
    for number in numbers:
        a, b = (read_image(folder / f"matte.{number}.exr") for folder in (one, other))
        if a.pixels.tobytes() != b.pixels.tobytes() or a.pixels.std() == 0:
            return False
    prints = [{n: r.fingerprint for n, r in Journal.peek(f).records.items()} for f in (one, other)]
    return all(prints[0][n] == prints[1][n] for n in numbers)


def state_files(output: Path) -> list[str]:
    return sorted(p.name for p in (output / ".vfxmatte").rglob("*") if p.name != "lock")


@pytest.mark.usefixtures("warm_children")
def test_chunks_from_processes_at_the_same_time_are_the_whole_run(
    shot_in: Any, source: Path, tmp_path: Path, tiny_weights: Path
) -> None:
    """Two of them share frames, and one begins in the middle of a segment."""
    run(shot_in(tmp_path / "whole"))
    command = [sys.executable, "-m", "vfxmatte.cli", "run", str(source), "--chunk", "--quiet"]
    command += ["--weights", str(tiny_weights), "--device", "cpu", "-o", str(tmp_path / "farm")]
    environment = {**os.environ, "PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1"}
    workers = [
        subprocess.Popen([*command, "--frames", frames], env=environment)
        for frames in ("1001-1005", "1003-1008")
    ]
    assert [worker.wait(60) for worker in workers] == [0, 0]
    assert not (tmp_path / "farm" / "manifest.json").exists()
    assert merge(shot_in(tmp_path / "farm")) == MergeReport(good=tuple(NUMBERS))
    assert same(tmp_path / "farm", tmp_path / "whole")
    assert (tmp_path / "farm" / "manifest.json").is_file()
    assert state_files(tmp_path / "farm") == ["journal.jsonl"]


def test_a_run_and_a_peek_see_unmerged_chunks(shot_in: Any, tmp_path: Path) -> None:
    run(shot_in(tmp_path, frames="1001-1003"), chunk=True)
    assert sorted(Journal.peek(tmp_path).records) == [1001, 1002, 1003]
    again = run(shot_in(tmp_path, frames="1002-1005"), chunk=True)
    assert statuses(again) == dict.fromkeys((1002, 1003), "kept") | dict.fromkeys(
        (1004, 1005), "written"
    )
    results = run(shot_in(tmp_path))
    assert statuses(results) == dict.fromkeys(NUMBERS[:5], "kept") | dict.fromkeys(
        NUMBERS[5:], "written"
    )
    assert state_files(tmp_path) == ["journal.jsonl"]
    assert sorted(Journal.peek(tmp_path).records) == NUMBERS


def test_a_chunk_needs_no_lock(shot_in: Any, tmp_path: Path) -> None:
    with Journal(tmp_path):
        assert len(run(shot_in(tmp_path, frames="1001-1002"), chunk=True)) == 2
        assert state_files(tmp_path)[0].startswith("1001-1002.")


def test_only_these_frames_are_done_again(shot_in: Any, tmp_path: Path) -> None:
    run(shot_in(tmp_path))
    shot = shot_in(tmp_path)
    assert statuses(run(shot, chunk=True, only=[1002, 1007])) == dict.fromkeys(
        (1002, 1007), "written"
    )
    with pytest.raises(UsageError, match="1009 is not in the range"):
        Run(shot, only=[1008, 1009])


@pytest.mark.parametrize(
    ("frames", "error", "said"),
    [
        ("1010-1020", ShotError, "no frame of 1010-1020 is in the plate"),
        ("1007-1010", MissingFrameError, "lacks 2 of 4 frames: 1009-1010"),
    ],
)
def test_a_chunk_outside_of_the_plate_is_refused(
    shot_in: Any, tmp_path: Path, frames: str, error: Any, said: str
) -> None:
    with pytest.raises(error, match=said):
        run(shot_in(tmp_path / "matte", frames=frames), chunk=True)
    assert not (tmp_path / "matte").exists()


def test_a_chunk_of_frames_that_are_left_out_is_done(
    source: Path, shot_in: Any, tmp_path: Path
) -> None:
    folder = MovingShot(frames=8, width=64, height=48).write(tmp_path / "shot")
    for number in (1003, 1004):
        (folder / "plate" / f"plate.{number}.exr").unlink()
    shot = shot_in(tmp_path / "out", folder, frames="1003-1004", missing="skip")
    assert statuses(run(shot, chunk=True)) == {1003: "skipped", 1004: "skipped"}


def test_a_chunk_reads_the_keyframes_it_needs_and_no_others(shot_in: Any, tmp_path: Path) -> None:
    shot = MovingShot(frames=8, width=64, height=48, keyframes=(1001, 1004, 1008))
    folder = shot.write(tmp_path / "shot")
    run(shot_in(tmp_path / "whole", folder))
    (folder / "trimaps" / "trimap.1008.png").write_bytes(b"not yet painted")
    results = run(shot_in(tmp_path / "chunk", folder, frames="1002-1004"), chunk=True)
    assert statuses(results) == dict.fromkeys((1002, 1003, 1004), "written")
    assert same(tmp_path / "chunk", tmp_path / "whole", [1002, 1003, 1004])


# -- killed ---------------------------------------------------------------------------------------

KILLED = """
import sys
from pathlib import Path
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
folder, output, weights = map(Path, sys.argv[1:])
settings = RunSettings(engine=EngineSettings(weights=weights, device="cpu"))
with Run(Shot.open(folder, output=output), settings, chunk=True) as run:
    for done, result in enumerate(run.frames(), 1):
        if done == 3:
            print("three", flush=True)
            sys.stdin.read()
"""


def test_a_killed_chunk_that_is_tried_again_leaves_the_same(
    shot_in: Any, source: Path, tmp_path: Path, tiny_weights: Path
) -> None:
    output = tmp_path / "killed"
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(source), str(output), str(tiny_weights)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
    )  # fmt: skip
    assert child.stdout is not None and child.stdout.readline() == "three\n"
    mark = f"{owner.new_mark().split('-')[0]}-{child.pid}-00000000"
    (output / f".matte.1004.{mark}.part.exr").write_bytes(b"half")
    assert any(name.endswith(".scratch") for name in state_files(output))
    child.kill()
    child.communicate()
    report = merge(shot_in(output))
    assert report.good[:3] == (1001, 1002, 1003) and 1008 in report.missing
    results = run(shot_in(output), chunk=True)
    assert {results[n].status for n in (1001, 1002, 1003)} == {"kept"}
    assert merge(shot_in(output)).complete
    run(shot_in(tmp_path / "undisturbed"))
    assert same(output, tmp_path / "undisturbed")
    assert state_files(output) == ["journal.jsonl"] and not list(output.glob(".matte*"))


def test_what_another_machine_may_still_write_stays_until_all_is_done(
    shot_in: Any, tmp_path: Path
) -> None:
    run(shot_in(tmp_path, frames="1001-1007"))
    part = tmp_path / ".matte.1008.0123456789ab-77-00000000.part.exr"
    scratch = tmp_path / ".vfxmatte" / "chunks" / "1008.0123456789ab-77-00000000.scratch"
    scratch.mkdir(parents=True)
    part.write_bytes(b"half")
    run(shot_in(tmp_path, frames="1001-1007"))
    assert merge(shot_in(tmp_path)).missing == (1008,)
    assert part.exists() and scratch.exists()
    run(shot_in(tmp_path))
    assert merge(shot_in(tmp_path)).complete
    assert not part.exists() and not scratch.exists()


def test_what_has_been_quiet_for_long_belongs_to_nobody(tmp_path: Path) -> None:
    part = tmp_path / ".matte.1008.0123456789ab-77-00000000.part.exr"
    part.write_bytes(b"half")
    with Journal(tmp_path):
        assert part.exists()
    long_ago = part.stat().st_mtime - owner.QUIET_SECONDS - 60
    os.utime(part, (long_ago, long_ago))
    with Journal(tmp_path):
        assert not part.exists()


# -- records of several workers -------------------------------------------------------------------


def told(output: Path, name: str, *records: FrameRecord) -> Path:
    """The journal of a chunk that another machine writes."""
    path = output / ".vfxmatte" / "chunks" / f"{name}.0123456789ab-77-{len(name):08x}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    append(path, records)
    return path


def of(number: int, fingerprint: str, time: float, **more: Any) -> FrameRecord:
    more.setdefault("file", f"matte.{number}.exr")
    return FrameRecord(number=number, fingerprint=fingerprint, size_bytes=1, time=time, **more)


def test_the_last_word_counts_whoever_said_it(tmp_path: Path) -> None:
    told(tmp_path, "b", of(1, "old", 10), of(2, "new", 40))
    told(tmp_path, "a", of(1, "new", 20), of(2, "old", 30))
    assert {n: r.fingerprint for n, r in chunks.read_all(tmp_path)[0].items()} == {
        1: "new",
        2: "new",
    }
    with Journal(tmp_path) as journal:
        assert journal.records[1].fingerprint == journal.records[2].fingerprint == "new"
    assert state_files(tmp_path) == ["journal.jsonl"]
    told(tmp_path, "late", of(1, "newest", 50))
    assert Journal.peek(tmp_path).records[1].fingerprint == "newest"


def test_one_worker_s_failure_does_not_undo_what_another_has_done(tmp_path: Path) -> None:
    (tmp_path / "matte.1.exr").write_bytes(b"x")
    told(tmp_path, "a", of(1, "same", 10), of(2, "same", 10))
    told(tmp_path, "b", *(of(n, "same", 20, file=None, error="no memory") for n in (1, 2)))
    with Journal(tmp_path) as journal:
        assert journal.finished(1, "same") == tmp_path / "matte.1.exr"
        assert journal.records[2].error == "no memory"  # its file is not there


def test_folding_that_was_cut_short_is_ended_by_the_next(tmp_path: Path) -> None:
    path = told(tmp_path, "a", of(1, "print", 10))
    path.rename(path.with_suffix(".folding"))
    assert 1 in Journal.peek(tmp_path).records
    with Journal(tmp_path) as journal:
        assert journal.records[1].fingerprint == "print"
    assert state_files(tmp_path) == ["journal.jsonl"]


def test_a_mark_tells_whether_its_process_lives() -> None:
    mark = owner.new_mark()
    assert owner.is_alive(mark) is True and mark != owner.new_mark()
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    machine = mark.split("-")[0]
    assert owner.is_alive(f"{machine}-{child.pid}-00000000") is False
    assert owner.is_alive("0123456789ab-1-00000000") is None and owner.is_alive("1234") is None
    assert owner.is_abandoned("0123456789ab-1-00000000", 0, owner.QUIET_SECONDS + 1)
    assert not owner.is_abandoned(mark, 0, owner.QUIET_SECONDS + 1)


# -- the merge looks at everything ----------------------------------------------------------------


def test_merging_names_what_is_not_as_it_ought_to_be(shot_in: Any, tmp_path: Path) -> None:
    shot = MovingShot(frames=8, width=64, height=48, keyframes=(1001, 1004, 1008))
    folder = shot.write(tmp_path / "shot")
    plate = folder / "plate" / "plate.1002.exr"
    plate.write_bytes(plate.read_bytes()[:900])
    output = tmp_path / "out"
    run(shot_in(output, folder, frames="1001-1007"), chunk=True)
    (output / "matte.1003.exr").unlink()
    whole = (output / "matte.1004.exr").read_bytes()
    (output / "matte.1004.exr").write_bytes(whole[:-400] + bytes(400))
    (output / "matte.1005.exr").write_bytes(whole[:500])
    report = merge(shot_in(output, folder))
    assert (report.good, report.missing) == ((1001, 1006, 1007), (1003, 1008))
    assert list(report.failed) == [1002] and "plate.1002.exr" in report.failed[1002]
    assert sorted(report.damaged) == [1004, 1005] and "500 bytes" in report.damaged[1005]
    assert not report.complete and len(report.lines()) == 4
    os.utime(folder / "plate" / "plate.1006.exr", (1, 1))
    report = merge(shot_in(output, folder))
    assert report.stale == (1006, 1007)
    assert statuses(run(shot_in(output, folder, frames="1003-1005"))) == dict.fromkeys(
        (1003, 1004, 1005), "written"
    )


def test_chunks_of_other_settings_are_stale(shot_in: Any, tmp_path: Path, source: Path) -> None:
    run(shot_in(tmp_path), chunk=True)
    assert merge(shot_in(tmp_path, keyframe_growth=1)).stale == tuple(NUMBERS)
    weights = shot_in(tmp_path).settings.engine.weights
    fast = {"weights": str(weights), "device": "cpu", "mode": "fast"}
    assert merge(shot_in(tmp_path, engine=fast)).stale == tuple(NUMBERS)
    assert merge(shot_in(tmp_path)).complete


def test_a_matte_that_says_it_is_of_other_settings_is_stale(shot_in: Any, tmp_path: Path) -> None:
    """A slow worker of an older job has renamed its matte over a new one."""
    run(shot_in(tmp_path / "old", keyframe_growth=1, output={"compression": "none"}))
    run(shot_in(tmp_path / "new", output={"compression": "none"}), chunk=True)
    (tmp_path / "old" / "matte.1002.exr").replace(tmp_path / "new" / "matte.1002.exr")
    report = merge(shot_in(tmp_path / "new", output={"compression": "none"}))
    assert (report.stale, len(report.good)) == ((1002,), 7)


def test_nothing_to_merge_is_an_error(shot_in: Any, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="nothing to merge") as caught:
        merge(shot_in(tmp_path / "none"))
    assert caught.value.shot and not (tmp_path / "none").exists()


# -- a failed frame that had a matte before -------------------------------------------------------


def test_an_old_matte_of_a_failed_frame_is_moved_aside(shot_in: Any, tmp_path: Path) -> None:
    folder = MovingShot(frames=4, width=64, height=48).write(tmp_path / "shot")
    output = tmp_path / "out"
    before = run(shot_in(output, folder))
    old = read_image(output / "matte.1003.exr").pixels
    plate = folder / "plate" / "plate.1003.exr"
    plate.write_bytes(plate.read_bytes()[:900])
    failed = run(shot_in(output, folder))[1003]
    assert failed.status == "failed" and before[1003].path is not None
    assert not before[1003].path.exists()
    assert failed.stale is not None and failed.stale.parent.parent == output / "stale"
    np.testing.assert_array_equal(read_image(failed.stale).pixels, old)
    text = (output / "manifest.json").read_text(encoding="utf-8")
    assert failed.stale.relative_to(output).as_posix() in text


def test_a_current_matte_of_another_worker_stays_where_it_is(
    shot_in: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This worker cannot read a frame that another one has just finished."""
    run(shot_in(tmp_path), chunk=True)
    with Run(shot_in(tmp_path), chunk=True, only=[1002]) as prepared:
        read = prepared.plate.frames

        def broken(numbers: Any, **how: Any) -> Any:
            for number, frame in read(numbers, **how):
                yield number, OutputError("no such device") if number == 1002 else frame

        monkeypatch.setattr(prepared.plate, "frames", broken)
        (result,) = prepared.frames()
    assert result.status == "failed" and result.stale is None
    assert merge(shot_in(tmp_path)).complete
