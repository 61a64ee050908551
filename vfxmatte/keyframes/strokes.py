"""Strokes and polygons that say where the subject is: read from text and JSON, drawn as masks.

Coordinates are pixels from the upper left corner of what is displayed: 0,0 is the corner itself,
and the lower right one is WIDTH,HEIGHT.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.common.wording import counted
from vfxmatte.errors import UsageError
from vfxmatte.types import Mask, Window

_SHIFT = 4  # fractional bits of OpenCV's coordinates
_KEYS = ("foreground", "background", "polygons")
_WRITE = "write x,y,x,y… in pixels, and perhaps a radius: 320,180,350,260:8"
_EXAMPLE = (
    'write {"foreground": [{"points": [[320, 180], [350, 260]], "radius": 8}], '
    '"polygons": [[[180, 40], [500, 40], [500, 340]]]}'
)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A stroke, or a polygon's outline."""

    points: tuple[tuple[float, float], ...]
    """(x, y) in pixels."""
    radius: float | None = None
    """Half of a stroke's width in pixels; None for the default."""
    source: str
    """The name in errors: `--fg-stroke 2`, or `keys.json, foreground 2`."""

    def check(self, width: int, height: int, *, fewest: int) -> None:
        """Raise UsageError for too few points, or one outside of the picture."""
        if len(self.points) < fewest:
            points = counted(len(self.points), "point")
            raise UsageError(f"{self.source} has {points}, and needs {fewest} or more")
        for number, (x, y) in enumerate(self.points, start=1):
            if not (0 <= x <= width and 0 <= y <= height):
                raise UsageError(
                    f"{self.source}, point {number}: {x:g},{y:g} lies outside of the picture, "
                    f"which is {width}x{height}"
                )


@dataclass(frozen=True, kw_only=True)
class Hints:
    """The shapes that were drawn on a frame."""

    foreground: tuple[Shape, ...] = ()
    """Strokes on what is foreground for certain."""
    background: tuple[Shape, ...] = ()
    """Strokes on what is background for certain."""
    polygons: tuple[Shape, ...] = ()
    """Outlines, outside of which all is background for certain."""

    def __add__(self, other: Hints) -> Hints:
        return Hints(
            foreground=self.foreground + other.foreground,
            background=self.background + other.background,
            polygons=self.polygons + other.polygons,
        )

    def __bool__(self) -> bool:
        return bool(self.foreground or self.background or self.polygons)

    def check(self, width: int, height: int) -> None:
        """Raise UsageError that names a shape, and its point, that does not fit the picture."""
        for stroke in self.foreground + self.background:
            stroke.check(width, height, fewest=1)
        for polygon in self.polygons:
            polygon.check(width, height, fewest=3)

    def masks(self, window: Window, canvas: Window) -> tuple[Mask, Mask, Mask]:
        """Draw everything: foreground, background and inside of polygons, (H, W) bool each.

        Args:
            window: the display window, where coordinates begin.
            canvas: what the masks cover.

        Raises:
            UsageError: a shape does not fit the picture, a polygon is empty, or strokes of
                foreground and background overlap.
        """
        self.check(window.width, window.height)
        offset = window.x_min - canvas.x_min, window.y_min - canvas.y_min
        radius = default_radius(window.height)
        foreground, background = (
            _union((_stroke(s, radius, offset, canvas.shape) for s in strokes), canvas.shape)
            for strokes in (self.foreground, self.background)
        )
        inside = _union((_polygon(p, offset, canvas.shape) for p in self.polygons), canvas.shape)
        _refuse_overlap(foreground & background, offset)
        return foreground, background, inside


def default_radius(height: int) -> float:
    """Return the radius of strokes without one: 0.6 % of the picture's height."""
    return max(1.5, 0.006 * height)


def parsed_shape(text: str, source: str) -> Shape:
    """Parse `x,y,x,y…` with `:radius` or without; raises UsageError."""
    coordinates, colon, radius = text.partition(":")
    words = [word for word in re.split(r"[,;\s]+", coordinates.strip()) if word]
    numbers = [_number(word, source) for word in words]
    if not numbers or len(numbers) % 2:
        raise UsageError(
            f"{source} has {counted(len(numbers), 'number')}: each point is an x and a y",
            hint=_WRITE,
        )
    points = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    return Shape(
        points=points, radius=_radius(radius.strip(), source) if colon else None, source=source
    )


