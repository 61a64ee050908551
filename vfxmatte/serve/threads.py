"""The server's threads, all of them: one for the lobby, two for each client, one for the device.

What clients say and what jobs do stands elsewhere; here is who waits for whom, and for how long.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from typing import BinaryIO, Protocol

from vfxmatte.errors import UsageError
from vfxmatte.serve.doing import do
from vfxmatte.serve.endpoint import HOST
from vfxmatte.serve.framing import Decoder, framed
from vfxmatte.serve.jobs import JobQueue
from vfxmatte.serve.kept import KeptEngines
from vfxmatte.serve.lobby import MOST_STRANGERS, TOKEN_SECONDS, Lobby
from vfxmatte.serve.outbox import Outbox
from vfxmatte.serve.rpc import INVALID_REQUEST, RpcError
from vfxmatte.serve.session import Session

log = logging.getLogger("vfxmatte.serve")

MOST_CLIENTS = 64
_CHUNK = 1 << 16
_FAREWELL_SECONDS = 2.0
_LAST_JOB_SECONDS = 10.0
_TICK_SECONDS = 0.2


class Wire(Protocol):
    """Bytes from and to one client."""

    def receive(self, timeout: float | None) -> bytes:
        """Some bytes, b"" at the end; raises OSError, TimeoutError among them."""

    def send(self, data: bytes) -> None: ...

    def finish(self, timeout: float) -> None:
        """Nothing more is sent; wait until the client has noticed."""

    def close(self) -> None: ...


class SocketWire:
    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(True)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection

    def receive(self, timeout: float | None) -> bytes:
        if timeout is not None:  # of its own: the socket's time limit would bind senders, too
            with selectors.DefaultSelector() as selector:
                selector.register(self._socket, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise TimeoutError
        return self._socket.recv(_CHUNK)

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
    """Standard input and output; the other end is who has started this process."""

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source, self._target = source, target

    def receive(self, timeout: float | None) -> bytes:
        return self._source.read1(_CHUNK)  # type: ignore[attr-defined, no-any-return]

    def send(self, data: bytes) -> None:
        self._target.write(data)
        self._target.flush()

    def finish(self, timeout: float) -> None:
        """Nothing: what was sent is in the pipe."""

    def close(self) -> None:
        """Nothing: the process ends."""


class Client:
    """One client's two threads.

    decoder, first: what was read of the client, and its first message, where somebody has
    listened to it before.
    """

    def __init__(
        self,
        server: Server,
        wire: Wire,
        gone: Callable[[Client], None],
        decoder: Decoder | None,
        first: bytes | None,
    ) -> None:
        self._wire, self._gone = wire, gone
        self._decoder, self._first = decoder or Decoder(), first
        self._patience = server.patience_seconds
        self.outbox = Outbox()
        self.session = Session(house=server, outbox=self.outbox, give_up=self._hang_up)

    def start(self) -> None:
        for target in (self._read, self._write):
            threading.Thread(target=target, name="vfxmatte-client", daemon=True).start()

    def _read(self) -> None:
        try:
            self._converse()
        except TimeoutError:
            self.session.refuse(RpcError(INVALID_REQUEST, "a message has not come to its end"))
        except RpcError as error:  # nothing that follows could be understood
            self.session.refuse(error)
        except (OSError, ValueError) as error:  # a socket that was closed here is a ValueError
            log.debug("a client has gone: %s", error)
        finally:
            self._leave()

    def _converse(self) -> None:
        """Messages until the end of the stream; raises RpcError, TimeoutError, OSError."""
        decoder = self._decoder
        if self._first is not None:
            self.session.take(self._first)
        begun = time.monotonic()  # the message under way
        while True:
            while (body := decoder.message()) is not None:
                self.session.take(body)
                begun = time.monotonic()
            left = begun + self._patience - time.monotonic()
            data = self._wire.receive(max(0.001, left) if decoder.in_message else None)
            if not data:
                return
            if not decoder.in_message:
                begun = time.monotonic()
            decoder.feed(data)

    def _write(self) -> None:
        try:
            while (message := self.outbox.take()) is not None:
                self._wire.send(framed(message))
        except (OSError, ValueError):  # the reader finds out who has gone
            self.outbox.close(drop=True)

    def _hang_up(self) -> None:
        self.outbox.close(drop=True)
        self._wire.close()

    def _leave(self) -> None:
        """Away with the client's jobs; what was answered is still sent."""
        self.session.leave()
        with contextlib.suppress(OSError, ValueError):
            if self.outbox.wait_sent(_FAREWELL_SECONDS):
                self._wire.finish(_FAREWELL_SECONDS)
        self._hang_up()
        self._gone(self)

    def dismiss(self, timeout: float) -> None:
        """The server ends: send what was answered, and hang up."""
        self.outbox.close()
        self.outbox.wait_sent(timeout)
        self._hang_up()


