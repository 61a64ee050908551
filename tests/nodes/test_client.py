"""The client of every host: finds the server, starts it, outlives its death, does without it."""

from __future__ import annotations

import ast
import io
import json
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
from nodes.vfxmatte_client import (
    Client,
    ClientError,
    find_command,
    remember_command,
    settings_file,
    shared_client,
    tidy_path,
)
from nodes.vfxmatte_client.channel import Channel, ConnectionLost, rpc_error
from nodes.vfxmatte_client.endpoint import connect, read_endpoint
from nodes.vfxmatte_client.events import is_event
from nodes.vfxmatte_client.parameters import command_options, request_params
from nodes.vfxmatte_client.paths import endpoint_file as client_endpoint_file
from tests.gated_engine import SETTINGS
from vfxmatte.common.configuration import changed
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.pipeline.options import parsed_setting, settings_with
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.serve.endpoint import endpoint_file

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "nodes" / "vfxmatte_client"
GATED = ROOT / "tests" / "gated_engine.py"
PATIENCE_SECONDS = 120.0

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes as POSIX does")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home without anything; the server that a test leaves there is ended."""
    monkeypatch.setenv("VFXMATTE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VFXMATTE_COMMAND", raising=False)
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    yield tmp_path / "home"
    Client().shutdown()


PROGRAM = [sys.executable, "-m", "vfxmatte"]
GATED_PROGRAM = [
    sys.executable, "-c",
    f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); sys.argv[0] = 'vfxmatte'; "
    f"runpy.run_path({str(GATED)!r}, run_name='__main__')",
]  # fmt: skip


