"""Connections that have not shown the token yet: few, for a short time, and without threads.

They are held apart from the clients, so that any number of silent connections costs no client its
place: when there are too many, the oldest is closed.
"""

from __future__ import annotations

import contextlib
import hmac
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from vfxmatte.serve import rpc
from vfxmatte.serve.framing import MESSAGE_LIMIT, UNAUTHENTICATED_LIMIT, Decoder, framed
from vfxmatte.serve.rpc import RpcError

MAX_PENDING = 128
TOKEN_SECONDS = 5.0
"""How long a connection may take to show the token; a local client needs milliseconds."""
_CLOSE_SECONDS = 1.0
_MAX_ACCEPTED = 64  # at once

Accept = Callable[[socket.socket, Decoder, bytes], None]
"""Takes a connection that has shown the token, its decoder, and its first message."""


@dataclass(eq=False)
class _Pending:
    connection: socket.socket
    until: float
    decoder: Decoder = field(default_factory=lambda: Decoder(UNAUTHENTICATED_LIMIT))
    is_refused: bool = False
    """True once the refusal is sent: closed with unread bytes, a connection would lose it."""


class Authenticator:
    """Accepts connections and checks their token; for one thread, which calls `step` repeatedly."""

    def __init__(
        self,
        listener: socket.socket,
        token: str,
        accept: Accept,
        *,
        address: str,
        is_full: Callable[[], bool],
        token_seconds: float = TOKEN_SECONDS,
    ) -> None:
        """Take over a listening socket, which remains its owner's to close.

        Args:
            address: the only address that connections may come from.
            is_full: returns True when there is no place for another client.
        """
        self._listener, self._accept, self._address = listener, accept, address
        self._is_full = is_full
        self._token = token.encode()
        self._token_seconds = token_seconds
        self._selector = selectors.DefaultSelector()
        self._pending: dict[socket.socket, _Pending] = {}  # oldest first
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)

    def __len__(self) -> int:
        return len(self._pending)

    def step(self, timeout: float) -> None:
        """Wait up to `timeout` seconds for connections and data, and handle them.

        Received data is handled before new connections. Raises OSError without a free descriptor.
        """
        ready = [key.fileobj for key, _ in self._selector.select(timeout)]
        for connection in ready:
            if connection in self._pending:
                self._receive(self._pending[connection])  # type: ignore[index]
        self._close_late()
        if self._listener in ready:
            self._accept_new()

    def close(self) -> None:
        """Close all pending connections."""
        for pending in list(self._pending.values()):
            self._close(pending)
        self._selector.close()

    def _accept_new(self) -> None:
        for _ in range(_MAX_ACCEPTED):
            try:
                connection, address = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionError:  # closed already
                continue
            if address[0] != self._address:
                connection.close()
                continue
            if len(self._pending) >= MAX_PENDING:
                self._close(next(iter(self._pending.values())))
            connection.setblocking(False)
            until = time.monotonic() + self._token_seconds
            self._pending[connection] = _Pending(connection, until)
            self._selector.register(connection, selectors.EVENT_READ)

    def _receive(self, pending: _Pending) -> None:
        try:
            data = pending.connection.recv(UNAUTHENTICATED_LIMIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(pending)
        elif not pending.is_refused:
            self._authenticate(pending, data)

    def _authenticate(self, pending: _Pending, data: bytes) -> None:
        ident = None
        try:
            pending.decoder.feed(data)
            body = pending.decoder.message()
            if body is None:
                return
            message = rpc.parse(body)
            ident = rpc.ident_of(message)
            self._check_token(rpc.request(message))
            if self._is_full():
                raise RpcError(rpc.TOO_MANY, "the engine has as many clients as it can have")
        except RpcError as error:
            self._refuse(pending, ident, error)
        else:
            self._remove(pending)
            pending.decoder.limit = MESSAGE_LIMIT
            self._accept(pending.connection, pending.decoder, body)

    def _check_token(self, request: rpc.Request) -> None:
        token = request.params.get("token") if request.method == "hello" else None
        if not isinstance(token, str):
            raise RpcError(rpc.UNAUTHORISED, "say hello with the token of the engine's file first")
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self._token):
            raise RpcError(rpc.UNAUTHORISED, "this is not the engine's token")

    def _close_late(self) -> None:
        now = time.monotonic()
        for pending in [one for one in self._pending.values() if one.until <= now]:
            if pending.is_refused:
                self._close(pending)
                continue
            in_message = pending.decoder.in_message
            text = (
                "a message has not come to its end" if in_message else "no token was shown in time"
            )
            self._refuse(pending, None, RpcError(rpc.INVALID_REQUEST, text))

    def _refuse(self, pending: _Pending, ident: rpc.Ident | None, error: RpcError) -> None:
        """Send the reason, and give the client a moment to close the connection."""
        try:
            pending.connection.send(framed(rpc.failure(ident, error)))
            pending.connection.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(pending)
            return
        pending.is_refused = True
        pending.until = time.monotonic() + _CLOSE_SECONDS

    def _close(self, pending: _Pending) -> None:
        self._remove(pending)
        with contextlib.suppress(OSError):
            pending.connection.close()

    def _remove(self, pending: _Pending) -> None:
        self._selector.unregister(pending.connection)
        del self._pending[pending.connection]
