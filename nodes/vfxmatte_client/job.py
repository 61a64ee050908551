"""Work under way, which a host can cancel and wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .channel import Call, Channel
from .errors import ClientError, log
from .events import is_event

if TYPE_CHECKING:
    from .errors import Record


class Job:
    """Work under way, returned by the `start_*` calls of `Client`.

    Hosts use id, error, cancelled, done, cancel, wait and result; the rest is the client's.

    Args:
        name: the job's id.
        on_event: called with each event, on a thread of the client.
        on_done: called once with the job, last.
    """

    def __init__(
        self,
        name: str,
        on_event: Callable[[Record], Any] | None = None,
        on_done: Callable[[Job], Any] | None = None,
    ) -> None:
        self.id = name
        self.error: ClientError | None = None
        self.cancelled = False
        self._on_event, self._on_done = on_event, on_done
        self._value: Any = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._stop: Callable[[], None] | None = None
        self._reported: set[tuple[str, Any]] = set()  # starts and frames

    @property
    def done(self) -> bool:
        return self._over.is_set()

    def cancel(self) -> None:
        """Ask for the end, and return at once; finished frames stay."""
        with self._lock:
            self.cancelled = True
            stop = self._stop
        if stop is not None:
            stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait at most `timeout` seconds; returns True if the job has ended."""
        return self._over.wait(timeout)

    def result(self, timeout: float | None = None) -> Any:
        """Wait, and return the job's value or raise its ClientError."""
        if not self._over.wait(timeout):
            raise ClientError("the job is not done yet", kind="TimedOut")
        if self.error is not None:
            raise self.error
        return self._value

    def stop_with(self, stop: Callable[[], None] | None) -> None:
        """Set how the job is cancelled from now on; called at once if it was cancelled before."""
        with self._lock:
            self._stop = stop
            late = self.cancelled
        if late and stop is not None:
            stop()

    def report(self, record: Record) -> None:
        """Pass an event on to the host; after a restart, none is reported twice."""
        if not is_event(record):
            log.debug("not an event: %.200r", record)
            return
        event = record["event"]
        if event in ("frame", "start"):
            frame = (record["frame"], record.get("subject")) if event == "frame" else None
            once = event, frame
            if once in self._reported:
                return
            self._reported.add(once)
        if self._on_event is not None:
            _guarded(self._on_event, record)

    def note(self, text: str) -> None:
        """Report a note of the client's own."""
        log.info("%s", text)
        self.report({"event": "note", "text": text})

    def follow(self, channel: Channel, call: Call) -> Record:
        """Report a request's events and return its answer; raises ClientError, ConnectionLost."""
        self.stop_with(lambda: channel.cancel(call))
        return call.result(on_event=self.report)

    def execute(self, work: Callable[[Job], Any]) -> None:
        """Do the work, and keep its value or its error."""
        try:
            self._value = work(self)
        except ClientError as error:
            self.error = error
        except Exception as error:
            log.exception("vfxmatte's client failed")
            self.error = ClientError(f"{type(error).__name__}: {error}")
        self.stop_with(None)
        self._over.set()
        if self._on_done is not None:
            _guarded(self._on_done, self)


def _guarded(callback: Callable[[Any], Any], value: Any) -> None:
    try:
        callback(value)
    except Exception:
        log.exception("a callback failed")
