"""Connections that have not shown the token yet: few, not for long, and without threads.

They wait here and not among the clients, so that any number of silent strangers costs nobody a
place: when there are too many, the one that waits longest is left.
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
from vfxmatte.serve.framing import MESSAGE_LIMIT, STRANGER_LIMIT, Decoder, framed
from vfxmatte.serve.rpc import RpcError

MOST_STRANGERS = 128
TOKEN_SECONDS = 5.0
"""How long a connection may take to show the token; a local client needs milliseconds."""
_FAREWELL_SECONDS = 1.0
_CHUNK = STRANGER_LIMIT
_ACCEPTED_AT_ONCE = 64

Welcome = Callable[[socket.socket, Decoder, bytes], None]
"""Takes a connection that has shown the token, what was read of it, and its first message."""


@dataclass(eq=False)
class _Stranger:
    connection: socket.socket
    until: float
    decoder: Decoder = field(default_factory=lambda: Decoder(STRANGER_LIMIT))
    is_leaving: bool = False
    """It was told why it is left, and only its end is waited for: closed with unread bytes, a
    connection would lose what was sent last."""


class Lobby:
    """For one thread: call `step` again and again, then `close`.

    listener: where connections come from. address: the only one they may come from. is_full: asked
    whether one who knows the token finds no place all the same.
    """

    def __init__(
        self,
        listener: socket.socket,
        token: str,
        welcome: Welcome,
        *,
        address: str,
        is_full: Callable[[], bool],
        token_seconds: float = TOKEN_SECONDS,
    ) -> None:
        self._listener, self._welcome, self._address = listener, welcome, address
        self._is_full = is_full
        self._token = token.encode()
        self._token_seconds = token_seconds
        self._selector = selectors.DefaultSelector()
        self._strangers: dict[socket.socket, _Stranger] = {}  # who waits longest first
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)

    def __len__(self) -> int:
        return len(self._strangers)

    def step(self, timeout: float) -> None:
        """Wait for something to happen, and deal with it; raises OSError with no descriptor left.

        What has been said is heard before anybody new comes in.
        """
        ready = [key.fileobj for key, _ in self._selector.select(timeout)]
        for connection in ready:
            if connection in self._strangers:
                self._hear(self._strangers[connection])  # type: ignore[index]
        self._leave_the_slow()
        if self._listener in ready:
            self._accept()

    def close(self) -> None:
        """Leave everybody; the listener stays its owner's."""
        for stranger in list(self._strangers.values()):
            self._drop(stranger)
        self._selector.close()

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection, address = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionError:  # gone already
                continue
            if address[0] != self._address:
                connection.close()
                continue
            if len(self._strangers) >= MOST_STRANGERS:
                self._drop(next(iter(self._strangers.values())))
            connection.setblocking(False)
            until = time.monotonic() + self._token_seconds
            self._strangers[connection] = _Stranger(connection, until)
            self._selector.register(connection, selectors.EVENT_READ)

    def _hear(self, stranger: _Stranger) -> None:
        try:
            data = stranger.connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._drop(stranger)
        elif not stranger.is_leaving:
            self._listen_to(stranger, data)

    def _listen_to(self, stranger: _Stranger, data: bytes) -> None:
        ident = None
        try:
            stranger.decoder.feed(data)
            body = stranger.decoder.message()
            if body is None:
                return
            message = rpc.parse(body)
            ident = rpc.ident_of(message)
            self._check_token(rpc.request(message))
            if self._is_full():
                raise RpcError(rpc.TOO_MANY, "the engine has as many clients as it can have")
        except RpcError as error:
            self._refuse(stranger, ident, error)
        else:
            self._forget(stranger)
            stranger.decoder.limit = MESSAGE_LIMIT
            self._welcome(stranger.connection, stranger.decoder, body)

    def _check_token(self, request: rpc.Request) -> None:
        shown = request.params.get("token") if request.method == "hello" else None
        if not isinstance(shown, str):
            raise RpcError(rpc.UNAUTHORISED, "say hello with the token of the engine's file first")
        if not hmac.compare_digest(shown.encode("utf-8", "replace"), self._token):
            raise RpcError(rpc.UNAUTHORISED, "this is not the engine's token")

    def _leave_the_slow(self) -> None:
        now = time.monotonic()
        for stranger in [s for s in self._strangers.values() if s.until <= now]:
            if stranger.is_leaving:
                self._drop(stranger)
            elif stranger.decoder.in_message:
                self._refuse(stranger, None, _error("a message has not come to its end"))
            else:
                self._refuse(stranger, None, _error("no token was shown in time"))

    def _refuse(self, stranger: _Stranger, ident: rpc.Ident | None, error: RpcError) -> None:
        """Tell why; it waits for the other end to close, not for long."""
        try:
            stranger.connection.send(framed(rpc.failure(ident, error)))
            stranger.connection.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(stranger)
            return
        stranger.is_leaving = True
        stranger.until = time.monotonic() + _FAREWELL_SECONDS

    def _drop(self, stranger: _Stranger) -> None:
        self._forget(stranger)
        with contextlib.suppress(OSError):
            stranger.connection.close()

    def _forget(self, stranger: _Stranger) -> None:
        self._selector.unregister(stranger.connection)
        del self._strangers[stranger.connection]


def _error(text: str) -> RpcError:
    return RpcError(rpc.INVALID_REQUEST, text)
