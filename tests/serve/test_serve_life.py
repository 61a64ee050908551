"""How a server begins and ends: idle, on request, by a signal; its token file."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.raw_client import RawClient, framed, read_message
from tests.serve.running import TOKEN, Running, gated
from tests.waiting import PATIENCE_SECONDS, until
from vfxmatte.cli.serve import serve
from vfxmatte.errors import OutputLockedError
from vfxmatte.serve import endpoint, rpc
from vfxmatte.serve.endpoint import Endpoint, published, sole_server


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
    found = Endpoint.of_this_process(4711)
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
        with published(Endpoint.of_this_process(1), path):
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
    until(lambda: list(token.glob("serve-*.json")) or child.poll() is not None)
    (path,) = token.glob("serve-*.json")
    found = json.loads(path.read_text())
    client = RawClient(found["port"], found["token"])
    assert client.call("status")["result"]["pid"] == child.pid
    child.send_signal(signal.SIGTERM)
    assert child.wait(PATIENCE_SECONDS) == 0 and not path.exists()
    assert client.read() is None
    client.close()
