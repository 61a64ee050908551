"""The queue of jobs for the one device: one after another, clients in turn."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from vfxmatte.serve.rpc import INVALID_REQUEST, TOO_MANY, Ident, RpcError

MAX_JOBS_PER_CLIENT = 100

Steps = Generator[None, None, dict[str, Any]]
"""Work in steps. Between two of them it may be stopped (`Stopped` is thrown in) and urgent jobs may
run. The generator's return value answers the request."""


class Stopped(BaseException):
    """Raised in a cancelled job; no Exception, so that it is not taken for a failed frame."""


@dataclass(eq=False, kw_only=True)
class Job:
    """One request that needs the device."""

    client: object
    """Any object that identifies the client."""
    ident: Ident
    """Id of the request."""
    kind: str
    """Method of the request."""
    start: Callable[[Job], Steps]
    """Begins the work."""
    answer: Callable[[dict[str, Any] | RpcError], None]
    """Takes the result or the error, once."""
    emit: Callable[..., None]
    """Takes an event's name and its values by name."""
    shot: str | None = None
    """Name of the shot, if any."""
    urgent: bool = False
    """True for a short job that may run before and within long ones."""
    output: str | None = None
    """The folder that it writes to, if any."""
    done: int = 0
    """Number of finished frames."""
    count: int | None = None
    """Number of frames; None until it is known."""
    running: bool = False
    """True once the job has been taken from the queue."""
    _stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Cancel the job; may be called from any thread."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """True if the job was cancelled."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raise Stopped if the job was cancelled."""
        if self.stopped:
            raise Stopped


class JobQueue:
    """A thread-safe queue; each client's jobs keep their order (urgent ones first), clients take
    turns. Running jobs (an urgent one may run within another) stay listed until `finish`."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: OrderedDict[object, deque[Job]] = OrderedDict()
        self._running: list[Job] = []
        self._closed = False
        self.idle_since = time.monotonic()

    def put(self, job: Job) -> None:
        """Add a job; raises RpcError for too many, or for an id that is in use."""
        with self._changed:
            own = [other for other in self._all() if other.client is job.client]
            if len(own) >= MAX_JOBS_PER_CLIENT:
                raise RpcError(TOO_MANY, f"a client has at most {MAX_JOBS_PER_CLIENT} jobs")
            if any(other.ident == job.ident for other in own):
                raise RpcError(INVALID_REQUEST, f"a request of the id {job.ident!r} is under way")
            if self._closed:
                job.stop()
            self._waiting.setdefault(job.client, deque()).append(job)
            self._changed.notify()

    def take(self, timeout: float) -> Job | None:
        """Return the next job, now running; None where none arrives within `timeout` seconds."""
        with self._changed:
            if not self._waiting:
                self._changed.wait(timeout)
            urgent = self._next_urgent([])
            if urgent is not None or not self._waiting:
                return urgent
            return self._begin(next(iter(self._waiting.values()))[0])

    def take_urgent(self) -> Job | None:
        """Return an urgent job that writes elsewhere than the running ones, if any."""
        with self._changed:
            return self._next_urgent([job.output for job in self._running])

    def finish(self, job: Job) -> None:
        """Remove a job that has run."""
        with self._changed:
            self._running.remove(job)
            self.idle_since = time.monotonic()

    def cancel(self, client: object, ident: Ident | None = None) -> bool:
        """Stop a client's job of that id, or all of its jobs; return True if there was one.

        A waiting job stays in the queue, and ends when it is taken.
        """
        jobs = [j for j in self.jobs() if j.client is client and ident in (None, j.ident)]
        for job in jobs:
            job.stop()
        return bool(jobs)

    def close(self) -> None:
        """Stop all jobs, future ones too."""
        with self._changed:
            self._closed = True
            for job in self._all():
                job.stop()

    def jobs(self) -> list[Job]:
        """Return all jobs, running ones first."""
        with self._changed:
            return self._all()

    def _all(self) -> list[Job]:
        return [*self._running, *(job for own in self._waiting.values() for job in own)]

    def _next_urgent(self, outputs: list[str | None]) -> Job | None:
        for own in self._waiting.values():
            for job in own:
                if job.urgent and (job.output is None or job.output not in outputs):
                    return self._begin(job)
        return None

    def _begin(self, job: Job) -> Job:
        own = self._waiting[job.client]
        own.remove(job)
        self._waiting.move_to_end(job.client)
        if not own:
            del self._waiting[job.client]
        job.running = True
        self._running.append(job)
        return job
