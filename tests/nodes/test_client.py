"""The client of every host: starts a server, outlives its death, does without it."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vfxmatte
from nodes.vfxmatte_client import Client, ClientError
from nodes.vfxmatte_client.endpoint import read_endpoint
from nodes.vfxmatte_client.paths import endpoint_file as client_endpoint_file
from tests.gated_engine import SETTINGS
from tests.nodes.clients import (
    GATED_PROGRAM,
    PACKAGE,
    PATIENCE_SECONDS,
    PROGRAM,
    Recorder,
    empty_home,
    listening_stranger,
    options_of,
    write_record,
)
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.serve.endpoint import endpoint_file

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes as POSIX does")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from empty_home(tmp_path, monkeypatch)


@pytest.fixture
def warm(warm_python: Path, warm_children: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs start as `warm_python` does."""
    for name in ("PROGRAM", "GATED_PROGRAM"):
        program = [str(warm_python), *globals()[name][1:]]
        monkeypatch.setitem(globals(), name, program)


@pytest.fixture
def stranger(home: Path) -> Iterator[tuple[socket.socket, dict[str, Any]]]:
    yield from listening_stranger()


@pytest.mark.parametrize("source", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_old_pythons_read_it_and_it_needs_nothing_but_the_standard_library(source: Path) -> None:
    tree = ast.parse(source.read_text(encoding="utf-8"), feature_version=(3, 7))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and not node.level:
            imported.add((node.module or "").split(".")[0])
    assert imported <= sys.stdlib_module_names


@pytest.mark.parametrize("python", ["python3.7", "python3.9", "python3.10"])
def test_an_old_python_runs_it(python: str, tmp_path: Path) -> None:
    found = shutil.which(python)
    if found is None or subprocess.run([found, "-c", ""], check=False).returncode != 0:
        pytest.skip(f"no {python} here")
    program = (
        f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); import vfxmatte_client\n"
        f"client = vfxmatte_client.Client({PROGRAM!r})\n"
        "print(client.status(start=True)['version'], client.shutdown())\n"
        "try: vfxmatte_client.find_command('/no/such')\n"
        "except vfxmatte_client.ClientError as error: print(error.kind)\n"
    )
    done = subprocess.run([found, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [vfxmatte.__version__, "True", "NotInstalled"], done.stderr


def test_all_calls(tiny_shot: Path, tiny_weights: Path, tmp_path: Path) -> None:
    recorder, done = Recorder(), threading.Event()
    with (
        Client(PROGRAM) as client,
        Client(["must", "not", "start"]) as other,
    ):
        assert not client.status()["serving"]
        checked = client.check(**options_of(tiny_shot, tiny_weights), frames="1001-1003")
        assert checked["frames"] == "1001-1003" and checked["problems"] == []
        job = client.start_run(
            **options_of(tiny_shot, tiny_weights),
            settings={"output.pixel_type": "float"},
            on_event=recorder,
            on_done=lambda _: done.set(),
        )
        assert job.result(PATIENCE_SECONDS)["written"] == 5 and job.done
        assert done.wait(PATIENCE_SECONDS) and recorder.records[-1]["event"] == "totals"
        assert recorder.frames() == [(number, "written") for number in range(1001, 1006)]
        status = other.status()
        assert status["serving"] and status["clients"] == 2 and status["device"] == "cpu"
        frame = {
            "plate": tiny_shot / "plate" / "plate.1001.exr",
            "trimap": tiny_shot / "trimaps" / "trimap.1001.png",
            "output": tmp_path / "one.exr",
        }
        found = other.matte_frame(**frame, weights=str(tiny_weights), device="cpu")
        assert Path(found["path"]) == tmp_path / "one.exr" and frame["output"].is_file()
        with pytest.raises(ClientError, match="such a file already") as caught:
            other.matte_frame(**frame)
        assert caught.value.kind == "OutputError" and caught.value.path == str(frame["output"])
        assert other.devices()[-1]["device"] == "cpu"
        solve_pixels(other, tiny_weights)
        called: list[bool] = []

        def fail(record: dict[str, Any]) -> None:
            called.append(client.status()["serving"])
            raise RuntimeError("in a host")

        again = client.run(**options_of(tiny_shot, tiny_weights), frames=1001, on_event=fail)
        assert again["frames"] == 1 and len(called) == 3 and all(called)
        assert client.shutdown() and not client.shutdown()
        assert not client.status()["serving"] and not endpoint_file().exists()


def solve_pixels(client: Any, weights: Path) -> None:
    image = np.random.default_rng(3).random((33, 57, 3), np.float32)
    trimap = np.full((33, 57), 128, np.uint8)
    found = client.matte_pixels(
        image=image, trimap=trimap, trimap_type="uint8", width=57, height=33,
        colorspace="ACEScg", weights=str(weights), device="cpu",
    )  # fmt: skip
    settings = EngineSettings(weights=weights, device="cpu")
    expected = vfxmatte.matte(image, trimap, colorspace="ACEScg", engine=settings)
    np.testing.assert_array_equal(np.frombuffer(found, np.float32).reshape(33, 57), expected)
    garbage, core = np.full((33, 57), 255, np.uint8), np.zeros((33, 57), np.uint8)
    garbage[:, :20], core[:, 40:] = 0, 255
    limited = client.matte_pixels(
        image=image, trimap=trimap, trimap_type="uint8", width=57, height=33, garbage=garbage,
        core=core, limits_type="uint8", weights=str(weights), device="cpu",
    )  # fmt: skip
    alpha = np.frombuffer(limited, np.float32).reshape(33, 57)
    assert (alpha[:, :20] == 0).all() and (alpha[:, 40:] == 1).all()
    assert 0 < alpha[:, 20:40].mean() < 1


@pytest.mark.usefixtures("warm")
def test_pixels_without_a_server(tiny_weights: Path) -> None:
    with Client(PROGRAM, serve=False) as client:
        solve_pixels(client, tiny_weights)
    assert not endpoint_file().exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"image_type": "int64"}, "no type 'int64'"),
        ({"width": 9}, "has 864 bytes, found 768"),
        ({"image": np.zeros((8, 16, 3), np.float32)[:, ::2]}, "must be contiguous"),
        ({"trimap": [0.5] * 64}, "must be contiguous"),
        ({"core": np.zeros((8, 7), np.float32)}, "has 256 bytes, found 224"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any], says: str) -> None:
    fitting = {
        "image": np.zeros((8, 8, 3), np.float32), "trimap": np.zeros((8, 8), np.float32),
        "width": 8, "height": 8,
    }  # fmt: skip
    with pytest.raises(ClientError, match=says):
        Client(PROGRAM).matte_pixels(**{**fitting, **change})


