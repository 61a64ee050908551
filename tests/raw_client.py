"""A client of `vfxmatte serve` that can misbehave: bytes in, messages out."""

from __future__ import annotations

import json
import socket
from typing import Any

from tests.waiting import PATIENCE_SECONDS


def framed(message: Any) -> bytes:
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


def read_message(stream: Any) -> Any:
    """The next message of a binary stream; None at its end."""
    header = stream.readline()
    if not header:
        return None
    assert header.lower().startswith(b"content-length:"), header
    assert stream.readline() == b"\r\n"
    return json.loads(stream.read(int(header.split(b":")[1])))


class RawClient:
    def __init__(self, port: int, token: str | None = None) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self.stream = self.socket.makefile("rb")
        self.events: list[dict[str, Any]] = []
        if token is not None:
            assert self.call("hello", token=token)["result"]["protocol"] == 1

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def request(self, method: str, ident: Any = 1, **params: Any) -> None:
        self.send(framed({"jsonrpc": "2.0", "id": ident, "method": method, "params": params}))

    def read(self) -> Any:
        """The next message; None when the server has hung up."""
        try:
            return read_message(self.stream)
        except ConnectionError:
            return None

    def answer(self, ident: Any = 1) -> dict[str, Any]:
        """The answer to a request; events that come before it go to `events`."""
        while True:
            message = self.read()
            assert message is not None, "the server has hung up"
            if message.get("method") == "event":
                self.events.append(message["params"])
            elif message["id"] == ident:
                return dict(message)

    def call(self, method: str, ident: Any = 1, **params: Any) -> dict[str, Any]:
        self.request(method, ident, **params)
        return self.answer(ident)

    def event(self, **wanted: Any) -> dict[str, Any]:
        """Wait for an event with these values."""
        while True:
            message = self.read()
            assert message is not None and message.get("method") == "event", message
            self.events.append(message["params"])
            if wanted.items() <= message["params"].items():
                return dict(message["params"])

    def close(self) -> None:
        self.stream.close()
        self.socket.close()
