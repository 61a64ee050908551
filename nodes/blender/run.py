"""A run in the background: its progress is kept for the panel, which polls it on a timer.

The client's threads only update the progress under a lock. Blender is touched by nothing but
`tick`, on the main thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .problem import Problem
from .vfxmatte_client import Client, ClientError

_WHERE = "Say where vfxmatte is in Edit > Preferences > Add-ons > vfxmatte."
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Progress:
    """The progress of a run."""

    state: str = "starting"
    """starting, running, cancelling, done, cancelled or failed."""
    done: int = 0
    """Number of frames delivered or failed."""
    count: int = 0
    """Number of frames of the run."""
    fit: tuple[int, int] | None = None
    """Step and steps of the fit to the shot, while it is made."""
    failed: Mapping[int, str] = field(default_factory=dict)
    """Error messages by frame number."""
    notes: tuple[str, ...] = ()
    """Remarks of the server, in the order in which they came."""
    device: str = ""
    """The device that solved the frames."""
    suggested: int | None = None
    """The frame on which another keyframe would help most."""
    problem: Problem | None = None
    """The error that ended the run."""

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "cancelled", "failed")

    @property
    def share(self) -> float:
        if self.fit is not None:
            return self.fit[0] / self.fit[1]
        return self.done / self.count if self.count else 0.0


def after(progress: Progress, event: Event) -> Progress:
    """Return the progress updated by an event of the run."""
    kind = event.get("event")
    if kind == "start":
        state = "running" if progress.state == "starting" else progress.state
        notes = (*progress.notes, *map(str, event.get("notes", ())))
        return replace(progress, state=state, count=int(event["count"]), done=0, notes=notes)
    if kind == "frame":
        return _after_frame(progress, event)
    if kind == "fit":
        return replace(progress, fit=(int(event["step"]), int(event["steps"])))
    if kind == "note":
        return replace(progress, fit=None, notes=(*progress.notes, str(event["text"])))
    if kind == "totals":
        suggested = event.get("suggested_keyframe")
        device = str(event.get("device") or "")
        return replace(progress, fit=None, device=device, suggested=suggested)
    return progress


def _after_frame(progress: Progress, event: Event) -> Progress:
    failed = dict(progress.failed)
    if event["status"] == "failed":
        text = str((event.get("error") or {}).get("message", ""))
        subject, before = event.get("subject"), failed.get(int(event["frame"]))
        text = f"{subject}: {text}" if subject else text
        failed[int(event["frame"])] = f"{before}; {text}" if before else text
    return replace(progress, done=progress.done + 1, failed=failed, fit=None)


class Run:
    """A run and its job.

    Args:
        on_over: called once, by `tick`, when the run is over.
    """

    def __init__(self, on_over: Callable[[Progress], None]) -> None:
        self._lock = threading.Lock()
        self._progress = Progress()
        self._on_over = on_over
        self._reported = False
        self._over = threading.Event()
        self._job: Any = None

    def start(self, client: Client, request: Mapping[str, Any]) -> None:
        """Start a request, the arguments of `Client.start_run`; returns at once."""
        self._job = client.start_run(**request, on_event=self._on_event, on_done=self._end)

    @property
    def progress(self) -> Progress:
        with self._lock:
            return self._progress

    def cancel(self) -> None:
        """Ask the run to stop; returns at once. Finished frames are kept."""
        with self._lock:
            if not self._progress.is_over:
                self._progress = replace(self._progress, state="cancelling")
        self._job.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end and return True if it came in time; for scripts, which have no timer."""
        return self._over.wait(timeout)

    def tick(self) -> bool:
        """Report the end of the run, on the main thread; returns False once that is done."""
        progress = self.progress
        if progress.is_over and not self._reported:
            self._reported = True
            self._on_over(progress)
        return not self._reported

    def _on_event(self, event: Event) -> None:
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


_HINTS = {  # in place of the server's own, which name options of its command line
    "MissingFrameError": "Choose Hold or Skip under Missing Frames, or bring the files",
    "OutputLockedError": "Wait for the other run, or stop it",
    "OutputError": "Choose a Folder in which you may write, with room on its disk",
}


def _problem_of(error: ClientError) -> Problem:
    where = f" ({error.path})" if error.path else ""
    hint = _HINTS.get(error.kind, error.hint or "")
    if error.kind == "NotInstalled":
        hint = f"{_WHERE} Not installed yet? {hint}"
    return Problem(f"{error.what[:1].upper()}{error.what[1:]}{where}", hint)
