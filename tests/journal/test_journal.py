"""The journal: what a finished frame is, whatever moment a kill chose; the lock; the manifest."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.waiting import until
from vfxmatte.errors import OutputError, OutputLockedError
from vfxmatte.io import process_marks
from vfxmatte.journal import claim
from vfxmatte.journal.journal import Journal
from vfxmatte.journal.records import FrameRecord


def written(output: Path, number: int, fingerprint: str = "same", size: int = 5) -> FrameRecord:
    name = f"matte.{number}.exr"
    (output / name).write_bytes(b"x" * size)
    return FrameRecord(
        number=number, fingerprint=fingerprint, file=name, size_bytes=size, stats={"a_ms": 1.5}
    )


def journal_file(output: Path) -> Path:
    return output / ".vfxmatte" / "journal.jsonl"


def test_a_finished_frame_is_found_again(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        assert journal.finished(7, "same") is None
        journal.add(written(tmp_path, 7))
        assert journal.finished(7, "same") == tmp_path / "matte.7.exr"
    with Journal(tmp_path) as journal:
        assert journal.finished(7, "same") == tmp_path / "matte.7.exr"
        assert journal.finished(7, "other") is None
        assert journal.finished(8, "same") is None
        assert journal.records[7].stats == {"a_ms": 1.5}


def test_a_file_that_is_gone_or_of_another_size_is_not_finished(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add(written(tmp_path, 1))
        journal.add(written(tmp_path, 2))
        (tmp_path / "matte.1.exr").unlink()
        (tmp_path / "matte.2.exr").write_bytes(b"xx")
        assert journal.finished(1, "same") is None and journal.finished(2, "same") is None


def test_the_last_word_on_a_frame_counts(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add(written(tmp_path, 1, "old"))
        journal.add(FrameRecord(number=1, fingerprint="new", error="damaged"))
        journal.add(FrameRecord(number=2, fingerprint="new", error="damaged"))
        journal.add(written(tmp_path, 2, "new"))
    with Journal(tmp_path) as journal:
        assert journal.finished(1, "old") is None and journal.finished(1, "new") is None
        assert journal.records[1].error == "damaged"
        assert journal.finished(2, "new") is not None


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cut=st.integers(0, 1000))
def test_a_journal_cut_anywhere_loses_one_frame_at_most(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    output = tmp_path_factory.mktemp("cut")
    with Journal(output) as journal:
        for number in range(4):
            journal.add(written(output, number))
    whole = journal_file(output).read_bytes()
    kept = whole[: cut % (len(whole) + 1)]
    journal_file(output).write_bytes(kept)
    lines = kept.count(b"\n") + (len(kept) > 0 and whole[len(kept) :][:1] == b"\n")
    with Journal(output) as journal:
        assert len(journal.records) == lines
        journal.add(written(output, 9))  # after a line that was cut short
    with Journal(output) as journal:
        assert journal.finished(9, "same") is not None
        assert len(journal.records) == lines + 1


def test_garbage_in_the_journal_is_passed_over(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add(written(tmp_path, 1))
    with journal_file(tmp_path).open("ab") as stream:
        stream.write(b'\x00\xff\xfe\n{"frame": 3}\n[]\n17\nnull\n')
    with Journal(tmp_path) as journal:
        assert list(journal.records) == [1]


def test_forgetting_starts_again_and_keeps_the_files(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add(written(tmp_path, 1))
        journal.reset()
        journal.reset()
        assert journal.finished(1, "same") is None
    with Journal(tmp_path) as journal:
        assert journal.records == {}
    assert (tmp_path / "matte.1.exr").is_file()


def test_a_second_run_on_the_same_output_is_refused(tmp_path: Path) -> None:
    with Journal(tmp_path):
        with pytest.raises(OutputLockedError, match="another run") as caught, Journal(tmp_path):
            pass
        assert caught.value.path == str(tmp_path) and caught.value.hint
    with Journal(tmp_path):
        pass


def claimed(output: Path, *, silent: float = 0.0, **changes: object) -> Path:
    """As another machine's run would have left its claim."""
    path = output / ".vfxmatte" / "owner.json"
    path.parent.mkdir(exist_ok=True)
    other = {"user": "ann", "host": "ws12", "pid": 4242, "since": 1.7e9,
             "mark": "0123456789ab-4242-01234567"}  # fmt: skip
    path.write_text(json.dumps(other | changes))
    os.utime(path, (time.time() - silent,) * 2)
    return path


def test_a_run_on_another_machine_is_named(tmp_path: Path) -> None:
    path = claimed(tmp_path, silent=8)
    with pytest.raises(OutputLockedError, match="another run") as caught, Journal(tmp_path):
        pass
    said = str(caught.value)
    for words in (
        "ann on ws12, process 4242, since 2023-11-1",
        "sign of life",
        "5 minutes",
        str(path),
    ):
        assert words in said
    assert caught.value.path == str(tmp_path) and path.is_file()
    path.unlink()  # as the message says
    with Journal(tmp_path):
        assert claim.Claim(path).holder() is not None
    assert not path.exists()


