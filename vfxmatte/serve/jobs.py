"""What waits for the one device: jobs of several clients, one after another, fairly."""

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
"""Work in steps: between two of them it may be told to stop (`Stopped` is thrown in), and urgent
work may be done. What it returns answers the request."""


class Stopped(BaseException):
    """The job was cancelled; no Exception, so that nobody takes it for a frame that failed."""


@dataclass(eq=False, kw_only=True)
class Job:
    """One request that needs the device.

    client: any object that stands for the client. ident: the request's. start: begins the work.
    answer: told the result, or the error, once. emit: takes an event's name and values.
    urgent: short, and may go before long work. output: the folder that it writes to, if one.
    """

    client: object
    ident: Ident
    kind: str
    start: Callable[[Job], Steps]
    answer: Callable[[dict[str, Any] | RpcError], None]
    emit: Callable[..., None]
    shot: str | None = None
    urgent: bool = False
    output: str | None = None
    done: int = 0
    count: int | None = None
    running: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """May be called from any thread."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def check(self) -> None:
        """Raises Stopped where the job was cancelled."""
        if self.stopped:
            raise Stopped


class JobQueue:
    """Thread safe. Each client's own jobs keep their order (urgent ones first); clients take turns.

    `running` jobs (an urgent one may run within another) stay listed until `finish`.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: OrderedDict[object, deque[Job]] = OrderedDict()
        self._running: list[Job] = []
        self._closed = False
        self.quiet_since = time.monotonic()

    def put(self, job: Job) -> None:
        """Raises RpcError: too many, or a request of that id is under way."""
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
        """The next job, now running; None where none comes in time."""
        with self._changed:
            if not self._waiting:
                self._changed.wait(timeout)
            return self._next_urgent([]) or self._next()

    def take_urgent(self) -> Job | None:
        """A short one that may go before the running one: it writes elsewhere."""
        with self._changed:
            return self._next_urgent([job.output for job in self._running])

    def finish(self, job: Job) -> None:
        with self._changed:
            self._running.remove(job)
            self.quiet_since = time.monotonic()

    def cancel(self, client: object, ident: Ident | None = None) -> bool:
        """Stop a client's job of that id, or all of its jobs; whether there was one.

        One that waits goes through the queue nonetheless, and ends at its first step.
        """
        with self._changed:
            found = [
                job
                for job in self._all()
                if job.client is client and (ident is None or job.ident == ident)
            ]
        for job in found:
            job.stop()
        return bool(found)

    def close(self) -> None:
        """Stop all jobs, those to come too."""
        with self._changed:
            self._closed = True
            for job in self._all():
                job.stop()

    def jobs(self) -> list[Job]:
        """Running ones first."""
        with self._changed:
            return self._all()

    def _all(self) -> list[Job]:
        return [*self._running, *(job for own in self._waiting.values() for job in own)]

    def _next(self) -> Job | None:
        own = next(iter(self._waiting.values()), None)
        return None if own is None else self._begin(own[0])

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
