"""The server's threads: one for authentication, two for each client, one for the device."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable

from vfxmatte.errors import UsageError
from vfxmatte.serve.authentication import MAX_PENDING, TOKEN_SECONDS, Authenticator
from vfxmatte.serve.client_session import ClientSession
from vfxmatte.serve.endpoint import HOST
from vfxmatte.serve.engine_cache import EngineCache
from vfxmatte.serve.execute import execute
from vfxmatte.serve.framing import Decoder, framed
from vfxmatte.serve.jobs import Job, JobQueue
from vfxmatte.serve.outbox import Outbox
from vfxmatte.serve.rpc import INVALID_REQUEST, RpcError
from vfxmatte.serve.wires import SocketWire, Wire

log = logging.getLogger("vfxmatte.serve")

MAX_CLIENTS = 64
_CLOSE_SECONDS = 2.0
_LAST_JOB_SECONDS = 10.0
_TICK_SECONDS = 0.2


class Client:
    """The two threads of one client: a reader and a writer."""

    def __init__(
        self,
        server: Server,
        wire: Wire,
        on_close: Callable[[Client], None],
        decoder: Decoder | None,
        first: bytes | None,
    ) -> None:
        """Prepare the threads.

        Args:
            on_close: called when the client has disconnected.
            decoder, first: the bytes already received and the first message, if any.
        """
        self._wire, self._on_close = wire, on_close
        self._decoder, self._first = decoder or Decoder(), first
        self._message_seconds = server.message_seconds
        self.outbox = Outbox()
        self.session = ClientSession(server=server, outbox=self.outbox, disconnect=self._disconnect)

    def start(self) -> None:
        """Start both threads; raises RuntimeError where the system has none left."""
        for target in (self._read, self._write):
            threading.Thread(target=target, name="vfxmatte-client", daemon=True).start()

    def close(self, timeout: float) -> None:
        """Send the waiting answers, for up to `timeout` seconds, and disconnect."""
        self.outbox.close()
        self.outbox.wait_sent(timeout)
        self._disconnect()

    def _read(self) -> None:
        try:
            self._read_messages()
        except TimeoutError:
            self.session.refuse(RpcError(INVALID_REQUEST, "a message has not come to its end"))
        except RpcError as error:  # whatever follows could not be understood
            self.session.refuse(error)
        except (OSError, ValueError) as error:  # reading a socket closed here is a ValueError
            log.debug("a client has gone: %s", error)
        finally:
            self._leave()

    def _read_messages(self) -> None:
        """Handle messages until the end of the stream; raises RpcError, TimeoutError, OSError."""
        decoder = self._decoder
        if self._first is not None:
            self.session.take(self._first)
        begun = time.monotonic()  # of the message that is being received
        while True:
            while (body := decoder.message()) is not None:
                self.session.take(body)
                begun = time.monotonic()
            left = begun + self._message_seconds - time.monotonic()
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
        except (OSError, ValueError):  # the reader notices the disconnection
            self.outbox.close(drop=True)

    def _leave(self) -> None:
        """Cancel the client's jobs, and send the waiting answers."""
        self.session.leave()
        with contextlib.suppress(OSError, ValueError):
            if self.outbox.wait_sent(_CLOSE_SECONDS):
                self._wire.finish(_CLOSE_SECONDS)
        self._disconnect()
        self._on_close(self)

    def _disconnect(self) -> None:
        self.outbox.close(drop=True)
        self._wire.close()


