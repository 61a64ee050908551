"""Several devices at one shot: the same pixels, and what happens when one of them is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.common.configuration import changed
from vfxmatte.errors import DeviceError, TrimapError, UsageError
from vfxmatte.io.stills.reading import read_image
from vfxmatte.journal.journal import Journal
from vfxmatte.pipeline import child as child_module
from vfxmatte.pipeline import crew
from vfxmatte.pipeline.child import Child, kill, start_child
from vfxmatte.pipeline.crew_messages import Alive, Done, Ended, Message, Ready, Solved
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FrameResult

NUMBERS = list(range(1001, 1009))

# The worker as it is, but for what the test wants of child number 0 or 1.
PROGRAM = """
import os, signal, sys, time
sys.path.insert(0, sys.argv[1])
from vfxmatte.pipeline import worker
from vfxmatte.pipeline.crew_messages import Solved
from vfxmatte.errors import DeviceError, TrimapError
child, told, send = os.environ["TEST_CHILD"], [], worker._send

def after_two(answers, message):
    if isinstance(message, Solved):
        told.append(message)
        if len(told) == 3:
            WISH
    send(answers, message)

worker._send, worker._BEAT_SECONDS = after_two, 0.5
sys.exit(worker.main())
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)"
KILL_FIRST = f"{KILL} if child == '0' else None"
SLEEP = "time.sleep(600)"
LOSE_FIRST = "if child == '0': raise DeviceError('the GPU has fallen off the bus')"
REFUSE = "raise TrimapError('painted while it ran', frame=1003)"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames, 1001 to 1008, keyframes on 1001, 1004 and 1008."""
    shot = MovingShot(frames=8, width=64, height=48, keyframes=(1001, 1004, 1008))
    return shot.write(tmp_path_factory.mktemp("source"))


@pytest.fixture
def made(source: Path, tiny_weights: Path) -> Callable[..., Shot]:
    def shot(output: Path, device: str = "cpu,cpu", **engine: Any) -> Shot:
        record = {"engine": {"weights": str(tiny_weights), "device": device, **engine}}
        return replace(Shot.open(source, output=output), settings=changed(RunSettings(), record))

    return shot


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Every child process that is started."""
    started: list[subprocess.Popen[bytes]] = []
    start = start_child

    def remember(key: str, device: str, variables: Any, log: Path) -> Any:
        child = start(key, device, {**variables, "TEST_CHILD": key}, log)
        started.append(child.process)
        return child

    monkeypatch.setattr(crew, "start_child", remember)
    return started


def wish(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(child_module, "_PROGRAM", PROGRAM.replace("WISH", what))


def solve(shot: Shot, **how: Any) -> dict[int, FrameResult]:
    with Run(shot, **how) as run:
        results = list(run.frames())
    assert len({result.number for result in results}) == len(results)
    return {result.number: result for result in results}


def assert_same(one: Path, other: Path) -> None:
    """Pixels bit by bit, trimaps byte by byte, and fingerprints."""
    for number in NUMBERS:
        a, b = (read_image(folder / f"matte.{number}.exr") for folder in (one, other))
        assert a.pixels.tobytes() == b.pixels.tobytes() and a.pixels.std() > 0
        a, b = ((f / "trimaps" / f"trimap.{number}.png").read_bytes() for f in (one, other))
        assert a == b
    a, b = ({n: r.fingerprint for n, r in Journal.peek(f).records.items()} for f in (one, other))
    assert a == b and sorted(a) == NUMBERS


def nothing_left(output: Path, children: list[subprocess.Popen[bytes]]) -> bool:
    gone = all(child.poll() is not None for child in children)
    state = sorted(p.name for p in (output / ".vfxmatte").rglob("*"))
    return gone and state == ["journal.jsonl", "lock"] and not list(output.glob(".*.part*"))


@pytest.mark.usefixtures("warm_children")
def test_two_devices_give_what_one_gives(made: Any, tmp_path: Path, children: Any) -> None:
    solve(made(tmp_path / "one", "cpu"))
    with Run(made(tmp_path / "two")) as run:
        assert run.device is None
        results = {result.number: result.status for result in run.frames()}
        assert run.device == "cpu, cpu" and run.lost_devices == []
    assert results == dict.fromkeys(NUMBERS, "written") and len(children) == 2
    assert_same(tmp_path / "two", tmp_path / "one")
    assert nothing_left(tmp_path / "two", children)
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["device"] == "cpu, cpu" and len(manifest["frames"]) == 8
    again = solve(made(tmp_path / "two", "cpu"))
    assert {result.status for result in again.values()} == {"kept"}
    (tmp_path / "two" / "matte.1005.exr").unlink()
    again = solve(made(tmp_path / "two"))
    assert [n for n, result in again.items() if result.status == "written"] == [1005]


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (KILL_FIRST, "was ended by SIGKILL"),
        (LOSE_FIRST, "the GPU has fallen off the bus"),
    ],
)
@pytest.mark.usefixtures("warm_children")
def test_a_lost_device_leaves_its_frames_to_the_other(
    made: Any, tmp_path: Path, children: Any, monkeypatch: Any, what: str, said: str
) -> None:
    wish(monkeypatch, what)
    with Run(made(tmp_path / "two")) as run:
        results = {result.number: result.status for result in run.frames()}
        (lost,) = run.lost_devices
    assert said in lost and lost.startswith("cpu was lost") and "near frame 1003" in lost
    assert sorted(results) == NUMBERS and set(results.values()) == {"written"}
    monkeypatch.undo()
    solve(made(tmp_path / "one", "cpu"))
    assert_same(tmp_path / "two", tmp_path / "one")
    assert nothing_left(tmp_path / "two", children)
    manifest = json.loads((tmp_path / "two" / "manifest.json").read_text(encoding="utf-8"))
    assert lost in manifest["notes"]


