"""Frames that were measured one by one, printed as they come and as a table at the end."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeVar

import click
from rich.table import Table

from vfxmatte.cli.group import DONE, NOTHING_DONE, SOME_FAILED
from vfxmatte.errors import VfxmatteError
from vfxmatte.journal.error_log import logged
from vfxmatte.reporting.events import error_values


class Measured(Protocol):
    """One frame's figures, or why there are none."""

    @property
    def error(self) -> VfxmatteError | None: ...


Frame = TypeVar("Frame", bound=Measured)


def print_measured(
    frames: Iterable[Frame],
    *,
    plain: Callable[[Frame], dict[str, Any]],
    report: Callable[[list[Frame]], None],
    as_json: bool,
) -> int:
    """Measure frames, print them as JSON, then the report and the failures; return the exit code.

    Args:
        frames: measured as they are iterated.
        plain: returns a frame's values for JSON.
        report: prints the means, or the table with them; called with what was measured, whatever
            ended the loop, unless that is nothing.
    """
    measured: list[Frame] = []
    try:
        for frame in frames:
            measured.append(frame)
            if as_json:
                click.echo(json.dumps({"event": "frame", **plain(frame)}))
    finally:
        if measured:
            report(measured)
        errors = [frame.error for frame in measured if frame.error is not None]
        for error in errors:
            click.echo(f"failed: {logged(error)}", err=True)
    if not errors:
        return DONE
    return NOTHING_DONE if len(errors) == len(measured) else SOME_FAILED


def error_field(frame: Measured) -> dict[str, Any]:
    """Return the error of a frame for JSON; nothing without one."""
    return {} if frame.error is None else {"error": error_values(frame.error)}


def table_of(columns: Sequence[str], rows: Iterable[Sequence[str]], means: Sequence[str]) -> Table:
    """Make a table with a row a frame and the means below.

    Args:
        columns: headings after that of the frame number.
        rows, means: a text for the frame, and one a column.
    """
    table = Table(box=None, pad_edge=False)
    table.add_column("frame")
    for name in columns:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    table.add_section()
    table.add_row(*means)
    return table
