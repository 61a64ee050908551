"""Byte streams from and to one client: a socket, or standard input and output."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from typing import BinaryIO, Protocol

_CHUNK_BYTES = 1 << 16


class Wire(Protocol):
    """A byte stream from and to one client."""

    def receive(self, timeout: float | None) -> bytes:
        """Return some bytes, b"" at the end; raises OSError, TimeoutError among them."""

    def send(self, data: bytes) -> None:
        """Send all bytes; raises OSError."""

    def finish(self, timeout: float) -> None:
        """Close the sending side, and wait up to `timeout` seconds for the client to close."""

    def close(self) -> None:
        """Close both sides."""


class SocketWire:
    """A TCP connection."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection

    def receive(self, timeout: float | None) -> bytes:
        if timeout is not None:  # the socket's own timeout would apply to senders, too
            with selectors.DefaultSelector() as selector:
                selector.register(self._socket, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise TimeoutError
        return self._socket.recv(_CHUNK_BYTES)

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def finish(self, timeout: float) -> None:
        # Closed with unread bytes, a connection would lose what was sent last.
        self._socket.shutdown(socket.SHUT_WR)
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0 and self.receive(left):
            pass

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class StreamWire:
    """Standard input and output, connected to the process that started this one."""

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source, self._target = source, target

    def receive(self, timeout: float | None) -> bytes:
        return self._source.read1(_CHUNK_BYTES)  # type: ignore[attr-defined, no-any-return]

    def send(self, data: bytes) -> None:
        self._target.write(data)
        self._target.flush()

    def finish(self, timeout: float) -> None:
        """Do nothing: the pipe holds everything that was sent."""

    def close(self) -> None:
        """Do nothing: the process ends."""
