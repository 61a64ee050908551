"""Framing, JSON-RPC and parameters: what is understood, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vfxmatte.errors import PlateError
from vfxmatte.serve import rpc
from vfxmatte.serve.framing import HEADER_LIMIT, Decoder, framed
from vfxmatte.serve.params import Params
from vfxmatte.serve.rpc import RpcError


@given(st.lists(st.binary(max_size=200), max_size=5), st.integers(1, 40))
def test_messages_survive_however_the_bytes_are_cut(bodies: list[bytes], piece: int) -> None:
    stream = b"".join(framed(body) for body in bodies)
    decoder, found = Decoder(), []
    for start in range(0, len(stream), piece):
        decoder.feed(stream[start : start + piece])
        while (message := decoder.message()) is not None:
            found.append(message)
    assert found == bodies and not decoder.in_message


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "NAME: VALUE"),
        (b"Content-Type: json\r\n\r\n", "needs one Content-Length"),
        (b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "needs one Content-Length"),
        (b"Content-Length: -5\r\n\r\n", "needs one Content-Length"),
        (b"Content-Length: 1e3\r\n\r\n", "needs one Content-Length"),
        (b"Content-Length: 1234567890123\r\n\r\n", "needs one Content-Length"),
        (b"Content-Length: 1000\r\n\r\n", "at most 999 bytes, found 1000"),
        (b"x" * (HEADER_LIMIT + 1), f"a header has at most {HEADER_LIMIT} bytes"),
    ],
)
def test_a_broken_frame_is_refused(data: bytes, says: str) -> None:
    decoder = Decoder(limit=999)
    decoder.feed(data)
    with pytest.raises(RpcError, match=says):
        decoder.message()


def test_other_headers_are_passed_over() -> None:
    decoder = Decoder()
    decoder.feed(b"Content-Type: application/json\r\ncontent-length:2\r\n\r\n{}")
    assert decoder.message() == b"{}"


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}', b"1" * 10_000, b""])
def test_what_is_no_json_is_told(body: bytes) -> None:
    with pytest.raises(RpcError, match="this is not JSON") as caught:
        rpc.parse(body)
    assert caught.value.code == rpc.PARSE_ERROR


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ([{"jsonrpc": "2.0", "id": 1, "method": "status"}], rpc.INVALID_REQUEST),
        ("status", rpc.INVALID_REQUEST),
        ({"id": 1, "method": "status"}, rpc.INVALID_REQUEST),
        ({"jsonrpc": "2.0", "id": 1}, rpc.INVALID_REQUEST),
        ({"jsonrpc": "2.0", "id": True, "method": "status"}, rpc.INVALID_REQUEST),
        ({"jsonrpc": "2.0", "id": [1], "method": "status"}, rpc.INVALID_REQUEST),
        ({"jsonrpc": "2.0", "id": 1, "method": 5}, rpc.INVALID_REQUEST),
        ({"jsonrpc": "2.0", "id": 1, "method": "status", "params": [1]}, rpc.INVALID_PARAMS),
    ],
)
def test_what_is_no_request_is_told(message: Any, code: int) -> None:
    with pytest.raises(RpcError) as caught:
        rpc.request(message)
    assert caught.value.code == code


def test_a_failure_holds_what_the_command_line_says() -> None:
    error = PlateError("no such plate", shot="s", frame=1001, path="/p", hint="look")
    told = json.loads(rpc.failure(7, rpc.failed(error)))
    assert told["id"] == 7 and told["error"]["code"] == rpc.FAILED
    assert told["error"]["data"] == {
        "kind": "PlateError", "message": "no such plate", "shot": "s", "frame": 1001,
        "path": "/p", "hint": "look", "exit_code": 3,
    }  # fmt: skip


def test_a_path_that_is_no_text_passes_through() -> None:
    name = b"plate-\xff.exr".decode("utf-8", "surrogateescape")
    assert rpc.parse(rpc.result(1, name))["result"] == name


@pytest.mark.parametrize(
    ("record", "take", "says"),
    [
        ({"plate": 5}, lambda p: p.path("plate"), "plate must be a text, found 5"),
        ({"plate": "a.exr"}, lambda p: p.path("plate"), "must be an absolute path"),
        ({"plate": "/a\0b"}, lambda p: p.path("plate"), "must be an absolute path"),
        ({}, lambda p: p.needed_path("plate"), "plate is missing"),
        ({"overwrite": "yes"}, lambda p: p.flag("overwrite"), "must be true or false"),
        ({"offset": -1}, lambda p: p.whole("offset"), "offset must be 0 or more"),
        ({"offset": True}, lambda p: p.whole("offset"), "offset must be 0 or more"),
        ({"settings": []}, lambda p: p.record("settings"), "must be an object"),
        ({"shape": [0]}, lambda p: p.shape("shape"), "one to three sizes"),
        ({"shape": ["a"]}, lambda p: p.shape("shape"), "one to three sizes"),
        ({"dtype": "int64"}, lambda p: p.choice("dtype", ["uint8"]), "dtype is one of uint8"),
        ({"job": None}, lambda p: p.ident("job"), "must be the id of a request"),
        ({"job": False}, lambda p: p.ident("job"), "must be the id of a request"),
        ({"plaet": 1}, lambda p: p.end(), "there is no parameter plaet"),
    ],
)
def test_wrong_parameters_are_named(record: dict[str, Any], take: Any, says: str) -> None:
    with pytest.raises(RpcError, match=says) as caught:
        take(Params(record))
    assert caught.value.code == rpc.INVALID_PARAMS