def test_frames_that_wait_are_dealt_out_when_a_child_says_that_it_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Child 0 goes when child 1 has told of its last frame, but not yet that it is done."""
    result = [FrameResult(number=n, status="written") for n in range(5)]
    told: list[tuple[str, Message]] = [
        ("1", Solved(result[3])), ("1", Solved(result[4])),
        ("0", Solved(result[0])), ("0", Ended(-9)), ("1", Done()),
        ("1", Solved(result[2])), ("1", Done()),
        ("1", Solved(result[1])), ("1", Done()),
    ]  # fmt: skip
    given: list[tuple[str, list[int]]] = []

    def assign(child: Child, numbers: list[int]) -> None:
        child.frames = list(numbers)
        given.append((child.key, child.frames[:]))

    monkeypatch.setattr(Child, "assign", assign)
    job = crew.Crew([], None, None, logs=Path())  # type: ignore[arg-type]
    job._children = {
        key: Child(key, "cpu", None, Path())  # type: ignore[arg-type]
        for key in ("0", "1")
    }
    job._messages = (message for message in told)
    solved = job.solve([[0, 1, 2], [3, 4]], lambda numbers, parts: [list(numbers)])
    assert [one.number for one in solved] == [3, 4, 0, 2, 1]
    assert given == [("0", [0, 1, 2]), ("1", [3, 4]), ("1", [2]), ("1", [1])]  # the suspect last
    assert job.lost == ["cpu was lost: its process was ended by SIGKILL, near frame 1"]


@pytest.mark.usefixtures("warm_children")
def test_when_all_devices_are_lost_what_is_finished_is_kept(
    made: Any, tmp_path: Path, children: Any, monkeypatch: Any
) -> None:
    wish(monkeypatch, KILL)
    with pytest.raises(DeviceError, match="ended by SIGKILL; before that, cpu was lost") as caught:
        solve(made(tmp_path))
    assert caught.value.frame in NUMBERS and "run again" in str(caught.value.hint)
    assert caught.value.shot and nothing_left(tmp_path, children)
    monkeypatch.undo()
    again = solve(made(tmp_path))
    kept = [n for n, result in again.items() if result.status == "kept"]
    assert len(kept) >= 4 and sorted(again) == NUMBERS
    solve(made(tmp_path / "one", "cpu"))
    assert_same(tmp_path, tmp_path / "one")


@pytest.mark.usefixtures("warm_children")
def test_leaving_stops_all_children(
    made: Any, tmp_path: Path, children: Any, monkeypatch: Any
) -> None:
    """As Ctrl-C does: the children hang, and are ended nevertheless."""
    wish(monkeypatch, SLEEP)
    with Run(made(tmp_path)) as run:
        results = run.frames()
        seen = [next(results) for _ in range(4)]  # two of each
        with pytest.raises(KeyboardInterrupt):
            results.throw(KeyboardInterrupt)  # type: ignore[attr-defined]
    assert len(children) == 2 and nothing_left(tmp_path, children)
    records = Journal.peek(tmp_path).records
    assert {result.number for result in seen} <= set(records)
    assert (tmp_path / "manifest.json").is_file()


@pytest.mark.usefixtures("warm_children")
def test_what_concerns_all_frames_ends_all(
    made: Any, tmp_path: Path, children: Any, monkeypatch: Any
) -> None:
    wish(monkeypatch, REFUSE)
    with pytest.raises(TrimapError, match="painted while it ran") as caught:
        solve(made(tmp_path))
    assert caught.value.frame == 1003 and nothing_left(tmp_path, children)


@pytest.mark.parametrize(
    ("device", "error", "said"),
    [
        ("cuda:0,", UsageError, "not a list of devices"),
        ("cpu,tpu", UsageError, "not a list of devices"),
        ("cuda:0,0", UsageError, "names cuda:0 twice"),
    ],
)
def test_a_list_that_is_none_is_refused_at_once(
    made: Any, tmp_path: Path, children: Any, device: str, error: Any, said: str
) -> None:
    with pytest.raises(error, match=said):
        Run(made(tmp_path / "out", device))
    assert children == [] and not (tmp_path / "out").exists()


@pytest.mark.usefixtures("warm_children")
def test_a_device_that_is_not_there_is_named_before_any_work(
    made: Any, tmp_path: Path, children: Any
) -> None:
    with pytest.raises(DeviceError, match="cuda:97"):
        solve(made(tmp_path, "cpu,cuda:97"))
    assert Journal.peek(tmp_path).records == {} and nothing_left_but_lock(tmp_path)
    assert all(child.poll() is not None for child in children)


def nothing_left_but_lock(output: Path) -> bool:
    return [p.name for p in output.rglob("*") if p.is_file()] == ["lock"]


def test_devices_of_different_kinds_are_refused() -> None:
    told = {
        key: Ready({"engine": "dim", "precision": precision}, device)
        for key, precision, device in (("0", "float16", "cuda:0 (A)"), ("1", "float32", "cpu"))
    }
    job = crew.Crew([], None, None, logs=Path())  # type: ignore[arg-type]
    job._children = {
        key: Child(key, device, None, Path())  # type: ignore[arg-type]
        for key, device in (("0", "cuda:0"), ("1", "cpu"))
    }
    with pytest.raises(DeviceError, match="precision is float16 on cuda:0, float32 on cpu") as got:
        job._common(told)
    assert got.value.hint == "give --precision"


def test_a_chunk_may_use_several_devices_from_wherever_it_is_started(
    made: Any, tmp_path: Path, children: Any, monkeypatch: Any
) -> None:
    """The children run the very package of their parent."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "vfxmatte.py").write_text("raise SystemExit(77)")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(solve(made(tmp_path / "out"), chunk=True)) == 8
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert sorted(Journal.peek(tmp_path / "out").records) == NUMBERS


