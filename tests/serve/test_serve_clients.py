"""Clients that misbehave, strangers, and clients that do not read."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

import vfxmatte
from tests.raw_client import RawClient, framed
from tests.serve.running import TOKEN, Running, error_of, plain
from tests.waiting import PATIENCE_SECONDS, until
from vfxmatte.serve import rpc
from vfxmatte.serve.framing import MESSAGE_LIMIT, UNAUTHENTICATED_LIMIT
from vfxmatte.serve.threads import MAX_CLIENTS


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
    until(lambda: other.call("status", 2)["result"]["clients"] == 1)


def test_a_hundred_quick_reconnects(running: Running) -> None:
    for number in range(100):
        client = RawClient(running.port, TOKEN if number % 2 else None)
        if number % 3 == 0:
            client.send(b"Content-Le")
        client.close()
    last = running.client()
    until(lambda: last.call("status")["result"]["clients"] == 1)


def test_there_is_room_for_so_many_clients(running: Running) -> None:
    clients = [running.client() for _ in range(MAX_CLIENTS)]
    late = running.client(token=None)
    late.request("hello", token=TOKEN)
    assert error_of(late.read())[0] == rpc.TOO_MANY and late.read() is None
    clients.pop().close()
    until(lambda: clients[0].call("status")["result"]["clients"] < MAX_CLIENTS)
    assert "result" in running.client().call("status")
