"""What a run says while it goes on: a progress display, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import json
from typing import Any, Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from vfxmatte.cli.pace import Pace, clock_text
from vfxmatte.cli.totals import Totals
from vfxmatte.errors import VfxmatteError
from vfxmatte.pipeline import Run
from vfxmatte.types import FrameResult, numbers_as_text


class Report(Protocol):
    """Told what happens, in this order: start, frame…, note…, error?, end; then closed."""

    def start(self, run: Run) -> None: ...
    def frame(self, result: FrameResult, pace: Pace) -> None: ...
    def note(self, text: str) -> None: ...
    def error(self, error: VfxmatteError) -> None: ...
    def end(self, totals: Totals) -> None: ...
    def close(self) -> None: ...


def make_report(*, as_json: bool, quiet: bool) -> Report:
    """JSON lines, nothing but errors, or a display that fits where the output goes."""
    if as_json:
        return JsonReport()
    if quiet:
        return QuietReport()
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    return ProgressReport(console) if console.is_terminal else LineReport(console)


def emit(event: str, **values: Any) -> None:
    """One line of JSON on stdout."""
    click.echo(json.dumps({"event": event, **values}, ensure_ascii=False))


def error_values(error: VfxmatteError) -> dict[str, Any]:
    """An error as plain values; what is not known is null."""
    return {
        "kind": type(error).__name__,
        "message": error.what,
        "shot": error.shot,
        "frame": error.frame,
        "path": error.path,
        "hint": error.hint,
        "exit_code": error.exit_code,
    }


class JsonReport:
    """Events as JSON lines on stdout: start, frame, note, error, totals."""

    def start(self, run: Run) -> None:
        info = run.plate.info
        emit(
            "start",
            shot=run.shot.name,
            plate=str(run.shot.plate),
            description=str(info),
            colorspace=info.colour_space,
            colorspace_reason=info.colour_reason,
            frames=numbers_as_text(run.plan.numbers),
            count=len(run.plan.numbers) + len(run.plan.skipped),
            keyframes=list(run.plan.keyframes),
            output=str(run.shot.output),
            notes=list(run.plan.notes),
        )

    def frame(self, result: FrameResult, pace: Pace) -> None:
        emit(
            "frame",
            frame=result.number,
            status=result.status,
            path=None if result.path is None else str(result.path),
            error=None if result.error is None else error_values(result.error),
            stats=dict(result.stats),
        )

    def note(self, text: str) -> None:
        emit("note", text=text)

    def error(self, error: VfxmatteError) -> None:
        emit("error", **error_values(error))

    def end(self, totals: Totals) -> None:
        emit("totals", **totals.as_dict())

    def close(self) -> None:
        return


class QuietReport:
    """Failures on stderr, and nothing else."""

    def start(self, run: Run) -> None:
        return

    def frame(self, result: FrameResult, pace: Pace) -> None:
        if result.error is not None:
            click.echo(f"frame {result.number} failed: {result.error}", err=True)

    def note(self, text: str) -> None:
        return

    def error(self, error: VfxmatteError) -> None:
        click.echo(f"error: {error}", err=True)

    def end(self, totals: Totals) -> None:
        return

    def close(self) -> None:
        return


class LineReport(QuietReport):
    """Plain lines, for logs: one a frame."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._total = 0

    def start(self, run: Run) -> None:
        self._total = len(run.plan.numbers) + len(run.plan.skipped)
        for line in run_lines(run):
            self.console.print(line)

    def frame(self, result: FrameResult, pace: Pace) -> None:
        super().frame(result, pace)
        share = 100 * pace.frames // max(1, self._total)
        stage = f", slowest {pace.slowest_stage}" if pace.slowest_stage else ""
        left = clock_text(pace.seconds_left(self._total - pace.frames))
        self.console.print(
            f"{result.number} {result.status}  {pace.frames}/{self._total} {share}%  "
            f"{pace.fps:.2f} fps, {left} left{stage}"
        )

    def note(self, text: str) -> None:
        self.console.print(text)

    def end(self, totals: Totals) -> None:
        for line in totals.lines():
            self.console.print(line)


class ProgressReport(QuietReport):
    """A display that moves: frames done, frames a second, time left, the slowest stage."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.progress = Progress(
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._total = 0

    def start(self, run: Run) -> None:
        self._total = len(run.plan.numbers) + len(run.plan.skipped)
        for line in run_lines(run):
            self.console.print(line)
        self.progress.start()
        self._task = self.progress.add_task("following the keyframes", total=self._total)

    def frame(self, result: FrameResult, pace: Pace) -> None:
        if result.error is not None:
            self.console.print(f"frame {result.number} failed: {result.error}")
        if self._task is None:
            return
        fps = f"{pace.steady_fps:.2f} fps" if pace.steady_fps else ""
        left = f"{clock_text(pace.seconds_left(self._total - pace.frames))} left"
        stage = f"slowest: {pace.slowest_stage}" if pace.slowest_stage else ""
        said = "  ".join(part for part in (fps, left, stage) if part)
        self.progress.update(self._task, completed=pace.frames, description=said)

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


def run_lines(run: Run) -> list[str]:
    """What was found and will be done, before the first frame."""
    info, plan = run.plate.info, run.plan
    return [
        f"shot       {run.shot.name}",
        f"plate      {info}",
        f"colour     {info.colour_space} ({info.colour_reason})",
        f"keyframes  {numbers_as_text(plan.keyframes)}",
        f"to do      frames {numbers_as_text(plan.numbers)} into {run.shot.output}",
        *(f"note       {note}" for note in plan.notes),
    ]
