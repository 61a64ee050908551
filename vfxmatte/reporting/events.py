"""The events of a run: the protocol of reports, and the events as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import click

from vfxmatte.errors import VfxmatteError
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.subjects_run import AnyRun
from vfxmatte.reporting.pace import Pace
from vfxmatte.reporting.totals import Totals
from vfxmatte.types import FrameResult, numbers_as_text

if TYPE_CHECKING:
    from vfxmatte.fitting.fit import FitProgress


class Report(Protocol):
    """Receives the events of a run in this order: start, fit…, frame…, note…, error?, end; then
    close."""

    def start(self, run: AnyRun) -> None: ...
    def fit(self, progress: FitProgress) -> None: ...
    def frame(self, result: FrameResult, pace: Pace) -> None: ...
    def note(self, text: str) -> None: ...
    def error(self, error: VfxmatteError) -> None: ...
    def end(self, totals: Totals) -> None: ...
    def close(self) -> None: ...


def emit(event: str, **values: Any) -> None:
    """Print one event as a line of JSON on stdout."""
    click.echo(json.dumps({"event": event, **values}, ensure_ascii=False))


def error_values(error: VfxmatteError) -> dict[str, Any]:
    """Return an error's values for JSON; unknown ones are None."""
    return {
        "kind": type(error).__name__,
        "message": error.what,
        "shot": error.shot,
        "frame": error.frame,
        "path": error.path,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }


def _limits(runs: Mapping[str | None, Run]) -> dict[str, Any]:
    """Return the garbage and core mattes by kind; of several subjects, of each by its name."""
    texts: dict[str, Any] = {
        name or "": dict(one.plan.limits.texts()) for name, one in runs.items()
    }
    return dict(texts[""]) if "" in texts else {name: one for name, one in texts.items() if one}


class JsonReport:
    """A report as JSON events: start, fit, frame, note, error, totals."""

    def __init__(self, emit: Callable[..., None] = emit) -> None:
        """
        Args:
            emit: called with the event's name and its values by name; prints JSON lines by default.
        """
        self._emit = emit

    def start(self, run: AnyRun) -> None:
        info, each = run.plate.info, run.subject_runs
        self._emit(
            "start",
            shot=run.shot.name,
            plate=str(run.shot.plate),
            description=str(info),
            colorspace=info.colour_space,
            colorspace_reason=info.colour_reason,
            frames=numbers_as_text(run.plan.numbers),
            count=run.count,
            keyframes=sorted(run.plan.keyframes),
            subjects={name: list(one.plan.keyframes) for name, one in each.items() if name},
            finished=sorted({n for one in each.values() for n in one.plan.finished}),
            locked=sorted({n for one in each.values() for n in one.plan.locked}),
            limits=_limits(each),
            output=str(run.shot.output),
            notes=list(run.plan.notes),
        )

    def fit(self, progress: FitProgress) -> None:
        self._emit(
            "fit",
            subject=progress.subject or None,
            step=progress.step,
            steps=progress.steps,
            error=progress.error,
        )

    def frame(self, result: FrameResult, pace: Pace) -> None:
        self._emit(
            "frame",
            frame=result.number,
            subject=result.subject,
            status=result.status,
            path=None if result.path is None else str(result.path),
            error=None if result.error is None else error_values(result.error),
            stats=dict(result.stats),
            stale=None if result.stale is None else str(result.stale),
        )

    def note(self, text: str) -> None:
        self._emit("note", text=text)

    def error(self, error: VfxmatteError) -> None:
        self._emit("error", **error_values(error))

    def end(self, totals: Totals) -> None:
        self._emit("totals", **totals.as_dict())

    def close(self) -> None:
        return
