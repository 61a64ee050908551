"""The output of `vfxmatte batch`: lines with one progress over all shots, or JSON events."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from vfxmatte.batch.checked import CheckedShot
from vfxmatte.batch.outcome import Outcome
from vfxmatte.batch.pace import BatchPace
from vfxmatte.cli.report import make_report
from vfxmatte.common.wording import counted, frames_text
from vfxmatte.errors import VfxmatteError
from vfxmatte.reporting.events import JsonReport, Report, emit, error_values
from vfxmatte.reporting.inspection import as_plain
from vfxmatte.types import numbers_as_text


class ScreenReport:
    """Lines on the terminal; with `quiet`, failures only."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet, self._refused = quiet, False
        self._shots = make_report(as_json=False, quiet=quiet)

    def begin(self, frames: int, pace: BatchPace) -> None:
        """Begin the runs, with the number of frames of all shots."""
        self._shots = make_report(as_json=False, quiet=self._quiet, total=frames)

    def of_shot(self, name: str, number: int, count: int) -> Report:
        """Return the report of one shot's run."""
        self.line(f"\n-- {name}, shot {number} of {count} --")
        return self._shots

    def line(self, text: str) -> None:
        """Print a line, unless only failures are wanted."""
        if not self._quiet:
            click.echo(text)

    def note(self, text: str) -> None:
        self.line(f"note       {text}")

    def problem(self, error: VfxmatteError) -> None:
        """Print an error that ends nothing."""
        click.echo(f"error: {error}", err=True)

    def checked(self, one: CheckedShot) -> None:
        """Print what was found out about a shot, as soon as it is."""
        self.line(f"{one.name:<10} {_state(one)}")
        for problem in one.problems:
            self.problem(problem)

    def ended(self, outcome: Outcome) -> None:
        return

    def refused(self, bad: Sequence[str], good: int) -> None:
        """Print why no shot was begun."""
        self._refused = True
        others = "other shot" if good == 1 else f"other {good} shots"
        them = "it" if len(bad) == 1 else "them"
        hint = f"\n  put {them} right, or give --keep-going to do the {others}" if good else ""
        click.echo(f"nothing was begun: {', '.join(bad)} cannot run{hint}", err=True)

    def end(self, outcomes: Sequence[Outcome], code: int, files: Sequence[str]) -> None:
        """Print how the shots ended, those that are not whole by name and with the reasons."""
        if not self._refused:
            self._ends(outcomes)
        for name in files:
            self.line(f"report     {name}")

    def _ends(self, outcomes: Sequence[Outcome]) -> None:
        done = sum(outcome.state == "done" for outcome in outcomes)
        self.line(f"\n{done} of {counted(len(outcomes), 'shot')} done")
        for outcome in outcomes:
            if outcome.state == "done":
                continue
            click.echo(f"{outcome.state:<18} {outcome.name}", err=outcome.exit_code > 0)
            for reason in outcome.reasons:
                click.echo(f"  {reason}", err=True)
        if any(outcome.state in ("not started", "stopped") for outcome in outcomes):
            self.line("the same command goes on from here")


class JsonEvents:
    """One JSON object a line: those of `run`, each with its shot, between those of the batch."""

    def __init__(self) -> None:
        self._frames, self._pace = 0, BatchPace()

    def begin(self, frames: int, pace: BatchPace) -> None:
        self._frames, self._pace = frames, pace

    def of_shot(self, name: str, number: int, count: int) -> Report:
        return JsonReport(partial(self._emit, name))

    def _emit(self, name: str, event: str, **values: Any) -> None:
        """Emit an event of a shot's run; frames and fits come with the progress of the whole
        batch."""
        if event in ("frame", "fit"):
            left = self._pace.seconds_left(self._frames - self._pace.frames)
            values["batch"] = {
                "frames": self._pace.frames,
                "count": self._frames,
                "seconds_left": left,
            }
        emit(event, **{**values, "shot": name})

    def note(self, text: str) -> None:
        emit("note", text=text)

    def problem(self, error: VfxmatteError) -> None:
        emit("error", **error_values(error))

    def checked(self, one: CheckedShot) -> None:
        values = {} if one.inspection is None else as_plain(one.inspection)
        own = {
            "shot": one.name,
            "source": one.source,
            "problems": [str(problem) for problem in one.problems],
            "exit_code": one.exit_code,
        }
        emit(**{"event": "check", **values, **own})

    def ended(self, outcome: Outcome) -> None:
        emit("shot", **outcome.as_plain())

    def refused(self, bad: Sequence[str], good: int) -> None:
        emit("refused", cannot_run=list(bad), others=good)

    def end(self, outcomes: Sequence[Outcome], code: int, files: Sequence[str]) -> None:
        emit(
            "end",
            states={outcome.name: outcome.state for outcome in outcomes},
            exit_codes={outcome.name: outcome.exit_code for outcome in outcomes},
            files=list(files),
            exit_code=code,
        )


def _state(one: CheckedShot) -> str:
    """Return what is to do for a shot, in words."""
    inspection = one.inspection
    if one.problems or inspection is None or inspection.plan is None:
        return "cannot run"
    frames = counted(one.frames, "frame")
    text = f"{one.to_do} of {frames} to do ({numbers_as_text(inspection.plan.numbers)})"
    unreadable = () if inspection.plate is None else inspection.plate.unreadable
    if unreadable:
        text += f"; {frames_text(unreadable)} cannot be read"
    return text


BatchScreen = ScreenReport | JsonEvents
