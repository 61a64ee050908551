"""`vfxmatte evaluate --withhold`: judge a run by the artist's own keyframes."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from vfxmatte.cli.measured_frames import error_field, print_measured, table_of
from vfxmatte.common.wording import counted
from vfxmatte.errors import UsageError
from vfxmatte.pipeline.shot import Shot
from vfxmatte.review.withholding import WithheldFrame, Withholding
from vfxmatte.types import FrameList, Frames, numbers_as_text

INNER = "inner"
"""Value of --withhold that withholds the inner keyframes, each in turn."""

_FIGURES = ("fg_lost", "bg_won", "unknown", "holes", "leaks")
_COLUMNS = ("withheld", "fg lost %", "bg won %", "unknown ×", "holes %", "leaks %", "confidence")


def withhold(shot: Shot, named: Frames | None, *, as_json: bool) -> int:
    """Run a shot without some of its keyframes and print how it compares; returns the exit code.

    Args:
        named: the keyframes to withhold together; None for the inner ones in turn.
    """
    return print_measured(
        Withholding(shot=shot, named=named).frames(),
        plain=_plain,
        report=lambda frames: _report(shot, frames, as_json=as_json),
        as_json=as_json,
    )


def named_frames(withheld: str) -> Frames | None:
    """Parse the value of --withhold; None for the inner keyframes. Raises UsageError."""
    if withheld == INNER:
        return None
    try:
        return FrameList.parse(withheld)
    except UsageError as error:
        raise UsageError(
            f"--withhold {withheld!r}: {error.what}",
            hint="put SHOT before it, and write --withhold alone, or --withhold 1010,1020",
        ) from error


def _report(shot: Shot, frames: list[WithheldFrame], *, as_json: bool) -> None:
    """Print the means, or the table with them."""
    means = _means(frames)
    if as_json:
        click.echo(json.dumps({"event": "means", "frames": len(frames), **means}))
    else:
        Console().print(_table(frames, means))
        click.echo(f"{shot.name}: {counted(len(frames), 'keyframe')} withheld, compared with what")
        click.echo("was painted there, within 30 px of the painted band")


def _plain(frame: WithheldFrame) -> dict[str, Any]:
    values = dict.fromkeys(_FIGURES) if frame.score is None else asdict(frame.score)
    confidence = frame.confidence
    return {
        "frame": frame.number,
        "withheld": list(frame.withheld),
        **values,
        "confidence": None if confidence is None else round(confidence, 4),
        **error_field(frame),
    }


def _means(frames: list[WithheldFrame]) -> dict[str, float | None]:
    rows = [_plain(frame) for frame in frames]
    values = {name: [row[name] for row in rows if row[name] is not None] for name in _FIGURES}
    return {name: round(float(np.mean(v)), 2) if v else None for name, v in values.items()}


def _table(frames: list[WithheldFrame], means: dict[str, float | None]) -> Table:
    rows = []
    for frame in frames:
        values = _plain(frame)
        cells = (_cell(values[name]) for name in (*_FIGURES, "confidence"))
        rows.append([str(frame.number), numbers_as_text(frame.withheld), *cells])
    return table_of(_COLUMNS, rows, ["mean", "", *(_cell(means[name]) for name in _FIGURES)])


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