class Server:
    """Clients, the queue, and the one thread that works.

    idle_seconds: it ends after so long without clients and jobs; None: never.
    patience_seconds: how long a message may take. token_seconds: how long a connection may take to
    show the token.
    """

    def __init__(
        self,
        *,
        idle_seconds: float | None = 900.0,
        patience_seconds: float = 20.0,
        token_seconds: float = TOKEN_SECONDS,
        keep_seconds: float = 300.0,
    ) -> None:
        self.idle_seconds, self.patience_seconds = idle_seconds, patience_seconds
        self.token_seconds = token_seconds
        self.queue = JobQueue()
        self.engines = KeptEngines(keep_seconds=keep_seconds)
        self._clients: set[Client] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._quiet_since = time.monotonic()
        self._worker = threading.Thread(target=self._work, name="vfxmatte-device", daemon=True)

    @property
    def client_count(self) -> int:
        with self._lock:
            return len(self._clients)

    def stop(self) -> None:
        """End `serve`; may be called from any thread and from a signal handler."""
        self._stop.set()

    # -- clients -----------------------------------------------------------------------------

    def listen(self, host: str = HOST) -> socket.socket:
        """A socket on a free port of 127.0.0.1; raises UsageError for any other address."""
        if host != HOST:
            raise UsageError(
                f"the engine listens on {HOST} and nowhere else, not on {host}",
                hint="hosts on other machines run engines of their own",
            )
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind((host, 0))
        listener.listen(MOST_STRANGERS)
        return listener

    def accept_from(self, listener: socket.socket, token: str) -> None:
        """Take clients that know the token, in a thread of its own, until `stop`."""
        threading.Thread(
            target=self._accept, args=(listener, token), name="vfxmatte-accept", daemon=True
        ).start()

    def _accept(self, listener: socket.socket, token: str) -> None:
        lobby = Lobby(
            listener,
            token,
            self._welcome,
            address=HOST,
            is_full=lambda: self.client_count >= MOST_CLIENTS,
            token_seconds=self.token_seconds,
        )
        with contextlib.closing(lobby):
            while not self._stop.is_set():
                try:
                    lobby.step(_TICK_SECONDS)
                except OSError as error:  # out of descriptors, say: others go on
                    log.warning("a connection is lost: %s", error)
                    self._stop.wait(_TICK_SECONDS)

    def _welcome(self, connection: socket.socket, decoder: Decoder, first: bytes) -> None:
        """Take a connection that has shown the token."""
        try:
            self.take_client(SocketWire(connection), decoder, first)
        except (OSError, RuntimeError) as error:  # gone already; or no thread to be had
            log.warning("a connection is lost: %s", error)
            connection.close()

    def take_client(
        self, wire: Wire, decoder: Decoder | None = None, first: bytes | None = None
    ) -> None:
        """Serve one more client; decoder, first: see `Client`."""
        client = Client(self, wire, self._gone, decoder, first)
        with self._lock:
            self._clients.add(client)
        try:
            client.start()
        except RuntimeError:
            self._gone(client)
            raise

    def _gone(self, client: Client) -> None:
        with self._lock:
            self._clients.discard(client)
            self._quiet_since = time.monotonic()

    # -- life --------------------------------------------------------------------------------

    def serve(self, *, while_clients: bool = False) -> bool:
        """Work until `stop`, or until it was idle for long; returns whether all has ended cleanly.

        while_clients: end when the last client has gone, as over stdio.
        """
        self._worker.start()
        while not self._stop.wait(self._tick()):
            if self._is_over(while_clients):
                log.info("nobody needs the engine: it ends")
                break
        self._stop.set()
        self.queue.close()
        self._worker.join(_LAST_JOB_SECONDS)
        return not self._worker.is_alive()

    def _tick(self) -> float:
        return min(_TICK_SECONDS, (self.idle_seconds or 1.0) / 4)

    def _is_over(self, while_clients: bool) -> bool:
        with self._lock:
            if self._clients or self.queue.jobs():
                return False
            quiet = time.monotonic() - max(self._quiet_since, self.queue.quiet_since)
        if while_clients:
            return True
        return self.idle_seconds is not None and quiet >= self.idle_seconds

    def leave_clients(self) -> None:
        """What was answered is sent, then everybody is left."""
        with self._lock:
            clients = list(self._clients)
        until = time.monotonic() + _FAREWELL_SECONDS
        for client in clients:
            client.dismiss(max(0.0, until - time.monotonic()))

    # -- the device --------------------------------------------------------------------------

    def _work(self) -> None:
        while not (self._stop.is_set() and not self.queue.jobs()):
            job = self.queue.take(timeout=_TICK_SECONDS)
            if job is None:
                self.engines.forget_unused()
                continue
            try:
                do(job, self._do_urgent)
            finally:
                self.queue.finish(job)

    def _do_urgent(self) -> None:
        """Short work of others, between two steps of long work."""
        while (job := self.queue.take_urgent()) is not None:
            try:
                do(job, lambda: None)
            finally:
                self.queue.finish(job)
