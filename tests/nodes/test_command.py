"""The client of every host: finds the engine, starts it, outlives its death, does without it."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import vfxmatte
from tests.gated_engine import SETTINGS
from vfxmatte.engines.base import EngineSettings
from vfxmatte.serve.endpoint import endpoint_file

SOURCE = Path(__file__).parents[2] / "nodes" / "command.py"
ROOT = SOURCE.parents[1]
GATED = ROOT / "tests" / "gated_engine.py"
PATIENCE_SECONDS = 120.0

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes as POSIX does")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("vfxmatte_client", SOURCE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["vfxmatte_client"] = module
    spec.loader.exec_module(module)
    return module


command = load()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home without anything; the engine that a test leaves there is ended."""
    monkeypatch.setenv("VFXMATTE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VFXMATTE_COMMAND", raising=False)
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    yield tmp_path / "home"
    command.Engine().shutdown()


PROGRAM = [sys.executable, "-m", "vfxmatte"]
GATED_PROGRAM = [
    sys.executable, "-c",
    f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); sys.argv[0] = 'vfxmatte'; "
    f"runpy.run_path({str(GATED)!r}, run_name='__main__')",
]  # fmt: skip


def wishes(shot: Path, weights: Path, **more: Any) -> dict[str, Any]:
    return {"shot": str(shot), "weights": str(weights), "device": "cpu", **more}


class Heard:
    """Takes events, and waits for one."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.changed = threading.Condition()

    def __call__(self, record: dict[str, Any]) -> None:
        with self.changed:
            self.records.append(record)
            self.changed.notify_all()

    def wait_for(self, **wanted: Any) -> None:
        with self.changed:
            assert self.changed.wait_for(
                lambda: any(wanted.items() <= one.items() for one in self.records),
                PATIENCE_SECONDS,
            ), self.records

    def frames(self) -> list[tuple[int, str]]:
        return [(r["frame"], r["status"]) for r in self.records if r["event"] == "frame"]

    def notes(self) -> str:
        return "\n".join(r["text"] for r in self.records if r["event"] == "note")


# -- what every host's Python can read ---------------------------------------------------------


def test_python_3_9_reads_it_and_it_needs_nothing_but_the_standard_library() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 9))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize("python", ["python3.9", "python3.10"])
def test_an_old_python_runs_it(python: str, tmp_path: Path) -> None:
    found = shutil.which(python)
    if found is None or subprocess.run([found, "-c", ""], check=False).returncode != 0:
        pytest.skip(f"no {python} here")
    program = (
        f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r}); import command\n"
        f"engine = command.Engine({PROGRAM!r})\n"
        "print(engine.status(start=True)['version'], engine.shutdown())\n"
        "try: command.find_command('/no/such')\n"
        "except command.EngineError as error: print(error.kind)\n"
    )
    done = subprocess.run([found, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [vfxmatte.__version__, "True", "NotInstalled"], done.stderr


# -- finding it --------------------------------------------------------------------------------


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_where_it_is_looked_for(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = executable(tmp_path / "path" / "vfxmatte")
    environment = executable(tmp_path / "an env" / "bin" / "vfxmatte")
    python = executable(tmp_path / "python3.12")
    monkeypatch.setenv("PATH", str(on_path.parent))
    assert command.find_command() == [str(on_path)]
    Path(command.settings_file()).parent.mkdir()
    Path(command.settings_file()).write_text(f"# where it is\n\n{environment.parent.parent}\n")
    assert command.find_command() == [str(environment)]
    monkeypatch.setenv("VFXMATTE_COMMAND", str(python))
    assert command.find_command() == [str(python), "-P", "-m", "vfxmatte"]
    assert command.find_command(str(on_path)) == [str(on_path)]
    assert command.find_command(f"'{on_path}' --flag") == [str(on_path), "--flag"]
    assert command.find_command(["a", "b"]) == ["a", "b"]


def test_the_folder_that_the_host_is_in_brings_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shot's folder may be anybody's."""
    here = tmp_path / "shot"
    for name in ("vfxmatte", "python3", "bin/vfxmatte"):
        executable(here / name)
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", "bin", str(tmp_path)]))
    for text in (None, "vfxmatte", "./vfxmatte", "bin", ".", "python3", "bin/vfxmatte --x"):
        with pytest.raises(command.EngineError) as caught:
            command.find_command(text)
        assert caught.value.kind == "NotInstalled"


