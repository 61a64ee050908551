"""Whatever a server sends: nonsense, errors of any shape, endpoints that lead nowhere."""

from __future__ import annotations

import io
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nodes.vfxmatte_client import ClientError
from nodes.vfxmatte_client.channel import Channel, ConnectionLost, rpc_error
from nodes.vfxmatte_client.endpoint import connect
from nodes.vfxmatte_client.paths import endpoint_file as client_endpoint_file
from tests.nodes.clients import empty_home, listening_stranger, write_record
from tests.waiting import until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kills processes as POSIX does")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from empty_home(tmp_path, monkeypatch)


@pytest.fixture
def stranger(home: Path) -> Iterator[tuple[socket.socket, dict[str, Any]]]:
    yield from listening_stranger()


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
    until(lambda: len(os.listdir("/proc/self/fd")) <= before)
    Path(client_endpoint_file()).unlink()
