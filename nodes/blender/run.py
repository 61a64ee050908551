"""One run in the background: what the engine tells is kept for the panel, which asks on a timer.

Everything that the engine's threads do here is to change a few numbers under a lock; nothing of
Blender is touched but by `tick`, on the main thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .client import Engine, EngineError
from .problem import Problem

_WHERE = "Say where vfxmatte is in Edit > Preferences > Add-ons > vfxmatte."
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    state: starting, running, cancelling, done, cancelled, failed.
    done, count: frames delivered (or failed), and in all.
    failed: what went wrong, by frame number.
    suggested: the frame on which another keyframe would help most, as the engine thinks.
    problem: what ended the run.
    """

    state: str = "starting"
    done: int = 0
    count: int = 0
    failed: Mapping[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    device: str = ""
    suggested: int | None = None
    problem: Problem | None = None

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "cancelled", "failed")

    @property
    def share(self) -> float:
        return self.done / self.count if self.count else 0.0


def after(progress: Progress, event: Event) -> Progress:
    """The progress once the engine has told this event."""
    kind = event.get("event")
    if kind == "start":
        state = "running" if progress.state == "starting" else progress.state
        notes = (*progress.notes, *map(str, event.get("notes", ())))
        return replace(progress, state=state, count=int(event["count"]), done=0, notes=notes)
    if kind == "frame":
        return _after_frame(progress, event)
    if kind == "note":
        return replace(progress, notes=(*progress.notes, str(event["text"])))
    if kind == "totals":
        suggested = event.get("suggested_keyframe")
        device = str(event.get("device") or "")
        return replace(progress, device=device, suggested=suggested)
    return progress


def _after_frame(progress: Progress, event: Event) -> Progress:
    failed = dict(progress.failed)
    if event["status"] == "failed":
        failed[int(event["frame"])] = str((event.get("error") or {}).get("message", ""))
    return replace(progress, done=progress.done + 1, failed=failed)


class Run:
    """A run that has been started; `on_over` is called once, by `tick`."""

    def __init__(self, on_over: Callable[[Progress], None]) -> None:
        self._lock = threading.Lock()
        self._progress = Progress()
        self._on_over = on_over
        self._told = False
        self._over = threading.Event()
        self._job: Any = None

    def start(self, engine: Engine, request: Mapping[str, Any]) -> None:
        """Returns at once; `request` is what `Engine.start_run` takes."""
        self._job = engine.start_run(**request, on_event=self._hear, on_done=self._end)

    @property
    def progress(self) -> Progress:
        with self._lock:
            return self._progress

    def cancel(self) -> None:
        """Ask the engine to stop; returns at once. What is finished stays."""
        with self._lock:
            if not self._progress.is_over:
                self._progress = replace(self._progress, state="cancelling")
        self._job.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """True when the run is over; for scripts, which have no timer."""
        return self._over.wait(timeout)

    def tick(self) -> bool:
        """To be called on the main thread now and then; True while there is more to come."""
        progress = self.progress
        if progress.is_over and not self._told:
            self._told = True
            self._on_over(progress)
        return not self._told

    def _hear(self, event: Event) -> None:
        with self._lock:
            self._progress = after(self._progress, event)

    def _end(self, job: Any) -> None:
        error = job.error
        with self._lock:
            if error is not None:
                problem = _problem_of(error)
                self._progress = replace(self._progress, state="failed", problem=problem)
            else:
                state = "cancelled" if job.cancelled else "done"
                self._progress = replace(self._progress, state=state)
        self._over.set()


_HINTS = {  # what the engine advises in the words of its command line
    "MissingFrameError": "Choose Hold or Skip under Missing Frames, or bring the files",
    "OutputLockedError": "Wait for the other run, or stop it",
    "OutputError": "Choose a Folder in which you may write, with room on its disk",
}


def _problem_of(error: EngineError) -> Problem:
    where = f" ({error.path})" if error.path else ""
    hint = _HINTS.get(error.kind, error.hint or "")
    if error.kind == "NotInstalled":
        hint = f"{_WHERE} Not installed yet? {hint}"
    return Problem(f"{error.what[:1].upper()}{error.what[1:]}{where}", hint)
