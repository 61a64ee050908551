"""A connection to a server: JSON-RPC requests out, answers and events in."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any

from .errors import ClientError, ConnectionLost, log
from .processes import CALL_SECONDS

if TYPE_CHECKING:
    from .errors import Record

MESSAGE_BYTES = 64 << 20
"""Largest message, or line of events, that is accepted from a server."""

_HEADER_BYTES = 4096  # as long as the protocol lets a header line be
_ERROR_KINDS = {-32800: "Cancelled", -32001: "Unauthorised"}  # the protocol's error codes


class Call:
    """A request under way; what arrives for it waits in `inbox`."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.inbox: queue.Queue[tuple[str, Any]] = queue.Queue()

    def next(self, timeout: float | None = None) -> tuple[str, Any]:
        """Wait for the next message.

        Returns:
            "event", "result" or "error", and its values.

        Raises:
            ConnectionLost: the server has gone.
            ClientError: "TimedOut" after `timeout` seconds.
        """
        try:
            kind, values = self.inbox.get(timeout=timeout)
        except queue.Empty:
            raise ClientError("the engine does not answer", kind="TimedOut") from None
        if kind == "lost":
            raise ConnectionLost
        return kind, values

    def result(
        self, timeout: float | None = None, on_event: Callable[[Record], Any] | None = None
    ) -> Record:
        """Return the answer, passing events on until it arrives; raises as `next`, ClientError."""
        while True:
            kind, values = self.next(timeout)
            if kind == "result":
                return dict(values)
            if kind == "error":
                raise rpc_error(values)
            if on_event is not None:
                on_event(values)


def rpc_error(values: Record) -> ClientError:
    """Make an error from a JSON-RPC error object, whatever its types."""
    data, code = values.get("data"), values.get("code")
    if isinstance(data, dict):
        return ClientError.of(data)
    kind = _ERROR_KINDS.get(code if type(code) is int else 0, "ProtocolError")
    return ClientError(str(values.get("message")), kind=kind)


class Channel:
    """A connection whose thread hands answers and events to their calls.

    Args:
        source: the stream of messages from the server.
        send: writes bytes to the server.
        close: closes the connection; called at its end, more than once.
    """

    def __init__(
        self, source: IO[bytes], send: Callable[[bytes], Any], close: Callable[[], Any]
    ) -> None:
        self._source, self._send_bytes, self._close = source, send, close
        self._lock = threading.Lock()
        self._calls: dict[int, Call] = {}
        self._last = 0
        self.alive = True
        self.gone = threading.Event()
        self.start: str | None = None  # unique id of the start that the server came from
        threading.Thread(target=self._read, name="vfxmatte-reader", daemon=True).start()

    def begin(self, method: str, params: Record | None = None) -> Call:
        """Send a request; raises ConnectionLost."""
        with self._lock:
            self._last += 1
            call = self._calls[self._last] = Call(self._last)
            message = {"jsonrpc": "2.0", "id": call.number, "method": method}
            self._send({**message, "params": params or {}})
        return call

    def request(self, method: str, params: Record | None = None) -> Record:
        """Send a short request and return its answer; raises ClientError or ConnectionLost."""
        return self.begin(method, params).result(CALL_SECONDS)

    def cancel(self, call: Call) -> None:
        """Ask the server to end a job; does nothing if the server has gone."""
        message = {"jsonrpc": "2.0", "method": "cancel", "params": {"job": call.number}}
        with self._lock, contextlib.suppress(ConnectionLost):
            self._send(message)

    def close(self) -> None:
        """Close the connection; its calls end with ConnectionLost."""
        self.alive = False
        with contextlib.suppress(OSError):
            self._close()

    def _send(self, message: Record) -> None:
        body = json.dumps(message).encode("ascii")
        if not self.alive:
            raise ConnectionLost
        try:
            self._send_bytes(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        except (OSError, ValueError) as error:
            self.alive = False
            raise ConnectionLost from error

    def _read(self) -> None:
        try:
            for message in read_messages(self._source):
                self._dispatch(message)
        except Exception as error:  # after any nonsense from the server, no call may wait for ever
            log.debug("the server's connection broke: %s", error)
        self.close()
        with contextlib.suppress(OSError, ValueError):
            self._source.close()  # a socket's descriptor lives as long as its file
        with self._lock:
            calls, self._calls = list(self._calls.values()), {}
        for call in calls:
            call.inbox.put(("lost", None))
        self.gone.set()

    def _dispatch(self, message: Record) -> None:
        if message.get("method") == "event":
            values = dict(message["params"])
            call = self._calls.get(values.pop("job"))
            if call is not None:
                call.inbox.put(("event", values))
            return
        kind = "error" if "error" in message else "result"
        values = dict(message[kind])  # a message that fails here must not remove its call
        with self._lock:
            call = self._calls.pop(message.get("id") or 0, None)
        if call is not None:
            call.inbox.put((kind, values))
        elif kind == "error":
            log.warning("the server reports: %s", values.get("message"))


def read_messages(source: IO[bytes]) -> Iterator[Record]:
    """Yield messages until the end of the stream; raises ValueError for malformed ones."""
    while True:
        length = None
        while True:
            line = source.readline(_HEADER_BYTES)
            if not line:
                return
            if not line.strip():
                break
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
        if length is None or not 0 <= length <= MESSAGE_BYTES:
            raise ValueError(f"a message of no length, or too long: {length}")
        body = source.read(length)
        if len(body) < length:
            return
        yield json.loads(body.decode("utf-8"))
