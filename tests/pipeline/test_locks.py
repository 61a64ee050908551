"""Locked frames: no run touches their mattes, and they are keyframes for their neighbours."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

import vfxmatte
from tests.pipeline.counting import Counting, run_counted
from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.cli.group import commands
from vfxmatte.engines.protocol import Task
from vfxmatte.errors import OutputError, OutputLockedError, TrimapError
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.journal.journal import Journal
from vfxmatte.journal.locks import locks_path
from vfxmatte.pipeline.merge import merge
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Matte, Window

WINDOW = Window.of_size(64, 48)
NUMBERS = list(range(1001, 1010))
LOCKED = [1004, 1005]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shot = MovingShot(frames=9, width=64, height=48, keyframes=(1001, 1009))
    folder = shot.write(tmp_path_factory.mktemp("finished") / "shot")
    run_counted(folder)
    return folder


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """Nine frames that have been run, keyframes on the ends."""
    return shutil.copytree(finished, tmp_path / "shot")


def matte(folder: Path, number: int) -> Path:
    return folder / "matte" / f"matte.{number}.exr"


def bits(folder: Path) -> dict[int, tuple[bytes, int]]:
    """Content and time of the locked mattes."""
    return {n: (matte(folder, n).read_bytes(), matte(folder, n).stat().st_mtime_ns) for n in LOCKED}


def lock(folder: Path, *numbers: int) -> list[int]:
    return vfxmatte.lock(Shot.open(folder), numbers or LOCKED)


def edit(path: Path, size: int = 0) -> None:
    """Paint over a matte, as any program would: a new EXR without our attributes."""
    alpha = np.zeros((48, 64), np.float32)
    alpha[10:30, 20 : 40 + size] = 1
    alpha[10:30, 19] = 0.5
    write_exr(path, {"A": alpha}, data_window=WINDOW, display_window=WINDOW)


def invoke(*arguments: object) -> Any:
    return CliRunner().invoke(commands, list(map(str, arguments)))


# -- nothing touches them --------------------------------------------------------------------------


def other_plate(folder: Path) -> None:
    for number in NUMBERS:
        path = folder / "plate" / f"plate.{number}.exr"
        planes = np.full((48, 64), 0.01 * (number - 1000), np.float32)
        write_exr(path, dict.fromkeys("RGB", planes), data_window=WINDOW, display_window=WINDOW)


def broken_plate(folder: Path) -> None:
    for number in LOCKED:
        (folder / "plate" / f"plate.{number}.exr").write_bytes(b"rubbish")


def other_keyframe(folder: Path) -> None:
    for number in (1001, 1004):
        path = folder / "trimaps" / f"trimap.{number}.png"
        path.write_bytes(cv2.imencode(".png", np.full((48, 64), UNKNOWN, np.uint8))[1].tobytes())


def garbage_over_all(folder: Path) -> None:
    (folder / "garbage").mkdir()
    empty = np.zeros((48, 64), np.uint8)
    (folder / "garbage" / "g.png").write_bytes(cv2.imencode(".png", empty)[1].tobytes())


def finished_there(folder: Path) -> None:
    (folder / "keys").mkdir()
    edit(folder / "keys" / "matte.1004.exr")


def reset_journal(folder: Path) -> None:
    (folder / "matte" / ".vfxmatte" / "journal.jsonl").unlink()


@pytest.mark.parametrize(
    "change",
    [other_plate, broken_plate, other_keyframe, garbage_over_all, finished_there, reset_journal],
)
@pytest.mark.parametrize(
    "how",
    [
        {}, {"overwrite": True}, {"chunk": True}, {"matte": {"grow_px": 2.0}},
        {"output": {"rgba": "premultiplied", "compression": "none"}}, {"keyframe_growth": 3},
        {"output": {"format": "png"}},
    ],
)  # fmt: skip
def test_no_later_run_touches_them(
    folder: Path, change: Callable[[Path], None], how: dict[str, Any]
) -> None:
    lock(folder)
    before = bits(folder)
    change(folder)
    results, engine = run_counted(folder, **how)
    assert bits(folder) == before and not set(LOCKED) & set(engine.solved)
    for number in LOCKED:
        assert results[number].status == "kept" and results[number].path == matte(folder, number)
        assert results[number].stats["locked"] == 1
    merge(Shot.open(folder))
    assert bits(folder) == before and not (folder / "matte" / "stale").exists()


def test_a_locked_frame_that_is_missing_in_the_plate_is_kept(folder: Path) -> None:
    lock(folder)
    before = bits(folder)
    for number in LOCKED:
        (folder / "plate" / f"plate.{number}.exr").unlink()
    results, _ = run_counted(folder)  # missing = error
    assert sorted(results) == NUMBERS and bits(folder) == before
    with Run(Shot.open(folder)) as run:
        assert any("plate of locked frames 1004-1005 has changed" in n for n in run.plan.notes)
    for missing in ("hold", "skip"):
        results, _ = run_counted(folder, missing=missing)
        assert {results[n].status for n in LOCKED} == {"kept"} and bits(folder) == before


def test_a_changed_plate_is_reported(folder: Path) -> None:
    lock(folder)
    assert "has changed" not in invoke("check", folder, "--engine", "trimap").output
    other_plate(folder)
    run_counted(folder)
    manifest = json.loads((folder / "matte" / "manifest.json").read_text(encoding="utf-8"))
    text = "the plate of locked frames 1004-1005 has changed since the lock"
    assert any(text in note for note in manifest["notes"]) and manifest["locked"] == LOCKED
    states = {frame["frame"]: frame["state"] for frame in manifest["frames"]}
    assert states == {n: "locked" if n in LOCKED else "done" for n in NUMBERS}
    check = invoke("check", folder, "--engine", "trimap").output
    assert text in check and "locked     frames 1004-1005 stay as they are" in check
    run = invoke("run", folder, "--engine", "trimap").output
    assert text in run and "1004 kept (locked)" in run


@pytest.mark.usefixtures("warm_children")
def test_several_devices_leave_them_alone(folder: Path) -> None:
    lock(folder)
    before = bits(folder)
    settings = {"engine": {"name": "trimap", "device": "cpu,cpu"}}
    shot = Shot.open(folder)
    from vfxmatte.common.configuration import changed

    with Run(shot, changed(RunSettings(), settings), overwrite=True) as run:
        results = {result.number: result for result in run.frames()}
    assert sorted(results) == NUMBERS and bits(folder) == before
    assert [n for n, r in results.items() if r.status == "kept"] == LOCKED


def test_a_shot_that_is_locked_as_a_whole(folder: Path) -> None:
    lock(folder, *NUMBERS)
    for how in ({}, {"overwrite": True}, {"chunk": True}):
        results, engine = run_counted(folder, **how)
        assert engine.solved == [] and {r.status for r in results.values()} == {"kept"}
    assert merge(Shot.open(folder)).good == tuple(NUMBERS)


def test_a_chunk_that_runs_while_frames_are_locked_leaves_them(folder: Path) -> None:
    """Chunks take no lock of the folder."""

    class Locking(Counting):
        def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte]:
            for solved in super().mattes(tasks):
                if solved.number == 1004:
                    lock(folder)
                yield solved

    before, settings = bits(folder), RunSettings(keyframe_growth=2)
    with Run(Shot.open(folder), settings, engine=Locking(), chunk=True) as run:
        results = {result.number: result for result in run.frames()}
    assert bits(folder) == before and not (folder / "matte" / "stale").exists()
    assert [n for n, result in results.items() if result.status == "failed"] == LOCKED
    assert "was locked while it was solved" in str(results[1004].error)


# -- keyframes for their neighbours ----------------------------------------------------------------


def test_they_are_keyframes_for_their_neighbours(folder: Path) -> None:
    before = {n: record.fingerprint for n, record in Journal.peek(folder / "matte").records.items()}
    lock(folder)
    results, engine = run_counted(folder)
    assert engine.solved == [1002, 1003, 1006, 1007, 1008]
    assert [results[n].stats["keyframe_distance"] for n in NUMBERS] == [0, 1, 1, 0, 0, 1, 2, 1, 0]
    after = {n: record.fingerprint for n, record in Journal.peek(folder / "matte").records.items()}
    assert [n for n in NUMBERS if before[n] != after[n]] == engine.solved
    assert run_counted(folder)[1].solved == []
    vfxmatte.unlock(Shot.open(folder))
    assert run_counted(folder)[1].solved == engine.solved
    last = {n: record.fingerprint for n, record in Journal.peek(folder / "matte").records.items()}
    assert last == before and not locks_path(folder / "matte").exists()


def test_a_matte_that_is_painted_over_is_respected(folder: Path) -> None:
    lock(folder)
    run_counted(folder)
    edit(matte(folder, 1005))
    before = bits(folder)
    results, engine = run_counted(folder)
    assert engine.solved == [1006, 1007, 1008] and bits(folder) == before
    assert results[1005].path == matte(folder, 1005)
    unknown = engine.labels[1006] == UNKNOWN
    assert unknown[10:30, 19].any() and not unknown[:, 60].any()  # it follows what was painted
    edit(matte(folder, 1005), size=8)
    assert run_counted(folder)[1].solved == [1006, 1007, 1008]
    assert (
        "locked frame 1005 was edited since the lock"
        in invoke("check", folder, "--engine", "trimap").output
    )


def test_a_preview_shows_the_trimap_of_a_locked_matte_as_it_is_now(folder: Path) -> None:
    from vfxmatte.review.delivery import Delivery

    lock(folder)
    edit(matte(folder, 1005))
    results, _ = run_counted(folder)
    with Run(Shot.open(folder)) as run:
        labels = Delivery(run, results)._labels(1005)
    assert labels is not None and (labels[15:25, 30] == FOREGROUND).all()
    assert (labels[:, 60:] == BACKGROUND).all()


def test_locks_alone_are_keyframes_enough(folder: Path) -> None:
    lock(folder)
    shutil.rmtree(folder / "trimaps")
    results, engine = run_counted(folder)
    assert engine.solved == [n for n in NUMBERS if n not in LOCKED] and len(results) == 9


def test_a_locked_matte_that_cannot_be_read_stops_the_run_before_any_work(folder: Path) -> None:
    lock(folder)
    matte(folder, 1005).write_bytes(b"rubbish")
    before = matte(folder, 1002).read_bytes()
    with pytest.raises(TrimapError, match="cannot be read") as caught:
        run_counted(folder, overwrite=True)
    assert caught.value.frame == 1005 and caught.value.path == str(matte(folder, 1005))
    assert matte(folder, 1005).read_bytes() == b"rubbish"
    assert matte(folder, 1002).read_bytes() == before


def test_a_locked_matte_that_is_gone_is_named(folder: Path) -> None:
    lock(folder)
    matte(folder, 1004).unlink()
    with pytest.raises(OutputError, match="matte of a locked frame is gone") as caught:
        run_counted(folder)
    assert caught.value.frame == 1004 and "vfxmatte unlock" in str(caught.value)
    assert invoke("check", folder, "--engine", "trimap").exit_code == 3
    vfxmatte.unlock(Shot.open(folder), [1004])
    assert run_counted(folder)[0][1004].status == "written"


@pytest.mark.parametrize("text", ["", "{", '{"locked": [{"number": "x"}]}', '{"locked": 3}'])
def test_a_damaged_list_lets_no_run_guess(folder: Path, text: str) -> None:
    lock(folder)
    locks_path(folder / "matte").write_text(text, encoding="utf-8")
    with pytest.raises(OutputError, match="list of locked frames cannot be read"):
        run_counted(folder, overwrite=True)


# -- locking and unlocking -------------------------------------------------------------------------


def test_frames_are_locked_listed_and_unlocked(folder: Path) -> None:
    assert "nothing is locked" in invoke("lock", folder).output
    assert invoke("lock", folder, "1003-1005").output.splitlines() == [
        "locked now frames 1003-1005", "locked     frames 1003-1005",
    ]  # fmt: skip
    again = json.loads(invoke("lock", folder, "1005,1007", "--json").output)
    assert (again["changed"], again["locked"]) == ([1007], [1003, 1004, 1005, 1007])
    assert invoke("lock", folder).output == "locked     frames 1003-1005,1007\n"
    assert "unlocked   frame 1004\n" in invoke("unlock", folder, "1004").output
    assert invoke("unlock", folder).exit_code == 2
    assert "nothing is locked" in invoke("unlock", folder, "--all").output
    assert invoke("unlock", folder, "--all").exit_code == 0


def test_a_shot_of_parts_can_be_locked(folder: Path, tmp_path: Path) -> None:
    parts = ["--plate", folder / "plate", "--trimaps", folder / "trimaps", "-o", tmp_path / "out"]
    assert invoke("run", *parts, "--engine", "trimap").exit_code == 0
    assert invoke("lock", *parts, "--frames", "1002").exit_code == 0
    before = (tmp_path / "out" / "matte.1002.exr").read_bytes()
    again = ["--engine", "trimap", "--overwrite", "--rgba", "straight"]
    assert invoke("run", *parts, *again).exit_code == 0
    assert (tmp_path / "out" / "matte.1002.exr").read_bytes() == before


def test_what_has_no_matte_cannot_be_locked(folder: Path, tmp_path: Path) -> None:
    matte(folder, 1006).unlink()
    with pytest.raises(OutputError, match="frames 1006,1012 have no matte") as caught:
        lock(folder, 1005, 1006, 1012)
    assert caught.value.shot == folder.name and not locks_path(folder / "matte").exists()
    other = Shot.open(folder, output=tmp_path / "nothing")
    with pytest.raises(OutputError, match="frame 1001 has no matte"):
        vfxmatte.lock(other, [1001])
    assert not (tmp_path / "nothing").exists()


def test_a_matte_of_another_origin_can_be_locked(folder: Path) -> None:
    """It need not be in the journal; two files for one frame are ambiguous."""
    reset_journal(folder)
    edit(matte(folder, 1005))
    assert lock(folder, 1005) == [1005]
    (folder / "matte" / "matte.1006.png").write_bytes(b"")
    with pytest.raises(OutputError, match=r"several mattes: matte\.1006\.exr, matte\.1006\.png"):
        lock(folder, 1006)


def test_nothing_is_locked_while_a_run_goes_on(folder: Path) -> None:
    with Journal(folder / "matte"), pytest.raises(OutputLockedError):
        lock(folder)


def test_an_edited_matte_is_named_when_it_is_unlocked(folder: Path) -> None:
    lock(folder)
    edit(matte(folder, 1004))
    answer = invoke("unlock", folder, "--all")
    assert answer.exit_code == 0 and "frame 1004 was edited by hand" in answer.output


def test_a_lock_is_no_part_of_the_pixels(folder: Path) -> None:
    """The matte's own time and owner stay too, and reading it needs nothing of ours."""
    lock(folder)
    os.utime(matte(folder, 1004), (1, 1))
    run_counted(folder, overwrite=True)
    assert matte(folder, 1004).stat().st_mtime == 1
    assert read_matte(matte(folder, 1004), WINDOW).any()
