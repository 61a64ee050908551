"""The cost of a frame against its unknown area, as a picture: a line for each mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vfxmatte.errors import OutputError
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.types import Picture

_WIDTH, _HEIGHT = 960, 480
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 180, 48, 58
_INK, _FAINT = (60, 60, 60), (226, 226, 226)
_COLOURS = {
    "plain": (130, 130, 130),
    "dense": (190, 105, 30),
    "exact": (95, 150, 40),
    "fast": (30, 110, 235),
}

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]


def costs(rows: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> dict[str, Points]:
    """By mode (unknown share, seconds a frame), ascending, at one size."""
    found: dict[str, Points] = {}
    for row in rows:
        if (row["width"], row["height"]) == size and row["seconds_per_frame"] is not None:
            point = row["unknown_share"], row["seconds_per_frame"]["median"]
            found.setdefault(row["mode"], []).append(point)
    return {mode: sorted(points) for mode, points in found.items()}


def write_plot(lines: Mapping[str, Points], title: str, path: Path) -> Path:
    """Draw the lines into a PNG; raises OutputError, ValueError without a point."""
    encoded = cv2.imencode(".png", draw(lines, title))[1].tobytes()
    try:
        with renamed_when_whole(path) as partial:
            partial.write_bytes(encoded)
    except OutputError as error:
        raise error.at(path=path) from error.__cause__
    return path


def draw(lines: Mapping[str, Points], title: str) -> Picture:
    """(H, W, 3) uint8 BGR. Both axes begin at 0, so that proportions can be seen."""
    points = [point for line in lines.values() for point in line]
    if not points:
        raise ValueError("there is nothing to draw")
    axes = _Axes(max(x for x, _ in points), max(y for _, y in points))
    picture = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    _write(picture, title, (_LEFT, 28), _INK, 0.55)
    _grid(picture, axes)
    for mode, line in lines.items():
        colour = _COLOURS.get(mode, _INK)
        at = [(axes.x(x), axes.y(y)) for x, y in line]
        cv2.polylines(picture, [np.array(at, np.int32)], False, colour, 2, cv2.LINE_AA)
        for point in at:
            cv2.circle(picture, point, 4, colour, -1, cv2.LINE_AA)
    _labels(picture, lines, axes)
    return picture


class _Axes:
    """From (share, seconds) to pixels."""

    def __init__(self, most_x: float, most_y: float) -> None:
        self.most_x, self.most_y = most_x * 1.03, max(most_y * 1.08, 1e-9)

    def x(self, value: float) -> int:
        return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * value / self.most_x)

    def y(self, value: float) -> int:
        return round(_HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / self.most_y)


def _grid(picture: Picture, axes: _Axes) -> None:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for value in _steps(axes.most_y):
        cv2.line(picture, (_LEFT, axes.y(value)), (right, axes.y(value)), _FAINT, 1)
        _write(picture, f"{value:g}", (24, axes.y(value) + 4))
    for value in _steps(axes.most_x * 100):
        x = axes.x(value / 100)
        cv2.line(picture, (x, _TOP), (x, bottom), _FAINT, 1)
        _write(picture, f"{value:g}", (x - 8, bottom + 20))
    cv2.rectangle(picture, (_LEFT, _TOP), (right, bottom), (150, 150, 150), 1)
    _write(picture, "unknown pixels, % of the frame", (_LEFT + 200, _HEIGHT - 14))
    _write(picture, "s", (8, _TOP + 4))


def _labels(picture: Picture, lines: Mapping[str, Points], axes: _Axes) -> None:
    """Each line's name at its right end, moved down where two would meet."""
    ends = sorted((axes.y(line[-1][1]), mode, line[-1][1]) for mode, line in lines.items())
    lowest = -100
    for y, mode, value in ends:
        lowest = max(y + 4, lowest + 18)
        at = (_WIDTH - _RIGHT + 12, lowest)
        _write(picture, f"{mode} {value:.3g} s", at, _COLOURS.get(mode, _INK), 0.5)


def _steps(most: float) -> list[float]:
    """Four to ten round steps from 0 to `most`."""
    size = 10.0 ** np.floor(np.log10(most / 4))
    size *= next(m for m in (1, 2, 5, 10) if most / (m * size) <= 10)
    return [number * float(size) for number in range(int(most / size) + 1)]


def _write(
    picture: Picture, text: str, at: tuple[int, int], colour: Colour = _INK, size: float = 0.42
) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