@pytest.fixture
def warm(warm_python: Path, warm_children: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs start as `warm_python` does."""
    for name in ("PROGRAM", "GATED_PROGRAM"):
        program = [str(warm_python), *globals()[name][1:]]
        monkeypatch.setitem(globals(), name, program)


def options_of(shot: Path, weights: Path, **more: Any) -> dict[str, Any]:
    return {"shot": str(shot), "weights": str(weights), "device": "cpu", **more}


class Recorder:
    """Takes events, and waits for one."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.changed = threading.Condition()

    def __call__(self, record: dict[str, Any]) -> None:
        with self.changed:
            self.records.append(record)
            self.changed.notify_all()

    def wait_for(self, **values: Any) -> None:
        with self.changed:
            assert self.changed.wait_for(
                lambda: any(values.items() <= one.items() for one in self.records),
                PATIENCE_SECONDS,
            ), self.records

    def frames(self) -> list[tuple[int, str]]:
        return [(r["frame"], r["status"]) for r in self.records if r["event"] == "frame"]

    def notes(self) -> str:
        return "\n".join(r["text"] for r in self.records if r["event"] == "note")


# -- what every host's Python can read ---------------------------------------------------------


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
    assert find_command() == [str(on_path)]
    Path(settings_file()).parent.mkdir()
    Path(settings_file()).write_text(f"# where it is\n\n{environment.parent.parent}\n")
    assert find_command() == [str(environment)]
    monkeypatch.setenv("VFXMATTE_COMMAND", str(python))
    assert find_command() == [str(python), "-P", "-m", "vfxmatte"]
    assert find_command(str(on_path)) == [str(on_path)]
    assert find_command(f"'{on_path}' --flag") == [str(on_path), "--flag"]
    assert find_command(["a", "b"]) == ["a", "b"]


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
        with pytest.raises(ClientError) as caught:
            find_command(text)
        assert caught.value.kind == "NotInstalled"


def test_modules_beside_the_host_are_not_the_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vfxmatte.py").write_text("raise SystemExit('got in')")
    monkeypatch.chdir(tmp_path)
    try:
        found = remember_command(sys.executable)
    except ClientError as error:  # not installed in this Python: still not that file
        found = str(error)
    assert "got in" not in found


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("  /a/b\n", "/a/b"), ('"/a b/c"', "/a b/c"), ("'/a'", "/a"), (' " /a " ', "/a"),
        ("~", "{home}"), ("~/a", "{home}/a"), ('"~/a"', "{home}/a"), ("\u202a/a\u202c", "/a"),
        ("\ufeff“/a”", "/a"), ("„/a“", "/a"), ("'\"/a\"'", "/a"), ("", ""), (" '' ", ""),
        ("it's", "it's"), ('"/a', '"/a'), ("/a/~/b", "/a/~/b"), ('"', '"'),
        ("\u2003/a\u2003\u200b ", "/a"), ("\x1c/a\x85", "/a"), ("'//x'", "//x"), ("//x/", "//x/"),
        ('"/a/python" -m "vfxmatte"', '"/a/python" -m "vfxmatte"'), ("“/a” “/b”", "“/a” “/b”"),
    ],
)  # fmt: skip
def test_paths_as_people_write_them(
    text: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tidy_path(text) == meant.format(home=tmp_path)
    assert request_params("run", {"plate": text}).get("plate") == (
        os.path.abspath(meant.format(home=tmp_path)) if meant else None
    )


def test_every_path_of_a_request_is_tidied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OCIO", raising=False)
    options = {
        "plate": " '~/p' ", "trimaps": '"~/t"', "output": "~/o\n", "weights": "“~/w”",
        "ocio": "~/c.ocio", "shot": " ", "frames": 7, "device": None, "overwrite": False,
        "settings": {"missing": "hold", "engine.weights": "another"},
    }  # fmt: skip
    assert request_params("run", options) == {
        "plate": f"{tmp_path}/p", "trimaps": f"{tmp_path}/t", "output": f"{tmp_path}/o",
        "overwrite": False, "ocio": None,
        "settings": {
            "missing": "hold", "frames": "7", "ocio": f"{tmp_path}/c.ocio",
            "engine.weights": f"{tmp_path}/w",
        },
    }  # fmt: skip


@pytest.mark.parametrize("given", ["dim", "w.safetensors", "folder/dim"])
def test_shipped_weights_go_by_name_and_files_by_path(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def sent() -> str:
        return str(request_params("run", {"weights": given})["settings"]["engine.weights"])

    assert sent() == (given if given == "dim" else str(tmp_path / given))
    (tmp_path / "dim").touch()
    assert sent() == str(tmp_path / given)
    settings = changed(RunSettings(), {"engine": {"weights": "dim"}})
    monkeypatch.chdir("/")
    assert settings.engine.weights_path.name == "dim.safetensors"


@pytest.mark.parametrize(
    ("fit", "sent"),
    [
        (None, {}),
        (" ", {}),
        ("auto", {"fit.when": "auto"}),
        ("off", {"fit.when": "off"}),
        (" 2.5", {"fit.when": "on", "fit.minutes": 2.5}),
        (3, {"fit.when": "on", "fit.minutes": 3.0}),
    ],
)
def test_a_fit_is_asked_for_as_on_the_command_line(fit: Any, sent: dict[str, Any]) -> None:
    params = request_params("run", {"shot": "/s", "fit": fit})
    assert params["settings"] == sent
    options = command_options(params)
    assert options[0] == os.path.abspath("/s")
    assert options[2::2] == [f"{name}={json.dumps(value)}" for name, value in sent.items()]
    changes: dict[str, Any] = {}
    for text in options[2::2]:
        for table, values in parsed_setting(text).items():
            changes.setdefault(table, {}).update(values)
    wanted = RunSettings() if fit in (None, " ") else settings_with(
        RunSettings(), {"fit": str(fit).strip(), "part": None, "extra": ()}
    )  # fmt: skip
    assert changed(RunSettings(), changes).fit == wanted.fit


def test_a_fit_s_progress_is_checked() -> None:
    assert is_event({"event": "fit", "step": 20, "steps": 120, "error": 0.1})
    for wrong in ({"step": "20", "steps": 120}, {"step": 20}, {"step": 0, "steps": 0}):
        assert not is_event({"event": "fit", **wrong})


@pytest.mark.parametrize(
    ("text", "sent"), [("", None), ("a.ocio", "/host/a.ocio"), ("ocio://x", "ocio://x")]
)
def test_the_hosts_configuration_goes_with_a_request(
    text: str, sent: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCIO", text)
    monkeypatch.setattr(os.path, "abspath", lambda path: f"/host/{path}")
    assert request_params("open", {})["ocio"] == sent


def test_an_option_that_a_call_does_not_take_is_refused() -> None:
    """Every call's own options are taken, whatever they are; misspelt ones are not lost."""
    options = dict.fromkeys(("shot", "frames", "overwrite", "colorspce"), "x")
    refused = {
        "run": "colorspce",
        "open": "colorspce, overwrite",
        "matte": "colorspce, frames, shot",
    }
    for method, names in refused.items():
        with pytest.raises(TypeError, match=f"{method} takes no option {names}"):
            request_params(method, options)
    with pytest.raises(TypeError, match="pixels takes no option overwrite"):
        Client().start_matte_pixels(image=b"", trimap=b"", width=0, height=0, overwrite=True)


def test_a_process_has_one_client_and_nobody_chooses_its_program() -> None:
    shared = shared_client()
    assert shared is shared_client() and shared._command is None


def test_an_artist_without_vfxmatte_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    job = Client().start_run(shot="/s")
    with pytest.raises(ClientError) as caught:
        job.result(PATIENCE_SECONDS)
    assert caught.value.kind == "NotInstalled" and job.error is caught.value
    assert "pip install" in str(caught.value) and settings_file() in str(caught.value)
    monkeypatch.setenv("VFXMATTE_COMMAND", "/gone/vfxmatte")
    with pytest.raises(ClientError, match=r"at '/gone/vfxmatte', which \$VFXMATTE_COMMAND"):
        Client().check(shot="/s")


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("No module named vfxmatte", "this Python has no vfxmatte"),
        ("SyntaxError: invalid syntax", "this Python is too old"),
        ("libcuda is broken", "cannot be started .*: libcuda is broken"),
    ],
)
def test_a_program_that_does_not_start_says_why(tmp_path: Path, output: str, what: str) -> None:
    program = executable(tmp_path / "vfxmatte", f"#!/bin/sh\necho '{output}' >&2\nexit 1\n")
    with pytest.raises(ClientError, match=what) as caught:
        Client(str(program)).run(shot="/s")
    assert caught.value.hint
    with pytest.raises(ClientError, match=what):
        remember_command(str(program))
    assert not Path(settings_file()).exists()


def test_a_place_that_answers_is_remembered(home: Path) -> None:
    assert remember_command(f' "{sys.executable}" ') == vfxmatte.__version__
    assert find_command() == [sys.executable, "-P", "-m", "vfxmatte"]


def test_hosts_variables_do_not_reach_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/the/host")
    monkeypatch.setenv("PYTHONPATH", "/the/host/lib")
    assert Client(PROGRAM).status(start=True)["version"] == vfxmatte.__version__


def test_it_looks_where_the_server_writes() -> None:
    assert Path(client_endpoint_file()) == endpoint_file()


# -- one server for all ------------------------------------------------------------------------


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
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, Any], says: str) -> None:
    fitting = {
        "image": np.zeros((8, 8, 3), np.float32), "trimap": np.zeros((8, 8), np.float32),
        "width": 8, "height": 8,
    }  # fmt: skip
    with pytest.raises(ClientError, match=says):
        Client(PROGRAM).matte_pixels(**{**fitting, **change})


