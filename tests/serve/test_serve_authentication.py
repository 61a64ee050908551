"""Who gets in: strangers, floods, slow headers, and folders that cannot keep a secret."""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.raw_client import RawClient, framed
from tests.waiting import PATIENCE_SECONDS, until
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.errors import OutputError
from vfxmatte.serve import endpoint, rpc
from vfxmatte.serve.authentication import MAX_PENDING
from vfxmatte.serve.endpoint import Endpoint, published, sole_server
from vfxmatte.serve.engine_cache import EngineCache
from vfxmatte.serve.framing import MESSAGE_LIMIT
from vfxmatte.serve.rpc import DEPTH_LIMIT, RpcError
from vfxmatte.serve.threads import Server

TOKEN = "the token of this test"

posix = pytest.mark.skipif(os.name != "posix", reason="of file modes and /proc")


class Door:
    """A server in threads of this process, and connections that say what a test wants."""

    def __init__(self, **options: Any) -> None:
        self.server = Server(idle_seconds=None, **options)
        self.listener = self.server.listen()
        self.port = self.listener.getsockname()[1]
        self.server.accept_from(self.listener, TOKEN)
        self.thread = threading.Thread(target=self.server.serve)
        self.thread.start()
        self.open = contextlib.ExitStack()

    def stranger(self) -> socket.socket:
        found = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_SECONDS)
        return self.open.enter_context(contextlib.closing(found))

    def client(self) -> RawClient:
        return self.open.enter_context(contextlib.closing(RawClient(self.port, TOKEN)))

    def end(self) -> None:
        self.open.close()
        self.server.stop()
        self.thread.join()
        self.server.close_clients()
        self.listener.close()


@pytest.fixture
def open_door() -> Iterator[Callable[..., Door]]:
    doors: list[Door] = []

    def make(**options: Any) -> Door:
        doors.append(Door(**options))
        return doors[-1]

    yield make
    for door in doors:
        door.end()


# -- strangers ---------------------------------------------------------------------------------


def test_two_hundred_silent_strangers_keep_nobody_out(open_door: Callable[..., Door]) -> None:
    door = open_door()
    threads = threading.active_count()
    for _ in range(200):
        door.stranger()
    begun = time.monotonic()
    assert door.client().call("status")["result"]["clients"] == 1
    assert time.monotonic() - begun < 2
    assert threading.active_count() <= threads + 2  # the client's own; strangers have none


def test_there_are_only_so_many_strangers_and_the_oldest_goes_first(
    open_door: Callable[..., Door],
) -> None:
    door = open_door(token_seconds=PATIENCE_SECONDS)
    strangers = []
    for _ in range(MAX_PENDING + 5):
        strangers.append(door.stranger())
        time.sleep(0.001)  # so that the backlog does not overflow
    for gone in strangers[:5]:
        assert gone.recv(1) == b""
    last = strangers[-1]
    last.sendall(framed({"jsonrpc": "2.0", "id": 1, "method": "hello", "params": {"token": TOKEN}}))
    assert b"result" in last.recv(1000)


@pytest.mark.parametrize("data", [b"Content-Length: 10\r\n", b"\r", b"C"])
def test_a_slow_header_gains_no_time(open_door: Callable[..., Door], data: bytes) -> None:
    door = open_door(token_seconds=0.5)
    slow, begun = door.stranger(), time.monotonic()
    slow.settimeout(0.02)
    answer = b""
    for number in range(1000):
        with contextlib.suppress(TimeoutError):
            answer = slow.recv(1000)
            break
        with contextlib.suppress(OSError):
            slow.sendall(data[number % len(data) :][:1])
    assert b"not come to its end" in answer and 0.4 < time.monotonic() - begun < 2


def test_a_known_clients_slow_header_is_left_too(open_door: Callable[..., Door]) -> None:
    client = open_door(message_seconds=0.5).client()
    for _ in range(1000):
        with contextlib.suppress(OSError):
            client.send(b"x")
        time.sleep(0.02)
        client.socket.settimeout(0.001)
        with contextlib.suppress(TimeoutError, BlockingIOError):
            if b"not come to its end" in client.socket.recv(1000):
                return
    pytest.fail("the slow client may stay")


def test_the_token_is_compared_in_constant_time(
    open_door: Callable[..., Door], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, compared = hmac.compare_digest, []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(a) or real(a, b))
    door = open_door()
    for token in ("", TOKEN[:-1], TOKEN + "x", "ü\ud800"):
        stranger = RawClient(door.port)
        door.open.enter_context(contextlib.closing(stranger))
        stranger.request("hello", token=token)
        answer = stranger.read()
        assert answer["error"]["code"] in (rpc.UNAUTHORISED, rpc.PARSE_ERROR)
        assert stranger.read() is None
    assert len(compared) == 3  # half a pair is no text at all
    assert "result" in door.client().call("status") and compared[-1] == TOKEN.encode()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts descriptors in /proc")