def test_this_machine_s_run_is_named_too(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(OutputLockedError) as caught, Journal(tmp_path):
        pass
    assert f"process {os.getpid()}" in str(caught.value)


@pytest.mark.parametrize("text", [None, "", "rubbish", "[]", "{}"])
def test_a_dead_run_is_taken_over_from(tmp_path: Path, text: str | None) -> None:
    path = claimed(tmp_path, silent=claim.DEAD_SECONDS + 60)
    if text is not None:
        path.write_text(text)
        with pytest.raises(OutputLockedError), Journal(tmp_path):
            pass  # whoever it is has written just now
        os.utime(path, (1e9, 1e9))
    with Journal(tmp_path) as journal:
        journal.add(written(tmp_path, 1))
    assert not list(path.parent.glob("owner*")) and not list(path.parent.glob("now*"))


def test_a_killed_run_of_this_machine_is_dead_at_once(tmp_path: Path) -> None:
    gone = subprocess.run(
        [sys.executable, "-c", "from vfxmatte.io.process_marks import new_mark; print(new_mark())"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    path = claimed(tmp_path, mark=gone)
    with Journal(tmp_path):
        assert json.loads(path.read_text())["mark"] != gone
    assert not path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="states of processes are read from /proc")
def test_a_killed_run_whose_parent_has_not_asked_is_dead_too(tmp_path: Path) -> None:
    code = "from vfxmatte.io.process_marks import new_mark; print(new_mark(), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        mark = process.stdout.readline().strip()
        assert process_marks.is_alive(mark)
        process.kill()
        until(lambda: not process_marks.is_alive(mark))


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object, **_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    with (
        Journal(tmp_path),
        pytest.raises(OutputLockedError, match="another run"),
        Journal(tmp_path),
    ):
        pass


def test_a_run_that_was_taken_over_from_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim, "BEAT_SECONDS", 0.02)
    with Journal(tmp_path) as journal:
        path = tmp_path / ".vfxmatte" / "owner.json"
        os.utime(path, (1e9, 1e9))
        until(lambda: path.stat().st_mtime > 1e9)  # it shows that it lives
        journal.add(written(tmp_path, 1))
        claimed(tmp_path)
        time.sleep(0.2)
        with pytest.raises(OutputLockedError, match=r"taken this output over: ann on ws12"):
            journal.add(written(tmp_path, 2))
    assert claim.Claim(path).holder() is not None  # the other's claim stays
    assert list(Journal.peek(tmp_path).records) == [1]


def test_the_refused_run_leaves_the_other_s_scratch_alone(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        (journal.scratch / "flow").write_bytes(b"x")
        with pytest.raises(OutputLockedError), Journal(tmp_path):
            pass
        assert (journal.scratch / "flow").is_file()


def test_peeking_neither_locks_nor_writes(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add(written(tmp_path, 1))
        assert Journal.peek(tmp_path).finished(1, "same") is not None
    assert Journal.peek(tmp_path / "nowhere").records == {}
    assert not (tmp_path / "nowhere").exists()


def test_an_output_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "matte").write_text("a file")
    with (
        pytest.raises(OutputError, match="cannot be written") as caught,
        Journal(tmp_path / "matte"),
    ):
        pass
    assert caught.value.path == str(tmp_path / "matte") and "--output" in str(caught.value)


def test_what_a_killed_run_left_goes_and_nothing_else(tmp_path: Path) -> None:
    left = [".matte.1001.4711.part.exr", "trimaps/.trimap.1001.4711.part.png",
            ".manifest.4711.part.json", ".vfxmatte/scratch/vfxmatte-abc/flow.1"]  # fmt: skip
    kept = ["matte.1001.exr", ".matte.part.exr", "matte.1.part.exr", "trimaps/trimap.1001.png",
            ".DS_Store"]  # fmt: skip
    for name in (*left, *kept):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    with Journal(tmp_path) as journal:
        assert list(journal.scratch.iterdir()) == []
    assert [name for name in left if (tmp_path / name).exists()] == []
    assert all((tmp_path / name).is_file() for name in kept)
    assert not journal.scratch.exists()


def test_the_manifest_tells_every_frame_s_state(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add(written(tmp_path, 2))
        journal.add(FrameRecord(number=1, fingerprint="f", error="damaged", stats={"read_ms": 2.0}))
        path = journal.write_manifest({"shot": "größe"})
    manifest = json.loads(path.read_text(encoding="utf-8"))
    assert manifest["shot"] == "größe"
    first, second = manifest["frames"]
    assert (first["frame"], first["state"], first["error"]) == (1, "failed", "damaged")
    assert (second["frame"], second["state"], second["file"]) == (2, "done", "matte.2.exr")
    assert first["stats"] == {"read_ms": 2.0}
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == [".vfxmatte", "manifest.json", "matte.2.exr"]


def test_a_full_disk_is_named_with_frame_and_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Journal(tmp_path) as journal:
        record = written(tmp_path, 1001)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="No space left") as caught:
            journal.add(record)
        assert caught.value.frame == 1001 and caught.value.path == str(journal_file(tmp_path))
        with pytest.raises(OutputError, match="No space left"):
            journal.write_manifest({})
    assert not list(tmp_path.glob(".manifest*"))


def test_an_error_inside_gives_the_lock_back(tmp_path: Path) -> None:
    def fail(journal: Journal) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Journal(tmp_path) as journal:
        fail(journal)
    with Journal(tmp_path):
        pass