def read_hints(path: Path) -> Hints:
    """Read strokes and polygons from JSON; raises UsageError that names file, shape and point."""
    try:
        content = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"these strokes cannot be read: {error}", path=path, hint=_EXAMPLE
        ) from error
    try:
        return _hints(content, path.name)
    except UsageError as error:
        raise error.at(path=path) from error.__cause__


def _hints(content: Any, file: str) -> Hints:
    if not isinstance(content, Mapping):
        raise UsageError("strokes are a JSON object", hint=_EXAMPLE)
    unknown = [str(key) for key in content if key not in _KEYS]
    if unknown:
        raise UsageError(
            f"there is no {' and no '.join(unknown)} in a file of strokes",
            hint=f"keys: {', '.join(_KEYS)}",
        )
    return Hints(**{key: tuple(_shapes(content.get(key, []), key, file)) for key in _KEYS})


def _shapes(records: Any, key: str, file: str) -> Iterator[Shape]:
    if not isinstance(records, list):
        raise UsageError(f"{key} is a list of shapes", hint=_EXAMPLE)
    for number, record in enumerate(records, start=1):
        source = f"{file}, {key} {number}"
        values = record if isinstance(record, Mapping) else {"points": record}
        if not set(values) <= {"points", "radius"} or not isinstance(values.get("points"), list):
            raise UsageError(f"{source} is no shape: {record!r:.80}", hint=_EXAMPLE)
        radius = values.get("radius")
        yield Shape(
            points=tuple(_point(p, n, source) for n, p in enumerate(values["points"], start=1)),
            radius=None if radius is None else _radius(radius, source),
            source=source,
        )


def _point(value: Any, number: int, source: str) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise UsageError(f"{source}, point {number} is not [x, y]: {value!r:.80}", hint=_EXAMPLE)
    x, y = (_number(part, f"{source}, point {number}") for part in value)
    return x, y


def _number(value: Any, source: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"{source}: {value!r} is not a number", hint=_WRITE)
    return number


def _radius(value: Any, source: str) -> float:
    radius = _number(value, f"{source}, radius")
    if radius <= 0:
        raise UsageError(f"{source}: a radius is above 0, found {radius:g}")
    return radius


def _union(masks: Iterator[Mask], shape: tuple[int, int]) -> Mask:
    union = np.zeros(shape, bool)
    for mask in masks:
        union |= mask
    return union


def _stroke(stroke: Shape, radius: float, offset: tuple[int, int], shape: tuple[int, int]) -> Mask:
    """Draw a line with round ends, or a dot."""
    corners = stroke.points if len(stroke.points) > 1 else stroke.points * 2
    points = np.asarray(corners) + offset - 0.5  # OpenCV counts from pixels' centres
    fixed = np.rint(points * (1 << _SHIFT)).astype(np.int32)
    width = max(1, round(2 * (radius if stroke.radius is None else stroke.radius)))
    mask = np.zeros(shape, np.uint8)
    cv2.polylines(mask, [fixed.reshape(-1, 1, 2)], False, (1,), width, cv2.LINE_8, _SHIFT)
    return mask > 0


def _polygon(polygon: Shape, offset: tuple[int, int], shape: tuple[int, int]) -> Mask:
    """Fill a polygon: all pixels whose centres lie in it, by the even-odd rule."""
    height, width = shape
    crossings = np.zeros((height, width + 1), np.int32)
    corners: NDArray[np.float64] = np.asarray(polygon.points, np.float64) + offset
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        (x0, y0), (x1, y1) = (start, end) if start[1] <= end[1] else (end, start)
        rows = np.arange(max(0, math.ceil(y0 - 0.5)), min(height, math.ceil(y1 - 0.5)))
        if len(rows):
            x = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            columns = np.ceil(x - 0.5).clip(0, width).astype(int)
            np.add.at(crossings, (rows, columns), 1)
    inside = np.asarray(crossings[:, :width].cumsum(axis=1) % 2 == 1)
    if not inside.any():
        raise UsageError(f"{polygon.source} is empty: no pixel lies in it")
    return inside


def _refuse_overlap(overlap: Mask, offset: Sequence[int]) -> None:
    if overlap.any():
        y, x = np.argwhere(overlap)[0]
        raise UsageError(
            f"strokes of foreground and background overlap at {x - offset[0]},{y - offset[1]}",
            hint="move one of them, or give it a smaller radius",
        )
