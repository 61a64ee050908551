"""The server over TCP: jobs and their results, clients that misbehave, and clients that die."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import vfxmatte
from tests.gated_engine import SETTINGS, register_gated
from tests.raw_client import PATIENCE_SECONDS, RawClient, framed, read_message
from vfxmatte.cli.serve import serve
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.errors import OutputLockedError
from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline.shot import Shot
from vfxmatte.reporting.inspection import as_plain, inspect
from vfxmatte.serve import endpoint, rpc
from vfxmatte.serve.endpoint import Endpoint, published, sole_server
from vfxmatte.serve.framing import MESSAGE_LIMIT, UNAUTHENTICATED_LIMIT
from vfxmatte.serve.threads import MAX_CLIENTS, Server

TOKEN = "the token of this test"


class Running:
    """A server in threads of this process."""

    def __init__(self, **options: Any) -> None:
        self.server = Server(**{"idle_seconds": None, **options})
        self.listener = self.server.listen()
        self.port = self.listener.getsockname()[1]
        self.server.accept_from(self.listener, TOKEN)
        self.clean: list[bool] = []
        self.thread = threading.Thread(target=lambda: self.clean.append(self.server.serve()))
        self.thread.start()
        self.clients: list[RawClient] = []

    def client(self, token: str | None = TOKEN) -> RawClient:
        self.clients.append(RawClient(self.port, token))
        return self.clients[-1]

    def end(self) -> None:
        self.server.stop()
        self.thread.join()
        self.server.close_clients()
        self.listener.close()
        for client in self.clients:
            client.close()
        assert self.clean == [True]


@pytest.fixture
def running() -> Iterator[Running]:
    found = Running()
    yield found
    found.end()


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    register_gated()
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    return tmp_path / "gate"


def gated(shot: Path, weights: Path, **more: Any) -> dict[str, Any]:
    """The parameters of a run that stops at the gate."""
    return {"shot": str(shot), "settings": {**SETTINGS, "engine.weights": str(weights)}, **more}


def plain(shot: Path, weights: Path, **more: Any) -> dict[str, Any]:
    settings = {"engine": {"weights": str(weights), "device": "cpu"}}
    return {"shot": str(shot), "settings": settings, **more}


def error_of(answer: dict[str, Any]) -> tuple[int, str]:
    return answer["error"]["code"], answer["error"]["message"]


def mattes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("matte.*"))}


# -- jobs --------------------------------------------------------------------------------------


def test_a_run_gives_the_files_and_the_events_of_the_command_line(
    running: Running, tiny_shot: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vfxmatte", "run", str(tiny_shot), "-o", str(tmp_path / "cli"),
         "--weights", str(tiny_weights), "--device", "cpu", "--json"],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    client = running.client()
    output = str(tmp_path / "served")
    answer = client.call("run", 5, **plain(tiny_shot, tiny_weights, output=output))
    assert len(mattes(tmp_path / "cli")) == 5
    assert mattes(tmp_path / "cli") == mattes(tmp_path / "served")
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [set(event) for event in told] == [set(e) - {"job"} for e in client.events]
    assert [e["event"] for e in client.events] == ["start", *["frame"] * 5, "totals"]
    assert {event["job"] for event in client.events} == {5}
    assert answer["result"]["written"] == 5
    assert answer["result"].items() <= client.events[-1].items()
    again = client.call("run", 6, **plain(tiny_shot, tiny_weights, output=output))
    assert (again["result"]["kept"], again["result"]["written"]) == (5, 0)


def test_open_says_what_check_says(running: Running, tiny_shot: Path, tiny_weights: Path) -> None:
    answer = running.client().call("open", **plain(tiny_shot, tiny_weights))
    expected = as_plain(inspect(Shot.open(tiny_shot)))
    assert answer["result"]["plate"] == expected["plate"]
    assert answer["result"]["keyframes"] == expected["keyframes"]
    assert answer["result"]["problems"] == [] and answer["result"]["to_do"] == 5


def test_no_gpu_is_told(
    running: Running, tiny_shot: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    client = running.client()
    settings = {"engine.weights": str(tiny_weights), "engine.device": "auto"}
    client.call("run", shot=str(tiny_shot), settings=settings, overwrite=True)
    assert ["no GPU was found" in e["text"] for e in client.events if e["event"] == "note"] == [
        True
    ]
    settings["engine.device"] = "cuda"
    code, said = error_of(client.call("run", 2, shot=str(tiny_shot), settings=settings))
    assert code == rpc.FAILED and "cuda" in said
    assert client.call("devices", 3)["result"]["devices"][-1]["device"] == "cpu"


def test_one_frame_from_files(
    running: Running, tiny_shot: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    client, output = running.client(), tmp_path / "new" / "one.exr"
    files = {
        "plate": str(tiny_shot / "plate" / "plate.1001.exr"),
        "trimap": str(tiny_shot / "trimaps" / "trimap.1001.png"),
        "output": str(output),
        "settings": {"engine.weights": str(tiny_weights), "engine.device": "cpu"},
    }
    found = client.call("matte", **files)["result"]
    assert found["path"] == str(output) and found["device"] == "cpu"
    client.call("run", 2, **plain(tiny_shot, tiny_weights, frames=None))
    as_run = read_image(tiny_shot / "matte" / "matte.1001.exr")
    one = read_image(output)
    np.testing.assert_array_equal(one.pixels, as_run.pixels)
    assert one.header.metadata["comment"] == "a tiny shot"
    code, said = error_of(client.call("matte", 3, **files))
    assert code == rpc.FAILED and "such a file already" in said
    before = output.read_bytes()
    assert "result" in client.call("matte", 4, **files, overwrite=True)
    assert output.read_bytes() == before
    code, said = error_of(client.call("matte", 5, **{**files, "output": str(tmp_path / "a.jpg")}))
    assert "cannot be written as .jpg" in said


def test_one_frame_with_its_foreground_and_layers(
    running: Running, tiny_shot: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    """As a run with the same settings writes it."""
    client = running.client()
    settings = {
        "engine.weights": str(tiny_weights), "engine.device": "cpu",
        "output.foreground": "premultiplied", "output.despill": 0.5,
        "output.layers": ["trimap", "background=sky"],
    }  # fmt: skip
    files = {
        "plate": str(tiny_shot / "plate" / "plate.1001.exr"),
        "trimap": str(tiny_shot / "trimaps" / "trimap.1001.png"),
        "output": str(tmp_path / "one.exr"),
    }
    assert "result" in client.call("matte", **files, settings=settings)
    run = {"shot": str(tiny_shot), "settings": {**settings, "frames": "1001"}}
    assert client.call("run", 2, **run)["result"]["written"] == 1
    paths = tmp_path / "one.exr", tiny_shot / "matte" / "matte.1001.exr"
    for layer in (None, "sky", "trimap"):
        one, as_run = (read_image(path, layer=layer).pixels for path in paths)
        np.testing.assert_array_equal(one, as_run)
        assert one.shape[2] == {None: 4, "sky": 3, "trimap": 1}[layer]
    wrong = {"output.layers": ["trimap=7"]}
    said = error_of(client.call("matte", 3, **files, settings=wrong))[1]
    assert "would not show it" in said


@pytest.mark.parametrize("by", ["file", "shared_memory"])
def test_arrays_there_and_back(
    running: Running, tiny_weights: Path, tmp_path: Path, by: str
) -> None:
    image = np.random.default_rng(3).random((33, 57, 3), np.float32)
    trimap = np.full((33, 57), 128, np.uint8)
    engine = EngineSettings(weights=tiny_weights, device="cpu")
    expected = vfxmatte.matte(image, trimap, colorspace="ACEScg", engine=engine)
    content = image.tobytes() + trimap.tobytes() + bytes(expected.nbytes)
    with contextlib.ExitStack() as stack:
        if by == "file":
            path = tmp_path / "arrays"
            path.write_bytes(content)
            where, read = {"file": str(path)}, path.read_bytes
        else:
            memory = SharedMemory(create=True, size=len(content))
            stack.callback(memory.unlink)
            stack.callback(memory.close)
            assert memory.buf is not None
            memory.buf[: len(content)] = content
            where, read = {"shared_memory": memory.name}, lambda: bytes(memory.buf or b"")
        request = {
            "image": {**where, "shape": [33, 57, 3]},
            "trimap": {**where, "shape": [33, 57], "dtype": "uint8", "offset": image.nbytes},
            "alpha": {**where, "shape": [33, 57], "offset": image.nbytes + trimap.nbytes},
            "settings": {
                "engine.weights": str(tiny_weights), "engine.device": "cpu", "colorspace": "ACEScg",
            },
        }  # fmt: skip
        client = running.client()
        assert client.call("pixels", **request)["result"]["device"] == "cpu"
        found = np.frombuffer(read(), np.float32, 33 * 57, image.nbytes + trimap.nbytes)
        np.testing.assert_array_equal(found.reshape(33, 57), expected)
        too_far = {**request, "alpha": {**request["alpha"], "offset": len(content)}}
        code, said = error_of(client.call("pixels", 2, **too_far))
        assert code == rpc.INVALID_PARAMS and "are needed" in said
        gone = {"shape": [33, 57, 3], next(iter(where)): str(tmp_path / "gone")}
        assert "no array in" in error_of(client.call("pixels", 3, **{**request, "image": gone}))[1]


def test_a_failed_job_is_told_and_harms_nobody(
    running: Running, tiny_shot: Path, tiny_weights: Path, tmp_path: Path
) -> None:
    client = running.client()
    answer = client.call("run", **plain(tmp_path / "nowhere", tiny_weights))
    assert answer["error"]["data"]["kind"] == "ShotError"
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights")
    answer = client.call("run", 2, **plain(tiny_shot, broken))
    assert answer["error"]["data"]["kind"] == "WeightsError"
    assert [e["event"] for e in client.events] == ["start", "error", "totals"]
    answer = client.call("run", 3, shot=str(tiny_shot), settings={"engine.weihgts": "/a"})
    assert "no setting 'engine.weihgts'" in error_of(answer)[1]
    assert client.call("run", 4, **plain(tiny_shot, tiny_weights))["result"]["written"] == 5


def test_a_run_can_be_cancelled_and_goes_on_later(
    running: Running, tiny_shot: Path, tiny_weights: Path, gate: Path
) -> None:
    client = running.client()
    client.request("run", "a", **gated(tiny_shot, tiny_weights))
    client.event(event="frame", frame=1002)
    (told,) = client.call("status", "s")["result"]["jobs"]
    assert told == {
        "id": "a", "mine": True, "kind": "run", "shot": tiny_shot.name, "state": "running",
        "done": 2, "count": 5,
    }  # fmt: skip
    assert client.call("cancel", "c", job="a")["result"] == {"cancelled": True}
    assert client.call("cancel", "d", job="b")["result"] == {"cancelled": False}
    gate.touch()
    result = client.answer("a")["result"]
    written = result["written"]
    assert result["interrupted"] and written in (3, 4)  # the gate opens between two frames
    result = client.call("run", "e", **gated(tiny_shot, tiny_weights))["result"]
    assert (result["kept"], result["written"], result["interrupted"]) == (
        written,
        5 - written,
        False,
    )


def test_short_work_of_another_goes_before_the_rest_of_a_long_run(
    running: Running, tiny_shot: Path, tiny_weights: Path, gate: Path, tmp_path: Path
) -> None:
    plate = tiny_shot / "plate"
    for number in range(1006, 1016):  # more than are solved ahead
        shutil.copy2(plate / "plate.1005.exr", plate / f"plate.{number}.exr")
    one, two = running.client(), running.client()
    one.request("run", **gated(tiny_shot, tiny_weights))
    one.event(event="frame", frame=1002)
    settings = {"engine.weights": str(tiny_weights), "engine.device": "cpu", "frames": "1001"}
    two.request("run", shot=str(tiny_shot), output=str(tmp_path / "other"), settings=settings)
    while len(two.call("status", 9)["result"]["jobs"]) < 2:
        pass
    gate.touch()
    assert two.answer(1)["result"]["written"] == 1
    assert one.answer(1)["result"]["written"] == 15
    short, long = tmp_path / "other" / "matte.1001.exr", tiny_shot / "matte" / "matte.1015.exr"
    assert short.stat().st_mtime_ns < long.stat().st_mtime_ns


def test_a_dead_clients_jobs_are_cancelled_and_others_go_on(
    running: Running, tiny_shot: Path, tiny_weights: Path, gate: Path, tmp_path: Path
) -> None:
    dying, other = running.client(), running.client()
    dying.request("run", 1, **gated(tiny_shot, tiny_weights))
    dying.request("run", 2, **gated(tiny_shot, tiny_weights, output=str(tmp_path / "never")))
    dying.event(event="frame", frame=1002)
    other.request("run", 7, **plain(tiny_shot, tiny_weights, output=str(tmp_path / "other")))
    dying.close()
    while other.call("status", 8)["result"]["clients"] > 1:
        pass
    gate.touch()
    assert other.answer(7)["result"]["written"] == 5
    while other.call("status", 8)["result"]["jobs"]:
        pass
    assert len(mattes(tiny_shot / "matte")) in (3, 4) and not (tmp_path / "never").exists()


# -- clients that misbehave --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"{", rpc.PARSE_ERROR),
        ([{"jsonrpc": "2.0", "id": 1, "method": "status"}], rpc.INVALID_REQUEST),
        ({"jsonrpc": "2.0", "id": 1, "method": "nothing"}, rpc.NO_SUCH_METHOD),
        ({"jsonrpc": "2.0", "id": 1, "method": "status", "params": [1]}, rpc.INVALID_PARAMS),
        ({"jsonrpc": "2.0", "id": 1, "method": "status", "params": {"x": 1}}, rpc.INVALID_PARAMS),
        ({"jsonrpc": "2.0", "id": 1, "method": "run", "params": {"shot": 7}}, rpc.INVALID_PARAMS),
        ({"jsonrpc": "2.0", "method": "run", "params": {}}, rpc.FAILED),
        (
            {"jsonrpc": "2.0", "id": 1, "method": "matte",
             "params": {"plate": "/a", "trimap": "/b", "output": "/c",
                        "settings": {"a": 1, "a.b": 2}}},
            rpc.INVALID_PARAMS,
        ),
    ],
)  # fmt: skip
def test_a_wrong_message_is_answered_and_the_next_one_is_served(
    running: Running, message: Any, code: int
) -> None:
    client = running.client()
    client.send(framed(message))
    assert client.read()["error"]["code"] == code
    assert client.call("status", 2)["result"]["version"] == vfxmatte.__version__


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"\0\xff garbage \r\n\r\n", rpc.INVALID_REQUEST),
        (b"x" * 10_000, rpc.TOO_LARGE),
        (b"Content-Length: %d\r\n\r\n" % (MESSAGE_LIMIT + 1), rpc.TOO_LARGE),
    ],
)
def test_a_client_that_is_not_understood_is_told_and_left(
    running: Running, data: bytes, code: int
) -> None:
    client, other = running.client(), running.client()
    client.send(data)
    assert client.read()["error"]["code"] == code
    assert client.read() is None
    assert "result" in other.call("status")


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": 1, "method": "hello", "params": {"token": "wrong"}},
        {"jsonrpc": "2.0", "id": 1, "method": "hello", "params": {"token": 5}},
        {"jsonrpc": "2.0", "id": 1, "method": "hello"},
        {"jsonrpc": "2.0", "id": 1, "method": "shutdown"},
    ],
)
def test_a_stranger_is_refused_and_left(running: Running, message: Any) -> None:
    stranger = running.client(token=None)
    stranger.send(framed(message) + framed({"jsonrpc": "2.0", "id": 2, "method": "shutdown"}))
    assert stranger.read()["error"]["code"] == rpc.UNAUTHORISED
    assert stranger.read() is None
    assert "result" in running.client().call("status")


def test_a_stranger_may_not_send_much(running: Running) -> None:
    stranger = running.client(token=None)
    stranger.send(b"Content-Length: %d\r\n\r\n" % (UNAUTHENTICATED_LIMIT + 1))
    assert stranger.read()["error"]["code"] == rpc.TOO_LARGE
    assert stranger.read() is None


@pytest.mark.parametrize("token", [None, TOKEN])
def test_half_a_message_then_silence(token: str | None) -> None:
    running = Running(message_seconds=0.2, token_seconds=0.2)
    try:
        client, other = running.client(token), running.client()
        client.send(framed({"jsonrpc": "2.0", "id": 1, "method": "status"})[:-5])
        assert "not come to its end" in client.read()["error"]["message"]
        assert client.read() is None
        assert "result" in other.call("status")  # who says nothing at all may stay
    finally:
        running.end()


def test_a_stranger_that_says_nothing_is_left() -> None:
    running = Running(token_seconds=0.1)
    try:
        stranger = running.client(token=None)
        assert "error" in stranger.read() and stranger.read() is None
    finally:
        running.end()


def test_a_slow_reader_holds_nobody_up(
    running: Running, tiny_shot: Path, tiny_weights: Path
) -> None:
    slow, other = running.client(), running.client()
    status = framed({"jsonrpc": "2.0", "id": 1, "method": "status"})
    slow.socket.settimeout(PATIENCE_SECONDS)
    with contextlib.suppress(ConnectionError):  # it is given up when too much waits
        for _ in range(200):
            slow.send(status * 500)
    assert other.call("run", **plain(tiny_shot, tiny_weights))["result"]["written"] == 5
    while other.call("status", 2)["result"]["clients"] > 1:
        pass


def test_a_hundred_quick_reconnects(running: Running) -> None:
    for number in range(100):
        client = RawClient(running.port, TOKEN if number % 2 else None)
        if number % 3 == 0:
            client.send(b"Content-Le")
        client.close()
    last = running.client()
    while last.call("status")["result"]["clients"] > 1:
        pass


def test_there_is_room_for_so_many_clients(running: Running) -> None:
    clients = [running.client() for _ in range(MAX_CLIENTS)]
    late = running.client(token=None)
    late.request("hello", token=TOKEN)
    assert error_of(late.read())[0] == rpc.TOO_MANY and late.read() is None
    clients.pop().close()
    while clients[0].call("status")["result"]["clients"] >= MAX_CLIENTS:
        pass
    assert "result" in running.client().call("status")


# -- beginning and end -------------------------------------------------------------------------


def test_it_ends_when_it_was_idle_for_long_and_not_while_there_is_a_client() -> None:
    running = Running(idle_seconds=0.3)
    client = running.client()
    running.thread.join(0.8)
    assert running.thread.is_alive()
    client.close()
    running.thread.join(PATIENCE_SECONDS)
    assert not running.thread.is_alive()
    running.end()


def test_shutdown_stops_the_jobs_answers_everybody_and_ends(
    running: Running, tiny_shot: Path, tiny_weights: Path, gate: Path, tmp_path: Path
) -> None:
    one, two = running.client(), running.client()
    one.request("run", 1, **gated(tiny_shot, tiny_weights))
    one.request("run", 3, **gated(tiny_shot, tiny_weights, output=str(tmp_path / "never")))
    one.event(event="frame", frame=1002)
    assert two.call("shutdown")["result"] == {}
    gate.touch()
    assert one.answer(1)["result"]["interrupted"]
    assert one.answer(3)["error"]["code"] == rpc.CANCELLED
    running.thread.join(PATIENCE_SECONDS)
    assert not running.thread.is_alive() and not (tmp_path / "never").exists()


def test_the_token_is_for_its_user_alone_and_goes_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VFXMATTE_HOME", str(tmp_path / "home"))
    path = endpoint.endpoint_file()
    found = Endpoint.here(4711)
    with sole_server(path), published(found, path):
        assert endpoint.read(path) == found and len(found.token) > 40
        if os.name == "posix":
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        with (
            pytest.raises(OutputLockedError, match="another engine is running"),
            sole_server(path),
        ):
            pass
        assert endpoint.read(path) == found
    assert endpoint.read(path) is None and not path.exists()


def test_a_stale_token_file_goes_and_that_of_another_engine_stays(tmp_path: Path) -> None:
    path = tmp_path / "run" / "serve.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"port": 1, "token": "old", "pid": 1}))
    with sole_server(path):
        assert not path.exists()
        with published(Endpoint.here(1), path):
            path.write_text(json.dumps({"port": 2, "token": "another", "pid": 2}))
        assert endpoint.read(path) == Endpoint(port=2, token="another", pid=2)


def test_the_command_line_ends_the_engine_that_runs(
    running: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VFXMATTE_HOME", str(tmp_path))
    assert CliRunner().invoke(serve, ["--stop"]).output == "no engine is running\n"
    path = endpoint.endpoint_file()
    path.parent.mkdir(parents=True)
    with published(Endpoint(port=running.port, token=TOKEN, pid=os.getpid()), path):
        stopping = threading.Thread(target=lambda: (running.thread.join(), running.end()))
        stopping.start()
        assert CliRunner().invoke(serve, ["--stop"]).output == "stopped\n"
        stopping.join(PATIENCE_SECONDS)
        assert not running.thread.is_alive()
        assert CliRunner().invoke(serve, ["--stop"]).output == "no engine is running\n"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"port": 1}', "\0", '{"host": "10.0.0.1"}'])
def test_a_damaged_token_file_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "e.json").write_text(text)
    assert endpoint.read(tmp_path / "e.json") is None


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts `vfxmatte serve` with a home of its own, its stderr in a file; what still runs is
    killed."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "VFXMATTE_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-X", "importtime", "-m", "vfxmatte", "serve", *arguments]
        with (tmp_path / "stderr").open("wb") as errors:
            started.append(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=environment,
                )
            )
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.communicate()


def test_over_stdio_there_is_nothing_but_the_protocol(
    command: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    child = command("--stdio")
    assert child.stdin is not None and child.stdout is not None
    messages = [b"{", {"jsonrpc": "2.0", "id": 1, "method": "status"}]
    child.stdin.write(b"".join(framed(message) for message in messages))
    child.stdin.flush()
    assert read_message(child.stdout)["error"]["code"] == rpc.PARSE_ERROR
    found = read_message(child.stdout)
    assert found["result"]["pid"] == child.pid and found["result"]["device"] is None
    out, _ = child.communicate()  # the client has gone
    assert out == b"" and child.returncode == 0
    lines = (tmp_path / "stderr").read_text().splitlines()
    imported = {line.split("|")[-1].strip() for line in lines if line.startswith("import time:")}
    assert "vfxmatte.serve.threads" in imported and "torch" not in imported


def test_a_signal_ends_it_and_leaves_nothing(
    command: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    child = command()
    token = tmp_path / "home" / "run"
    until = time.monotonic() + PATIENCE_SECONDS
    while not list(token.glob("serve-*.json")):
        assert time.monotonic() < until and child.poll() is None
        time.sleep(0.02)
    (path,) = token.glob("serve-*.json")
    found = json.loads(path.read_text())
    client = RawClient(found["port"], found["token"])
    assert client.call("status")["result"]["pid"] == child.pid
    child.send_signal(signal.SIGTERM)
    assert child.wait(PATIENCE_SECONDS) == 0 and not path.exists()
    assert client.read() is None
    client.close()