def test_no_descriptor_is_lost(open_door: Callable[..., Door]) -> None:
    door = open_door(token_seconds=0.05)

    def rounds(count: int) -> None:
        for number in range(count):
            if number % 4 == 0:
                RawClient(door.port, TOKEN).close()
                continue
            client = RawClient(door.port)
            if number % 4 == 1:
                client.request("hello", token="wrong")
                client.read()
            elif number % 4 == 2:
                client.send(b"Content-Le")
            client.close()

    def settled() -> int:
        until(lambda: door.server.client_count == 0)
        time.sleep(0.3)
        return len(os.listdir("/proc/self/fd"))

    rounds(20)
    before = settled()
    rounds(400)
    assert settled() <= before


# -- messages ----------------------------------------------------------------------------------


def test_depth_is_bounded_before_anything_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT
    assert json.loads(deep) == rpc.parse(deep)
    in_text = json.dumps({"a": '[{"\\' * 500}).encode()
    assert rpc.parse(in_text) == json.loads(in_text)
    monkeypatch.setattr(json, "loads", lambda *_, **__: pytest.fail("it was parsed"))
    for body in (b"[" + deep, b'{"a":' * (MESSAGE_LIMIT // 5), b'"[" [' * 40):
        with pytest.raises(RpcError, match="nested more than"):
            rpc.parse(body)


@pytest.mark.parametrize("body", [b"1e999", b"[-1e999]", b'"\\ud800"', b'{"\\uDFFF": 1}'])
def test_numbers_and_texts_that_nothing_can_hold_are_refused(body: bytes) -> None:
    with pytest.raises(RpcError, match="this is not JSON"):
        rpc.parse(body)


# -- status beside the device ------------------------------------------------------------------


def test_devices_may_be_asked_for_while_engines_come_and_go() -> None:
    opened = SimpleNamespace(device="cpu", close=lambda: None)
    engines = EngineCache(capacity=50, opener=lambda _: opened)  # type: ignore[arg-type, return-value]
    wrong: list[Exception] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                assert set(engines.devices) <= {"cpu"}
            except Exception as error:
                wrong.append(error)
                return

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    try:
        for number in range(600):  # without the lock it fails within 120
            with engines.use(EngineSettings(device=f"cuda:{number % 60}")):
                pass
    finally:
        over.set()
        sys.setswitchinterval(interval)
        for thread in asking:
            thread.join()
    assert not wrong


# -- a place for the token ---------------------------------------------------------------------


class NoModes:
    """`os.fstat` and `os.fchmod` of a disk without file modes (CIFS, vfat)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = os.fstat
        monkeypatch.setattr(os, "fstat", lambda fd: self._open_to_all(real(fd)))
        monkeypatch.setattr(os, "fchmod", lambda *_: None)

    @staticmethod
    def _open_to_all(state: os.stat_result) -> os.stat_result:
        return os.stat_result((state.st_mode | 0o077, *state[1:]))


@posix
def test_a_disk_without_file_modes_is_found_out_and_no_token_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run" / "serve.json"
    NoModes(monkeypatch)
    refused = pytest.raises(OutputError, match="cannot be kept from other")
    with sole_server(path), refused as caught, published(Endpoint.of_this_process(1), path):
        pass
    assert "VFXMATTE_HOME" in str(caught.value.hint)
    assert not [p for p in path.parent.iterdir() if p.suffix != ".lock"]


@posix
def test_a_folder_where_others_may_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    with (
        pytest.raises(OutputError, match="others may write there"),
        sole_server(folder / "serve.json"),
    ):
        pass


@posix
def test_what_a_link_leads_to_keeps_its_modes(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "run"
    target.mkdir()
    link.symlink_to(target)
    for mode in (0o755, 0o700, 0o750):
        target.chmod(mode)
        with (
            sole_server(link / "serve.json"),
            published(Endpoint.of_this_process(1), link / "serve.json"),
        ):
            assert target.stat().st_mode & 0o777 == mode
    target.chmod(0o775)
    with (
        pytest.raises(OutputError, match="others may write there"),
        sole_server(link / "serve.json"),
    ):
        pass
    assert target.stat().st_mode & 0o777 == 0o775


@posix
@pytest.mark.parametrize("by_link", [True, False])
def test_another_users_folder_is_refused_and_left_alone(
    by_link: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    target.mkdir(mode=0o755)
    (tmp_path / "run").symlink_to(target)
    uid = os.getuid()
    monkeypatch.setattr(endpoint.os, "getuid", lambda: uid + 1)
    with (
        pytest.raises(OutputError, match="belongs to another user"),
        sole_server((tmp_path / "run" if by_link else target) / "serve.json"),
    ):
        pass
    assert target.stat().st_mode & 0o777 == 0o755 and not list(target.iterdir())