@pytest.mark.parametrize(
    ("code", "log", "said"),
    [
        (1, "Traceback\nMemoryError: no more\n", "its process ended: MemoryError: no more"),
        (7, "", "its process ended with exit code 7"),
        (-9, "warning\n", "its process was ended by SIGKILL"),
    ],
)
def test_how_a_child_ended_is_told(tmp_path: Path, code: int, log: str, said: str) -> None:
    (tmp_path / "log").write_text(log)
    child = Child("0", "cuda:3", None, tmp_path / "log")  # type: ignore[arg-type]
    assert child.end_text(code) == said
    child.error = DeviceError("cuda:0 (A) is full")
    assert child.end_text(code) == "cuda:3 (A) is full"  # a child calls its only GPU cuda:0


# -- children that crash, hang, or write what is no message ----------------------------------------

FIRST = "if child == '0': "
RUBBISH = "os.write(answers.fileno(), {data!r})"


@pytest.mark.usefixtures("warm_children")
@pytest.mark.parametrize(
    "data",
    [
        b"Segmentation fault\n",  # no pickle at all
        b"N.",  # None
        b"(dp0\n.",  # a dictionary
        b"cvfxmatte.crew\nNothing\n.",  # a class that is not there
        b"\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\x7f",  # more bytes than there is memory
    ],
)
def test_a_child_that_writes_rubbish_leaves_its_frames_to_the_other(
    made: Any, tmp_path: Path, children: Any, monkeypatch: Any, data: bytes
) -> None:
    wish(monkeypatch, FIRST + RUBBISH.format(data=data))
    with Run(made(tmp_path)) as run:
        results = {result.number: result.status for result in run.frames()}
        (lost,) = run.lost_devices
    assert "wrote what is no message" in lost and results == dict.fromkeys(NUMBERS, "written")
    assert nothing_left(tmp_path, children)


HALF_A_MESSAGE = RUBBISH.format(data=b"\x80\x05\x8e\x00\x00\x00\x01\x00\x00\x00\x00")


