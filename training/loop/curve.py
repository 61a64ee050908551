"""The curve of a run as a picture: the loss and the errors on held-out composites over the steps.

It is drawn from the CSV files of the run's folder into `curve.png`, on logarithmic scales, with a
line where a phase begins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from training.loop.logbook import ERRORS, LOSSES, Logbook, Rows
from vfxmatte.types import Picture

_WIDTH, _PANEL_HEIGHT = 960, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 24, 44, 34
_INK, _FAINT = (60, 60, 60), (226, 226, 226)
_BLUE, _PALE_BLUE, _ORANGE, _GREEN = (190, 105, 30), (235, 210, 185), (30, 110, 235), (95, 150, 40)
_SMOOTHING = 0.9  # decay of the smoothed loss

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of a panel."""

    points: Points
    """(step, value) with values above 0."""
    colour: Colour
    """Blue, green, red, 0 to 255."""
    label: str = ""


def draw_curve(folder: Path) -> Path | None:
    """Write `curve.png` into a run's folder; returns None while there is nothing to draw."""
    book = Logbook(folder)
    losses, errors = book.rows(LOSSES), book.rows(ERRORS)
    raw = _points(losses, "loss")
    panels = [
        ("training loss", [Line(points=raw, colour=_PALE_BLUE),
                           Line(points=smoothed(raw), colour=_BLUE, label="smoothed")]),
        ("held-out error, unknown region",
         [Line(points=_points(errors, "mad"), colour=_ORANGE, label="MAD"),
          Line(points=_points(errors, "mse"), colour=_GREEN, label="MSE")]),
    ]  # fmt: skip
    steps = [step for _, lines in panels for line in lines for step, _ in line.points]
    if not steps:
        return None
    last, marks = max(*steps, 1), _phase_starts(losses)
    picture = np.concatenate([_panel(title, lines, last, marks) for title, lines in panels])
    path = folder / "curve.png"
    cv2.imwrite(str(path), picture)
    return path


def smoothed(points: Points) -> Points:
    """Smooth by an exponential mean, corrected for its start at 0."""
    mean, weight, means = 0.0, 0.0, []
    for step, value in points:
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * value
        weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        means.append((step, mean / weight))
    return means


def _points(rows: Rows, column: str) -> Points:
    points = [(float(row["step"]), float(row[column] or "nan")) for row in rows]
    return [(step, value) for step, value in points if math.isfinite(value) and value > 0]


def _phase_starts(rows: Rows) -> Points:
    """Return (step, 0) where the phase differs from the row before."""
    return [(float(after["step"]), 0.0) for before, after in pairwise(rows)
            if before["phase"] != after["phase"]]  # fmt: skip


def _panel(title: str, lines: Sequence[Line], last: float, marks: Points) -> Picture:
    picture = np.full((_PANEL_HEIGHT, _WIDTH, 3), 255, np.uint8)
    _write(picture, title, (_LEFT, 26), _INK, 0.55)
    values = [value for line in lines for _, value in line.points]
    if not values:
        return picture
    low, high = _limits(values)
    _grid(picture, low, high, last)
    for step, _ in marks:
        x = _at_x(step, last)
        cv2.line(picture, (x, _TOP), (x, _PANEL_HEIGHT - _BOTTOM), (170, 170, 170), 1)
    for number, line in enumerate(lines):
        at = [(_at_x(step, last), _at_y(value, low, high)) for step, value in line.points]
        cv2.polylines(picture, [np.array(at, np.int32)], False, line.colour, 2, cv2.LINE_AA)
        cv2.circle(picture, at[-1], 3, line.colour, -1, cv2.LINE_AA)
        if line.label:
            label = f"{line.label} {line.points[-1][1]:.4f}"
            _write(picture, label, (_WIDTH - 170 * (len(lines) - number) - 20, 26), line.colour)
    return picture


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Return limits slightly below the least and above the greatest value."""
    return min(values) / 1.1, max(values) * 1.1


def _grid(picture: Picture, low: float, high: float, last: float) -> None:
    bottom, right = _PANEL_HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for value in _ticks(low, high):
        y = _at_y(value, low, high)
        cv2.line(picture, (_LEFT, y), (right, y), _FAINT, 1)
        _write(picture, f"{value:g}", (10, y + 4), _INK)
    for step in _steps(last):
        x = _at_x(step, last)
        cv2.line(picture, (x, _TOP), (x, bottom), _FAINT, 1)
        _write(picture, f"{step:g}" if step < 1e4 else f"{step / 1000:g}k", (x - 14, bottom + 20))
    cv2.rectangle(picture, (_LEFT, _TOP), (right, bottom), (150, 150, 150), 1)


def _ticks(low: float, high: float) -> list[float]:
    """Return 1, 2, 5 times powers of ten within the limits, more where the range is narrow."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    fine = (1, 2, 5) if high / low > 4 else (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
    return [m * 10.0**p for p in powers for m in fine if low <= m * 10.0**p <= high]


def _steps(last: float) -> list[float]:
    """Return five to ten round steps up to `last`."""
    size = 10.0 ** math.floor(math.log10(last / 5)) if last >= 5 else 1.0
    size *= next(m for m in (1, 2, 5, 10) if last / (m * size) <= 10)
    return [number * size for number in range(int(last / size) + 1)]


def _at_x(step: float, last: float) -> int:
    return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * step / last)


def _at_y(value: float, low: float, high: float) -> int:
    height = _PANEL_HEIGHT - _TOP - _BOTTOM
    return round(_TOP + height * math.log(high / value) / math.log(high / low))


def _write(
    picture: Picture, text: str, at: tuple[int, int], colour: Colour = _INK, size: float = 0.42
) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
