"""A batch: each shot in a run session of its own, with one engine where settings agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from vfxmatte.batch.checked import CheckedShot
from vfxmatte.batch.outcome import Outcome
from vfxmatte.batch.pace import BatchPace
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.errors import VfxmatteError
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subjects_run import AnyRun
from vfxmatte.reporting.events import Report
from vfxmatte.reporting.pace import Pace
from vfxmatte.reporting.session import RunSession
from vfxmatte.reporting.totals import Totals
from vfxmatte.serve.engine_cache import EngineCache
from vfxmatte.types import FrameResult

if TYPE_CHECKING:
    from vfxmatte.fitting.fit import FitProgress


class BatchReport(Protocol):
    """Receives what happens to the shots of a batch, in this order for each of them."""

    def of_shot(self, name: str, number: int, count: int) -> Report:
        """Return the report of one shot's run; its frames come with the pace of the batch."""

    def ended(self, outcome: Outcome) -> None:
        """Report the end of a shot."""


class BatchSession:
    """The run of a batch, whose shots have been checked."""

    def __init__(
        self,
        shots: Sequence[CheckedShot],
        report: BatchReport,
        *,
        previews: Sequence[str] = (),
        overwrite: bool = False,
        keep_going: bool = False,
        changed: Callable[[], object] = lambda: None,
    ) -> None:
        """
        Args:
            shots: in the order of the batch.
            report: receives the events.
            previews: see `RunSession`.
            overwrite: solve finished frames again.
            keep_going: do the other shots if one cannot run, or is ended by an error.
            changed: called when a shot has ended, to keep `outcomes` on disk.
        """
        self.outcomes = [_before(one) for one in shots]
        """How each shot has ended so far, in the order of the batch."""
        self.frames = sum(one.frames for one in shots if not one.problems)
        """Number of frames in all shots that can run."""
        finished = 0 if overwrite else sum(one.finished for one in shots if not one.problems)
        self.pace = BatchPace(finished_before=finished)
        self._shots, self._report, self._previews = shots, report, previews
        self._overwrite, self._keep_going, self._changed = overwrite, keep_going, changed

    @property
    def is_refused(self) -> bool:
        """Return True if a shot cannot run, and the others must not be done without it."""
        can_run = [not one.problems for one in self._shots]
        return not any(can_run) or not (all(can_run) or self._keep_going)

    def run(self) -> None:
        """Do the shots, those with equal engine settings one after another."""
        if self.is_refused:
            return
        tasks = _by_engine(
            [
                _Task(one.shot, one.frames, outcome)
                for one, outcome in zip(self._shots, self.outcomes, strict=True)
                if one.shot is not None and not one.problems
            ]
        )
        engines = EngineCache(capacity=1)
        try:
            for number, task in enumerate(tasks, start=1):
                report = self._report.of_shot(task.outcome.name, number, len(tasks))
                if not self._run_shot(task, engines, report):
                    return
        finally:
            engines.close_unused(now=True)

    def _run_shot(self, task: _Task, engines: EngineCache, report: Report) -> bool:
        """Do a shot; returns False if the batch ends with it."""
        outcome, before = task.outcome, self.pace.frames
        recorder = _Recorder(report, outcome, self.pace)
        session = RunSession(recorder, previews=self._previews, engine=engines.lend)
        code = session.run(lambda: task.shot, overwrite=self._overwrite)
        outcome.end(code, early=session.failure is not None)
        self.pace.given_up += max(0, task.frames - (self.pace.frames - before))
        self._report.ended(outcome)
        self._changed()
        if session.failure is not None:
            engines.close_unused(now=True)  # a failed engine must not affect the next shot
        return not session.interrupted and (session.failure is None or self._keep_going)


@dataclass(frozen=True)
class _Task:
    """A shot to do."""

    shot: Shot
    frames: int
    """Number of frames that its run reports if nothing ends it early."""
    outcome: Outcome


def _before(one: CheckedShot) -> Outcome:
    outcome = Outcome(name=one.name, source=one.source)
    outcome.output = None if one.shot is None else one.shot.output
    if one.problems:
        outcome.state, outcome.exit_code = "cannot run", one.exit_code
        outcome.errors = list(one.problems)
    return outcome


def _by_engine(tasks: Sequence[_Task]) -> list[_Task]:
    """Sort shots so that equal engine settings follow each other; the first come first."""
    groups: dict[EngineSettings, list[_Task]] = {}
    for task in tasks:
        groups.setdefault(task.shot.settings.engine, []).append(task)
    return [task for group in groups.values() for task in group]


class _Recorder:
    """A shot's report, which also keeps the outcome and counts for the whole batch."""

    def __init__(self, inner: Report, outcome: Outcome, pace: BatchPace) -> None:
        self._inner, self._outcome, self._pace = inner, outcome, pace

    def start(self, run: AnyRun) -> None:
        self._outcome.notes += run.plan.notes
        self._inner.start(run)

    def fit(self, progress: FitProgress) -> None:
        self._inner.fit(progress)

    def frame(self, result: FrameResult, pace: Pace) -> None:
        self._pace.add(result)
        if result.error is not None:
            self._outcome.failed.append(result)
        self._inner.frame(result, self._pace)

    def note(self, text: str) -> None:
        self._outcome.notes.append(text)
        self._inner.note(text)

    def error(self, error: VfxmatteError) -> None:
        self._outcome.errors.append(error)
        self._inner.error(error)

    def end(self, totals: Totals) -> None:
        self._outcome.totals = totals
        self._inner.end(totals)

    def close(self) -> None:
        self._inner.close()