def test_modules_beside_the_host_are_not_the_engines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vfxmatte.py").write_text("raise SystemExit('got in')")
    monkeypatch.chdir(tmp_path)
    try:
        found = command.remember_command(sys.executable)
    except command.EngineError as error:  # not installed in this Python: still not that file
        found = str(error)
    assert "got in" not in found


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("  /a/b\n", "/a/b"), ('"/a b/c"', "/a b/c"), ("'/a'", "/a"), (' " /a " ', "/a"),
        ("~", "{home}"), ("~/a", "{home}/a"), ('"~/a"', "{home}/a"), ("\u202a/a\u202c", "/a"),
        ("\ufeff“/a”", "/a"), ("„/a“", "/a"), ("'\"/a\"'", "/a"), ("", ""), (" '' ", ""),
        ("it's", "it's"), ('"/a', '"/a'), ("/a/~/b", "/a/~/b"), ('"', '"'),
        ("\u2003/a\u2003\u200b ", "/a"), ("\x1c/a\x85", "/a"),
    ],
)  # fmt: skip
def test_paths_as_people_write_them(
    text: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert command.tidy_path(text) == meant.format(home=tmp_path)
    assert command._absolute({"plate": text}).get("plate") == (
        os.path.abspath(meant.format(home=tmp_path)) if meant else None
    )


def test_every_path_of_a_request_is_tidied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OCIO", raising=False)
    asked: list[Any] = []

    def begin(self: Any, kind: str, work: Any, *_: Any) -> None:
        monkeypatch.setattr(self, "_do_run", lambda _, params: asked.append(params))
        work(None)

    monkeypatch.setattr(command.Engine, "_begin", begin)
    command.Engine().start_run(
        plate=" '~/p' ", trimaps='"~/t"', output="~/o\n", weights="“~/w”", ocio="~/c.ocio"
    )
    (params,) = asked
    assert (params["plate"], params["trimaps"], params["output"]) == (
        f"{tmp_path}/p", f"{tmp_path}/t", f"{tmp_path}/o",
    )  # fmt: skip
    assert params["settings"] == {
        "engine.weights": f"{tmp_path}/w", "ocio": f"{tmp_path}/c.ocio",
    }  # fmt: skip


def test_an_artist_without_an_engine_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    job = command.Engine().start_run(shot="/s")
    with pytest.raises(command.EngineError) as caught:
        job.result(PATIENCE_SECONDS)
    assert caught.value.kind == "NotInstalled" and job.error is caught.value
    assert "pip install" in str(caught.value) and command.settings_file() in str(caught.value)
    monkeypatch.setenv("VFXMATTE_COMMAND", "/gone/vfxmatte")
    with pytest.raises(command.EngineError, match=r"at '/gone/vfxmatte', which \$VFXMATTE_COMMAND"):
        command.Engine().check(shot="/s")


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ("No module named vfxmatte", "this Python has no vfxmatte"),
        ("SyntaxError: invalid syntax", "this Python is too old"),
        ("libcuda is broken", "cannot be started .*: libcuda is broken"),
    ],
)
def test_an_engine_that_does_not_start_says_why(tmp_path: Path, said: str, what: str) -> None:
    program = executable(tmp_path / "vfxmatte", f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    with pytest.raises(command.EngineError, match=what) as caught:
        command.Engine(str(program)).run(shot="/s")
    assert caught.value.hint
    with pytest.raises(command.EngineError, match=what):
        command.remember_command(str(program))
    assert not Path(command.settings_file()).exists()


def test_a_place_that_answers_is_remembered(home: Path) -> None:
    assert command.remember_command(f' "{sys.executable}" ') == vfxmatte.__version__
    assert command.find_command() == [sys.executable, "-P", "-m", "vfxmatte"]


def test_hosts_variables_do_not_reach_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/the/host")
    monkeypatch.setenv("PYTHONPATH", "/the/host/lib")
    assert command.Engine(PROGRAM).status(start=True)["version"] == vfxmatte.__version__


def test_it_looks_where_the_engine_writes() -> None:
    assert Path(command.endpoint_file()) == endpoint_file()


# -- one engine for all ------------------------------------------------------------------------


def test_all_calls(tiny_shot: Path, tiny_weights: Path, tmp_path: Path) -> None:
    heard, done = Heard(), threading.Event()
    with command.Engine(PROGRAM) as engine, command.Engine(["must", "not", "start"]) as other:
        assert not engine.status()["serving"]
        checked = engine.check(**wishes(tiny_shot, tiny_weights), frames="1001-1003")
        assert checked["frames"] == "1001-1003" and checked["problems"] == []
        job = engine.start_run(
            **wishes(tiny_shot, tiny_weights),
            settings={"output.pixel_type": "float"},
            on_event=heard,
            on_done=lambda _: done.set(),
        )
        assert job.result(PATIENCE_SECONDS)["written"] == 5 and job.done
        assert done.wait(PATIENCE_SECONDS) and heard.records[-1]["event"] == "totals"
        assert heard.frames() == [(number, "written") for number in range(1001, 1006)]
        status = other.status()
        assert status["serving"] and status["clients"] == 2 and status["device"] == "cpu"
        frame = {
            "plate": tiny_shot / "plate" / "plate.1001.exr",
            "trimap": tiny_shot / "trimaps" / "trimap.1001.png",
            "output": tmp_path / "one.exr",
        }
        found = other.matte_frame(**frame, weights=str(tiny_weights), device="cpu")
        assert Path(found["path"]) == tmp_path / "one.exr" and frame["output"].is_file()
        with pytest.raises(command.EngineError, match="such a file already") as caught:
            other.matte_frame(**frame)
        assert caught.value.kind == "OutputError" and caught.value.path == str(frame["output"])
        assert other.devices()[-1]["device"] == "cpu"
        solve_pixels(other, tiny_weights)
        called: list[bool] = []

        def fail(record: dict[str, Any]) -> None:
            called.append(engine.status()["serving"])
            raise RuntimeError("in a host")

        again = engine.run(**wishes(tiny_shot, tiny_weights), frames=1001, on_event=fail)
        assert again["frames"] == 1 and len(called) == 3 and all(called)
        assert engine.shutdown() and not engine.shutdown()
        assert not engine.status()["serving"] and not endpoint_file().exists()


def solve_pixels(engine: Any, weights: Path) -> None:
    image = np.random.default_rng(3).random((33, 57, 3), np.float32)
    trimap = np.full((33, 57), 128, np.uint8)
    found = engine.matte_pixels(
        image=image, trimap=trimap, trimap_type="uint8", width=57, height=33,
        colorspace="ACEScg", weights=str(weights), device="cpu",
    )  # fmt: skip
    settings = EngineSettings(weights=weights, device="cpu")
    expected = vfxmatte.matte(image, trimap, colorspace="ACEScg", engine=settings)
    np.testing.assert_array_equal(np.frombuffer(found, np.float32).reshape(33, 57), expected)


def test_pixels_without_a_server(tiny_weights: Path) -> None:
    with command.Engine(PROGRAM, serve=False) as engine:
        solve_pixels(engine, tiny_weights)
    assert not endpoint_file().exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image_type": "int64"}, "no type 'int64'"),
        ({"width": 9}, "has 864 bytes, found 768"),
        ({"image": np.zeros((8, 16, 3), np.float32)[:, ::2]}, "must be contiguous"),
        ({"trimap": [0.5] * 64}, "must be contiguous"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any], says: str) -> None:
    fitting = {
        "image": np.zeros((8, 8, 3), np.float32), "trimap": np.zeros((8, 8), np.float32),
        "width": 8, "height": 8,
    }  # fmt: skip
    with pytest.raises(command.EngineError, match=says):
        command.Engine(PROGRAM).matte_pixels(**{**fitting, **change})


