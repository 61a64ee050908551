"""Reports of a run on the terminal: a progress display, plain lines, or failures only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from vfxmatte.common.wording import frames_text
from vfxmatte.errors import VfxmatteError
from vfxmatte.pipeline.plan import RunPlan
from vfxmatte.pipeline.subjects_run import AnyRun
from vfxmatte.reporting.events import JsonReport, Report
from vfxmatte.reporting.pace import Pace, clock_text
from vfxmatte.reporting.totals import Totals
from vfxmatte.types import FrameResult, numbers_as_text

if TYPE_CHECKING:
    from vfxmatte.fitting.fit import FitProgress

FIT_STEPS_A_LINE = 20
"""Steps of a fit between two lines of its progress."""
_FOLLOWING = "following the keyframes"


def make_report(
    *, as_json: bool, quiet: bool, openjd: bool = False, total: int | None = None
) -> Report:
    """Make a report: JSON lines, failures only, or a display that suits the terminal.

    Args:
        openjd: plain lines, with those that an Open Job Description session reads.
        total: number of frames of all runs together that the report receives one after another;
            None for a single run.
    """
    if openjd:
        return OpenjdReport(Console(highlight=False, soft_wrap=True, markup=False, emoji=False))
    if as_json:
        return JsonReport()
    if quiet:
        return QuietReport()
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    kind = ProgressReport if console.is_terminal else LineReport
    return kind(console, total)


class QuietReport:
    """A report of failures only, on stderr."""

    def start(self, run: AnyRun) -> None:
        return

    def fit(self, progress: FitProgress) -> None:
        return

    def frame(self, result: FrameResult, pace: Pace) -> None:
        if result.error is not None:
            click.echo(failure(result), err=True)

    def note(self, text: str) -> None:
        return

    def error(self, error: VfxmatteError) -> None:
        click.echo(f"error: {error}", err=True)

    def end(self, totals: Totals) -> None:
        return

    def close(self) -> None:
        return


class LineReport(QuietReport):
    """A report in plain lines for logs: one per frame."""

    def __init__(self, console: Console, total: int | None = None) -> None:
        self.console = console
        self._fixed_total = total
        self._total = 0

    def start(self, run: AnyRun) -> None:
        self._total = self._fixed_total or run.count
        for line in run_lines(run):
            self.console.print(line)

    def fit(self, progress: FitProgress) -> None:
        if progress.step % FIT_STEPS_A_LINE == 0 or progress.step == progress.steps:
            self.console.print(fit_line(progress))

    def frame(self, result: FrameResult, pace: Pace) -> None:
        super().frame(result, pace)
        share = 100 * pace.frames // max(1, self._total)
        stage = f", slowest {pace.slowest_stage}" if pace.slowest_stage else ""
        left = clock_text(pace.seconds_left(self._total - pace.frames))
        locked = " (locked)" if result.stats.get("locked") else ""
        self.console.print(
            f"{name_of(result)} {result.status}{locked}  {pace.frames}/{self._total} {share}%  "
            f"{pace.fps:.2f} fps, {left} left{stage}"
        )

    def note(self, text: str) -> None:
        self.console.print(text)

    def end(self, totals: Totals) -> None:
        for line in totals.lines():
            self.console.print(line)


class OpenjdReport(LineReport):
    """A report in plain lines, with progress, status and failures as an Open Job Description
    session reads them: https://github.com/OpenJobDescription/openjd-specifications/wiki/How-Jobs-Are-Run."""

    def frame(self, result: FrameResult, pace: Pace) -> None:
        super().frame(result, pace)
        if result.error is not None:
            print_openjd("fail", failure(result))
        print_openjd("progress", f"{100 * pace.frames / max(1, self._total):.1f}")
        print_openjd("status", f"frame {name_of(result)} {result.status}, {pace.fps:.2f} fps")

    def error(self, error: VfxmatteError) -> None:
        super().error(error)
        print_openjd("fail", str(error))