@pytest.mark.usefixtures("warm_children")
@pytest.mark.parametrize(
    "hang",
    [
        FIRST + SLEEP,
        FIRST + "os.kill(os.getpid(), signal.SIGSTOP)",
        f"{FIRST}{HALF_A_MESSAGE}; {SLEEP}",
    ],
    ids=["sleeps", "is stopped", "half a message"],
)
def test_a_child_that_hangs_leaves_its_frames_to_the_other(
    made: Any, tmp_path: Path, children: Any, monkeypatch: Any, hang: str
) -> None:
    wish(monkeypatch, hang)
    monkeypatch.setattr(child_module, "_SILENT_SECONDS", 5.0)
    monkeypatch.setattr(crew, "_TICK_SECONDS", 0.2)
    with Run(made(tmp_path)) as run:
        results = {result.number: result.status for result in run.frames()}
        (lost,) = run.lost_devices
    assert "hangs: nothing was heard of it for" in lost and "near frame 1003" in lost
    assert results == dict.fromkeys(NUMBERS, "written")
    assert nothing_left(tmp_path, children)


def test_a_child_that_computes_for_ever_hangs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(child_module.time, "monotonic", lambda: now[0])
    child = Child("0", "cpu", None, Path())  # type: ignore[arg-type]
    monkeypatch.setattr(child, "send", lambda message: None)
    child.note(Ready({}, "cpu"))
    child.assign([1, 2])
    for computed in range(0, 7200, 5):
        assert child.hang_reason() is None
        now[0] += 5
        child.note(Alive(float(computed)))
    now[0] += 5
    assert "it computes, and there is no result since 7205 s" in str(child.hang_reason())
    child.note(Solved(FrameResult(number=1, status="written")))
    assert child.hang_reason() is None
    for _ in range(182):  # it says that it lives, and does nothing
        now[0] += 5
        child.note(Alive(7200.0))
    assert "nothing was heard of it for 9" in str(child.hang_reason())


def test_a_child_that_never_opens_its_engine_is_named_in_bounded_time(
    made: Any, tmp_path: Path, children: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(child_module, "_PROGRAM", "import time; time.sleep(600)")
    monkeypatch.setattr(child_module, "_START_SECONDS", 0.5)
    monkeypatch.setattr(crew, "_TICK_SECONDS", 0.1)
    with pytest.raises(DeviceError, match="cannot be used: its process hangs"):
        solve(made(tmp_path))
    assert all(child.poll() is not None for child in children)


def test_all_children_share_one_deadline(
    made: Any, tmp_path: Path, children: Any, monkeypatch: Any
) -> None:
    """Eight of them that refuse to end take no longer than one."""
    stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    monkeypatch.setattr(child_module, "_PROGRAM", stubborn + "print(flush=True); time.sleep(600)")
    monkeypatch.setattr(crew, "_PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(child_module, "_START_SECONDS", 2.0)
    started = time.monotonic()
    with pytest.raises(DeviceError, match="cannot be used"):
        solve(made(tmp_path, ",".join(["cpu"] * 8)))
    assert time.monotonic() - started < 15 and len(children) == 8
    assert all(child.poll() is not None for child in children)


@pytest.mark.usefixtures("warm_children")
def test_a_frame_that_kills_two_processes_fails_and_the_rest_is_delivered(
    made: Any, tmp_path: Path, children: Any, monkeypatch: Any
) -> None:
    """A decoder that crashes on frame 1003, say."""
    wish(monkeypatch, "pass")
    program = child_module._PROGRAM.replace(
        "told.append(message)",
        f"told.append(message)\n        if message.result.number == 1003: {KILL}",
    )
    monkeypatch.setattr(child_module, "_PROGRAM", program)
    with Run(made(tmp_path)) as run:
        results = {result.number: result for result in run.frames()}
        assert len(run.lost_devices) == 2
    assert sorted(results) == NUMBERS
    failed = [n for n, result in results.items() if result.status == "failed"]
    assert failed == [1003] and "has taken 2 processes with it" in str(results[1003].error)
    assert Journal.peek(tmp_path).records[1003].error and nothing_left(tmp_path, children)


@pytest.mark.usefixtures("warm_children")
def test_frames_that_a_child_leaves_out_go_to_the_other(
    made: Any, tmp_path: Path, children: Any, monkeypatch: Any
) -> None:
    """It says that it is done, and has not told of all."""
    wish(monkeypatch, FIRST + "return send(answers, crew_messages.Done())")
    monkeypatch.setattr(
        child_module,
        "_PROGRAM",
        child_module._PROGRAM.replace("import worker", "import crew_messages, worker"),
    )
    results = solve(made(tmp_path))
    assert {result.status for result in results.values()} == {"written"}
    assert nothing_left(tmp_path, children)


def test_more_than_a_pipe_takes_is_told_to_a_child_that_does_not_read(tmp_path: Path) -> None:
    child = start_child("0", "cpu", dict(os.environ), tmp_path / "log")
    started = time.monotonic()
    child.process.send_signal(signal.SIGSTOP)
    child.assign(range(200_000))
    assert time.monotonic() - started < 5
    kill(child.process)
    child.process.wait(10)