# -- when things go wrong ----------------------------------------------------------------------


def test_an_engine_that_is_killed_is_started_again_and_goes_on(
    tiny_shot: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    heard = Heard()
    with command.Engine(GATED_PROGRAM) as engine:
        job = engine.start_run(**wishes(tiny_shot, tiny_weights), settings=SETTINGS, on_event=heard)
        heard.wait_for(event="frame", frame=1002)
        first = engine.status()["pid"]
        os.kill(first, signal.SIGKILL)
        (tmp_path / "gate").touch()
        totals = job.result(PATIENCE_SECONDS)
        assert totals["kept"] >= 2 and totals["kept"] + totals["written"] == 5
        assert [number for number, _ in heard.frames()] == [1001, 1002, 1003, 1004, 1005]
        assert "has died" in heard.notes() and engine.status()["pid"] != first


def test_an_engine_that_always_dies_is_given_up(
    tiny_shot: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    lives = tmp_path / "lives"
    program = (
        "import os, sys\nfrom vfxmatte.cli import main\n"
        "from vfxmatte.engines.base import register\n"
        f"def die(_):\n open({str(lives)!r}, 'a').write('x')\n os._exit(9)\n"
        "register('deadly', die)\nsys.argv[0] = 'vfxmatte'\nmain()"
    )
    died = pytest.raises(command.EngineError, match="the engine died 3 times")
    with command.Engine([sys.executable, "-c", program]) as engine, died as caught:
        engine.run(**wishes(tiny_shot, tiny_weights), settings={"engine.name": "deadly"})
    assert caught.value.kind == "EngineDied" and Path(str(caught.value.path)).is_file()
    assert lives.read_text() == "xxx"


def test_cancel_on_the_command_line(tiny_shot: Path, tiny_weights: Path, tmp_path: Path) -> None:
    heard = Heard()
    with command.Engine(GATED_PROGRAM, serve=False) as engine:
        job = engine.start_run(**wishes(tiny_shot, tiny_weights), settings=SETTINGS, on_event=heard)
        heard.wait_for(event="frame", frame=1002)
        job.cancel()
        (tmp_path / "gate").touch()
        totals = job.result(PATIENCE_SECONDS)
        assert totals["interrupted"] and totals["written"] in (2, 3) and job.cancelled


def test_leaving_cancels_even_what_does_not_answer(
    tiny_shot: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_LEAVE_SECONDS", 0.1)
    heard = Heard()
    engine = command.Engine(GATED_PROGRAM)
    job = engine.start_run(**wishes(tiny_shot, tiny_weights), settings=SETTINGS, on_event=heard)
    heard.wait_for(event="frame", frame=1002)
    engine.close()
    assert job.result(PATIENCE_SECONDS)["interrupted"]
    with command.Engine() as other:  # which only looks: the engine is still there
        assert other.status()["serving"]
    (tmp_path / "gate").touch()


def test_a_stale_file_and_a_strangers_program_are_passed_over(home: Path) -> None:
    import socket

    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        path = Path(command.endpoint_file())
        path.parent.mkdir(parents=True)
        record = {"port": stranger.getsockname()[1], "token": "old", "pid": 1, "protocol": 1}

        def answer() -> None:
            connection, _ = stranger.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        path.write_text(json.dumps(record))
        path.chmod(0o644)
        assert command._endpoint() is None  # anybody might have written it
        path.chmod(0o600)
        thread = threading.Thread(target=answer)
        thread.start()
        assert not command.Engine().status()["serving"]
        thread.join()
        path.write_text(json.dumps({**record, "port": 1}))
        assert command.Engine(PROGRAM).status(start=True)["version"] == vfxmatte.__version__


def test_two_clients_at_once_start_one_engine() -> None:
    engines = [command.Engine(PROGRAM) for _ in range(3)]
    pids: list[int] = []
    threads = [
        threading.Thread(target=lambda one=one: pids.append(one.status(start=True)["pid"]))
        for one in engines
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 3 and len(set(pids)) == 1
    children = [engine._child for engine in engines if engine._child is not None]
    assert {child.pid for child in children if child.poll() is None} == set(pids)
    for engine in engines:
        engine.close()


def test_where_no_engine_can_serve_the_command_line_does_it(
    tiny_shot: Path, tiny_weights: Path, home: Path, tmp_path: Path
) -> None:
    home.mkdir()
    (home / "run").write_text("a file stands where the engine's folder should be")
    heard = Heard()
    with command.Engine(PROGRAM) as engine:
        totals = engine.run(**wishes(tiny_shot, tiny_weights), on_event=heard)
        assert totals["written"] == 5 and "done by the command line" in heard.notes()
        assert heard.frames() == [(number, "written") for number in range(1001, 1006)]
        assert engine.check(**wishes(tiny_shot, tiny_weights))["finished"] == 5
        with pytest.raises(command.EngineError, match=r"no setting 'engine\.weihgts'") as caught:
            engine.run(**wishes(tiny_shot, tiny_weights), settings={"engine.weihgts": "a"})
        assert caught.value.hint
    (home / "run").unlink()


# -- whatever an engine says -------------------------------------------------------------------


def test_a_disk_without_file_modes_is_found_out_at_once(
    tiny_shot: Path, tiny_weights: Path, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It took 95 s, and a warning for every look at the file."""
    program = (
        "import os, sys\nreal = os.fstat\n"
        "def fstat(fd):\n state = real(fd)\n"
        " return os.stat_result((state.st_mode | 0o077, *state[1:]))\n"
        "os.fstat, os.fchmod = fstat, lambda *_: None\n"
        "sys.argv[0] = 'vfxmatte'\nfrom vfxmatte.cli import main\nmain()"
    )
    heard, begun = Heard(), time.monotonic()
    with command.Engine([sys.executable, "-c", program]) as engine:
        totals = engine.run(**wishes(tiny_shot, tiny_weights), frames=1001, on_event=heard)
    assert totals["written"] == 1 and time.monotonic() - begun < 60
    assert heard.notes().count("cannot be kept from other users") == 1
    assert not [r for r in caplog.records if r.levelname == "WARNING"]
    assert not endpoint_file().exists()


def test_an_engine_whose_file_others_can_read_is_not_waited_for(home: Path, tmp_path: Path) -> None:
    path = Path(command.endpoint_file())
    program = (
        f"import os, time\nos.makedirs({str(path.parent)!r}, exist_ok=True)\n"
        f"open({str(path)!r}, 'w').write('{{}}')\nos.chmod({str(path)!r}, 0o644)\ntime.sleep(60)"
    )
    begun = time.monotonic()
    with pytest.raises(command.EngineError, match="can be read by others") as caught:
        command.Engine([sys.executable, "-c", program]).status(start=True)
    assert caught.value.kind == "CannotServe" and time.monotonic() - begun < 30


@pytest.mark.parametrize(
    "said",
    [
        b"", b"\r\n", b"Content-Length: x\r\n\r\n", b"Content-Length: -1\r\n\r\n{}",
        b"Content-Length: 99999999999999\r\n\r\n{}", b"Content-Length: 2\r\n\r\n[]",
        b"Content-Length: 4\r\n\r\nnull", b"x" * 100_000, b"Content-Length: 40\r\n\r\n{}",
        b'Content-Length: 34\r\n\r\n{"method": "event", "params": null}',
        b'Content-Length: 29\r\n\r\n{"id": 1, "error": {"code": 1}',
        b"Content-Length: 200000\r\n\r\n" + b"[" * 200_000,
        b'Content-Length: 28\r\n\r\n{"id": {"a": 1}, "result": 1}',
    ],
)  # fmt: skip
def test_an_engine_that_talks_nonsense_is_left(said: bytes) -> None:
    import io

    closed = []
    channel = command._Channel(io.BytesIO(said), lambda _: None, lambda: closed.append(True))
    assert channel.gone.wait(10) and closed and not channel.alive
    with pytest.raises(command._Lost):
        channel.begin("status")


def test_errors_of_any_shape_become_one(home: Path) -> None:
    for values in (
        {}, {"code": "x"}, {"code": [1], "data": 5}, {"code": -32800}, {"data": {}},
        {"data": {"exit_code": "a", "kind": [1], "message": None}},
    ):  # fmt: skip
        assert isinstance(command._rpc_error(values), command.EngineError)
        str(command._rpc_error(values))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_looking_for_an_engine_leaves_no_descriptor(home: Path) -> None:
    import socket

    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        path = Path(command.endpoint_file())
        path.parent.mkdir(parents=True)
        record = {"port": stranger.getsockname()[1], "token": "old", "pid": 1, "protocol": 1}
        path.write_text(json.dumps(record))
        path.chmod(0o600)
        before = len(os.listdir("/proc/self/fd"))
        keep: list[Any] = []
        for _ in range(30):
            thread = threading.Thread(target=lambda: keep.append(stranger.accept()[0].close()))
            thread.start()
            assert command._connect() is None
            thread.join()
        until = time.monotonic() + 5
        while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < until:
            time.sleep(0.05)
        assert len(os.listdir("/proc/self/fd")) <= before
        path.unlink()