@pytest.mark.usefixtures("warm")
def test_a_server_that_is_killed_is_started_again_and_goes_on(
    tiny_shot: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    recorder = Recorder()
    with Client(GATED_PROGRAM) as client:
        job = client.start_run(
            **options_of(tiny_shot, tiny_weights), settings=SETTINGS, on_event=recorder
        )
        recorder.wait_for(event="frame", frame=1002)
        first = client.status()["pid"]
        os.kill(first, signal.SIGKILL)
        (tmp_path / "gate").touch()
        totals = job.result(PATIENCE_SECONDS)
        assert totals["kept"] >= 2 and totals["kept"] + totals["written"] == 5
        assert [number for number, _ in recorder.frames()] == [1001, 1002, 1003, 1004, 1005]
        assert "has died" in recorder.notes() and client.status()["pid"] != first


@pytest.mark.usefixtures("warm")
def test_a_server_that_always_dies_is_given_up(
    tiny_shot: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    lives = tmp_path / "lives"
    program = (
        "import os, sys\nfrom vfxmatte.cli import main\n"
        "from vfxmatte.engines.registry import register\n"
        f"def die(_):\n open({str(lives)!r}, 'a').write('x')\n os._exit(9)\n"
        "register('deadly', die)\nsys.argv[0] = 'vfxmatte'\nmain()"
    )
    died = pytest.raises(ClientError, match="the engine died 3 times")
    with Client([sys.executable, "-c", program]) as client, died as caught:
        client.run(**options_of(tiny_shot, tiny_weights), settings={"engine.name": "deadly"})
    assert caught.value.kind == "EngineDied" and Path(str(caught.value.path)).is_file()
    assert lives.read_text() == "xxx"


@pytest.mark.usefixtures("warm")
def test_cancel_on_the_command_line(tiny_shot: Path, tiny_weights: Path, tmp_path: Path) -> None:
    recorder = Recorder()
    with Client(GATED_PROGRAM, serve=False) as client:
        job = client.start_run(
            **options_of(tiny_shot, tiny_weights), settings=SETTINGS, on_event=recorder
        )
        recorder.wait_for(event="frame", frame=1002)
        job.cancel()
        time.sleep(1)  # on a busy machine the signal is not handled at once
        (tmp_path / "gate").touch()
        totals = job.result(PATIENCE_SECONDS)
        assert totals["interrupted"] and totals["written"] in (2, 3) and job.cancelled, totals


@pytest.mark.usefixtures("warm")
def test_leaving_cancels_even_what_does_not_answer(
    tiny_shot: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[Client.__module__], "_LEAVE_SECONDS", 0.1)
    recorder = Recorder()
    client = Client(GATED_PROGRAM)
    job = client.start_run(
        **options_of(tiny_shot, tiny_weights), settings=SETTINGS, on_event=recorder
    )
    recorder.wait_for(event="frame", frame=1002)
    client.close()
    assert job.result(PATIENCE_SECONDS)["interrupted"]
    with Client() as other:  # which only looks: the server is still there
        assert other.status()["serving"]
    (tmp_path / "gate").touch()


@pytest.mark.usefixtures("warm")
def test_a_stale_file_and_a_strangers_program_are_passed_over(stranger: Any) -> None:
    listening, record = stranger

    def answer() -> None:
        connection, _ = listening.accept()
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        connection.close()

    write_record(record, 0o644)
    assert read_endpoint() is None  # anybody might have written it
    write_record(record)
    thread = threading.Thread(target=answer)
    thread.start()
    assert not Client().status()["serving"]
    thread.join()
    write_record({**record, "port": 1})
    assert Client(PROGRAM).status(start=True)["version"] == vfxmatte.__version__


def test_two_clients_at_once_start_one_server() -> None:
    clients = [Client(PROGRAM) for _ in range(3)]
    pids: list[int] = []
    threads = [
        threading.Thread(target=lambda one=one: pids.append(one.status(start=True)["pid"]))
        for one in clients
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pids) == 3 and len(set(pids)) == 1
    children = [
        client._connection.child for client in clients if client._connection.child is not None
    ]
    assert {child.pid for child in children if child.poll() is None} == set(pids)
    for client in clients:
        client.close()


@pytest.mark.usefixtures("warm")
def test_where_no_server_can_run_the_command_line_does_it(
    tiny_shot: Path, tiny_weights: Path, home: Path, tmp_path: Path
) -> None:
    home.mkdir()
    (home / "run").write_text("a file stands where the server's folder should be")
    recorder = Recorder()
    with Client(PROGRAM) as client:
        totals = client.run(**options_of(tiny_shot, tiny_weights), on_event=recorder)
        assert totals["written"] == 5 and "done by the command line" in recorder.notes()
        assert recorder.frames() == [(number, "written") for number in range(1001, 1006)]
        assert client.check(**options_of(tiny_shot, tiny_weights))["finished"] == 5
        with pytest.raises(ClientError, match=r"no setting 'engine\.weihgts'") as caught:
            client.run(**options_of(tiny_shot, tiny_weights), settings={"engine.weihgts": "a"})
        assert caught.value.hint
    (home / "run").unlink()


@pytest.mark.usefixtures("warm")
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
    recorder, begun = Recorder(), time.monotonic()
    with Client([sys.executable, "-c", program]) as client:
        totals = client.run(**options_of(tiny_shot, tiny_weights), frames=1001, on_event=recorder)
    assert totals["written"] == 1 and time.monotonic() - begun < 60
    assert recorder.notes().count("cannot be kept from other users") == 1
    assert not [r for r in caplog.records if r.levelname == "WARNING"]
    assert not endpoint_file().exists()


def test_a_server_whose_file_others_can_read_is_not_waited_for(home: Path, tmp_path: Path) -> None:
    path = Path(client_endpoint_file())
    program = (
        f"import os, time\nos.makedirs({str(path.parent)!r}, exist_ok=True)\n"
        f"open({str(path)!r}, 'w').write('{{}}')\nos.chmod({str(path)!r}, 0o644)\ntime.sleep(60)"
    )
    begun = time.monotonic()
    with pytest.raises(ClientError, match="can be read by others") as caught:
        Client([sys.executable, "-c", program]).status(start=True)
    assert caught.value.kind == "CannotServe" and time.monotonic() - begun < 30