def print_openjd(kind: str, text: str) -> None:
    """Print a line that an Open Job Description session reads."""
    click.echo(f"openjd_{kind}: {' '.join(text.split())}")


def failure(result: FrameResult) -> str:
    """Format the error of a failed frame, and where its earlier matte is."""
    moved = "" if result.stale is None else f"\n  its matte of an earlier run is now {result.stale}"
    return f"frame {name_of(result)} failed: {result.error}{moved}"


def name_of(result: FrameResult) -> str:
    """Return a frame's number, with its subject if there are several."""
    return str(result.number) if result.subject is None else f"{result.number} {result.subject}"


class ProgressReport(QuietReport):
    """A progress bar: frames done, frames per second, time left, the slowest stage."""

    def __init__(self, console: Console, total: int | None = None) -> None:
        self.console = console
        self.progress = Progress(
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._fixed_total = total
        self._total = 0

    def start(self, run: AnyRun) -> None:
        self._total = self._fixed_total or run.count
        for line in run_lines(run):
            self.console.print(line)
        self.progress.start()
        if self._task is None:
            self._task = self.progress.add_task(_FOLLOWING, total=self._total)
        else:  # of the shot before, in a batch
            self.progress.update(self._task, description=_FOLLOWING)

    def fit(self, progress: FitProgress) -> None:
        if self._task is not None:
            is_over = progress.step == progress.steps
            description = _FOLLOWING if is_over else fit_line(progress)
            self.progress.update(self._task, description=description)

    def frame(self, result: FrameResult, pace: Pace) -> None:
        if result.error is not None:
            self.console.print(failure(result))
        if self._task is None:
            return
        fps = f"{pace.steady_fps:.2f} fps" if pace.steady_fps else ""
        left = f"{clock_text(pace.seconds_left(self._total - pace.frames))} left"
        stage = f"slowest: {pace.slowest_stage}" if pace.slowest_stage else ""
        description = "  ".join(part for part in (fps, left, stage) if part)
        self.progress.update(self._task, completed=pace.frames, description=description)

    def note(self, text: str) -> None:
        self.console.print(text)

    def error(self, error: VfxmatteError) -> None:
        self.close()
        super().error(error)

    def end(self, totals: Totals) -> None:
        self.close()
        for line in totals.lines():
            self.console.print(line)

    def close(self) -> None:
        self.progress.stop()


def fit_line(progress: FitProgress) -> str:
    """Format the progress of a fit to the shot."""
    name = f"{progress.subject}: " if progress.subject else ""
    steps = f"step {progress.step} of {progress.steps}"
    return f"{name}fitting to the shot: {steps}, error {progress.error:.3f}"


def control_lines(plan: RunPlan, subject: str | None = None) -> list[str]:
    """Return the lines on locked frames and finished, garbage and core mattes, if there are any.

    Args:
        subject: whose plan it is, where there are several.
    """
    finished = [number for number in plan.finished if number not in plan.locked]
    texts = {}
    if finished:
        texts["finished"] = frames_text(finished, ("has a matte", "have mattes"))
    if plan.locked:
        texts["locked"] = frames_text(plan.locked, ("stays as it is", "stay as they are"))
    texts.update(plan.limits.texts().items())
    name = f"{subject}: " if subject else ""
    return [f"{kind:<10} {name}{text}" for kind, text in texts.items()]


def run_lines(run: AnyRun) -> list[str]:
    """Return the lines before the first frame: what the shot has and what will be done."""
    info, plan = run.plate.info, run.plan
    return [
        f"shot       {run.shot.name}",
        f"plate      {info}",
        f"colour     {info.colour_space} ({info.colour_reason})",
        *(
            f"keyframes  {f'{name}: ' if name else ''}{numbers_as_text(one.plan.keyframes)}"
            for name, one in run.subject_runs.items()
        ),
        *(line for name, one in run.subject_runs.items() for line in control_lines(one.plan, name)),
        f"to do      {frames_text(plan.numbers)} into {run.shot.output}",
        *(f"note       {note}" for note in plan.notes),
    ]