# -- when things go wrong ----------------------------------------------------------------------


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


@pytest.fixture
def stranger(home: Path) -> Iterator[tuple[socket.socket, dict[str, Any]]]:
    """A listening socket of another program, and an endpoint record that names its port."""
    Path(client_endpoint_file()).parent.mkdir(parents=True)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        yield listening, {"port": port, "token": "old", "pid": 1, "protocol": 1}


def write_record(record: dict[str, Any], mode: int = 0o600) -> None:
    path = Path(client_endpoint_file())
    path.write_text(json.dumps(record))
    path.chmod(mode)


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


# -- whatever a server sends -------------------------------------------------------------------


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


@pytest.mark.parametrize(
    "data",
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
def test_a_server_that_talks_nonsense_is_left(data: bytes) -> None:

    closed = []
    wire = Channel(io.BytesIO(data), lambda _: None, lambda: closed.append(True))
    assert wire.gone.wait(10) and closed and not wire.alive
    with pytest.raises(ConnectionLost):
        wire.begin("status")


def test_errors_of_any_shape_become_one(home: Path) -> None:
    for values in (
        {}, {"code": "x"}, {"code": [1], "data": 5}, {"code": -32800}, {"data": {}},
        {"data": {"exit_code": "a", "kind": [1], "message": None}},
    ):  # fmt: skip
        assert isinstance(rpc_error(values), ClientError)
        str(rpc_error(values))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_looking_for_a_server_leaves_no_descriptor(stranger: Any) -> None:
    listening, record = stranger
    write_record(record)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(30):
        thread = threading.Thread(target=lambda: listening.accept()[0].close())
        thread.start()
        assert connect() is None
        thread.join()
    until = time.monotonic() + 5
    while len(os.listdir("/proc/self/fd")) > before and time.monotonic() < until:
        time.sleep(0.05)
    assert len(os.listdir("/proc/self/fd")) <= before
    Path(client_endpoint_file()).unlink()
