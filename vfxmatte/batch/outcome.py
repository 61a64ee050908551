"""The end of a batch's shot: done, failed, skipped or cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vfxmatte.common.exit_codes import DONE, INTERRUPTED, SOME_FAILED
from vfxmatte.common.wording import frames_text
from vfxmatte.errors import VfxmatteError
from vfxmatte.reporting.events import error_values
from vfxmatte.reporting.totals import Totals
from vfxmatte.types import FrameResult

State = Literal[
    "done",
    "some frames failed",
    "no preview",
    "ended early",
    "failed",
    "cannot run",
    "not started",
    "stopped",
]


@dataclass(kw_only=True)
class Outcome:
    """The end of one shot, or why it was not begun."""

    name: str
    source: str
    state: State = "not started"
    exit_code: int = DONE
    output: Path | None = None
    """Folder of the results."""
    totals: Totals | None = None
    """None for a shot that was not begun."""
    errors: list[VfxmatteError] = field(default_factory=list)
    """Why it cannot run, what ended it, or which preview could not be made."""
    failed: list[FrameResult] = field(default_factory=list)
    """Frames that failed, with their errors."""
    notes: list[str] = field(default_factory=list)

    def end(self, exit_code: int, *, early: bool) -> None:
        """Set the exit code of the shot's run, and the state that it means.

        Args:
            early: whether an error ended the run before its last frame.
        """
        self.exit_code = exit_code
        if exit_code in (DONE, INTERRUPTED):
            self.state = "stopped" if exit_code else "done"
        elif exit_code != SOME_FAILED:
            self.state = "failed"
        elif early:
            self.state = "ended early"
        else:
            self.state = "some frames failed" if self.failed else "no preview"

    @property
    def reasons(self) -> list[str]:
        """A sentence for each reason why the shot is not whole; frames that failed alike share
        one."""
        alike: dict[str, list[FrameResult]] = {}
        for result in self.failed:
            alike.setdefault("" if result.error is None else result.error.what, []).append(result)
        return [str(error) for error in self.errors] + [
            f"{frames_text([result.number for result in results])}: {results[0].error}"
            for results in alike.values()
        ]

    def as_plain(self) -> dict[str, Any]:
        """Return the values for JSON."""
        totals = self.totals
        return {
            "shot": self.name,
            "source": self.source,
            "state": self.state,
            "exit_code": self.exit_code,
            "output": None if self.output is None else str(self.output),
            "totals": None if totals is None else totals.as_dict(),
            "reasons": self.reasons,
            "errors": [error_values(error) for error in self.errors],
            "failed_frames": [
                {
                    "frame": result.number,
                    "error": None if result.error is None else error_values(result.error),
                    "stale": None if result.stale is None else str(result.stale),
                }
                for result in self.failed
            ],
            "notes": list(self.notes),
        }


def worst_code(outcomes: Sequence[Outcome]) -> int:
    """Return the exit code of a batch: that of its worst shot, or of an interruption."""
    return max((outcome.exit_code for outcome in outcomes), default=DONE)