class Server:
    """The clients, the job queue, and the thread that uses the device."""

    def __init__(
        self,
        *,
        idle_seconds: float | None = 900.0,
        message_seconds: float = 20.0,
        token_seconds: float = TOKEN_SECONDS,
        keep_seconds: float = 300.0,
    ) -> None:
        """Create a server that is not running yet.

        Args:
            idle_seconds: how long it stays without clients and jobs; None: for ever.
            message_seconds: how long a client may take to send a message.
            token_seconds: how long a connection may take to show the token.
            keep_seconds: how long unused engines stay loaded.
        """
        self.idle_seconds, self.message_seconds = idle_seconds, message_seconds
        self.token_seconds = token_seconds
        self.queue = JobQueue()
        self.engines = EngineCache(keep_seconds=keep_seconds)
        self._clients: set[Client] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._idle_since = time.monotonic()
        self._worker = threading.Thread(target=self._work, name="vfxmatte-device", daemon=True)

    @property
    def client_count(self) -> int:
        """Number of connected clients."""
        with self._lock:
            return len(self._clients)

    def stop(self) -> None:
        """End `serve`; may be called from any thread and from a signal handler."""
        self._stop.set()

    # -- clients -----------------------------------------------------------------------------

    def listen(self, host: str = HOST) -> socket.socket:
        """Open a socket on a free port of 127.0.0.1; raises UsageError for any other address."""
        if host != HOST:
            raise UsageError(
                f"the engine listens on {HOST} and nowhere else, not on {host}",
                hint="hosts on other machines run engines of their own",
            )
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind((host, 0))
        listener.listen(MAX_PENDING)
        return listener

    def accept_from(self, listener: socket.socket, token: str) -> None:
        """Start a thread that accepts clients with the token until `stop`."""
        threading.Thread(
            target=self._accept, args=(listener, token), name="vfxmatte-accept", daemon=True
        ).start()

    def _accept(self, listener: socket.socket, token: str) -> None:
        authenticator = Authenticator(
            listener,
            token,
            self._take_connection,
            address=HOST,
            is_full=lambda: self.client_count >= MAX_CLIENTS,
            token_seconds=self.token_seconds,
        )
        with contextlib.closing(authenticator):
            while not self._stop.is_set():
                try:
                    authenticator.step(_TICK_SECONDS)
                except OSError as error:  # e.g. out of descriptors; others remain connected
                    log.warning("a connection is lost: %s", error)
                    self._stop.wait(_TICK_SECONDS)

    def _take_connection(self, connection: socket.socket, decoder: Decoder, first: bytes) -> None:
        try:
            self.take_client(SocketWire(connection), decoder, first)
        except (OSError, RuntimeError) as error:  # disconnected already, or no thread left
            log.warning("a connection is lost: %s", error)
            connection.close()

    def take_client(
        self, wire: Wire, decoder: Decoder | None = None, first: bytes | None = None
    ) -> None:
        """Start serving a client; for `decoder` and `first` see `Client`."""
        client = Client(self, wire, self._remove, decoder, first)
        with self._lock:
            self._clients.add(client)
        try:
            client.start()
        except RuntimeError:
            self._remove(client)
            raise

    def _remove(self, client: Client) -> None:
        with self._lock:
            self._clients.discard(client)
            self._idle_since = time.monotonic()

    def close_clients(self) -> None:
        """Send the waiting answers and disconnect all clients."""
        with self._lock:
            clients = list(self._clients)
        until = time.monotonic() + _CLOSE_SECONDS
        for client in clients:
            client.close(max(0.0, until - time.monotonic()))

    # -- life --------------------------------------------------------------------------------

    def serve(self, *, while_clients: bool = False) -> bool:
        """Work until `stop` or until idle for long; return False if a job could not be stopped.

        while_clients: end when the last client has disconnected, as over stdio.
        """
        self._worker.start()
        tick = min(_TICK_SECONDS, (self.idle_seconds or 1.0) / 4)
        while not self._stop.wait(tick):
            if self._is_over(while_clients):
                log.info("nobody needs the engine: it ends")
                break
        self._stop.set()
        self.queue.close()
        self._worker.join(_LAST_JOB_SECONDS)
        return not self._worker.is_alive()

    def _is_over(self, while_clients: bool) -> bool:
        with self._lock:
            if self._clients or self.queue.jobs():
                return False
            idle = time.monotonic() - max(self._idle_since, self.queue.idle_since)
        if while_clients:
            return True
        return self.idle_seconds is not None and idle >= self.idle_seconds

    # -- the device --------------------------------------------------------------------------

    def _work(self) -> None:
        while not (self._stop.is_set() and not self.queue.jobs()):
            job = self.queue.take(timeout=_TICK_SECONDS)
            if job is None:
                self.engines.close_unused()
            else:
                self._execute(job, self._execute_urgent)

    def _execute_urgent(self) -> None:
        """Execute urgent jobs between two steps of a long one."""
        while (job := self.queue.take_urgent()) is not None:
            self._execute(job, lambda: None)

    def _execute(self, job: Job, between: Callable[[], None]) -> None:
        try:
            execute(job, between)
        finally:
            self.queue.finish(job)
