"""A sheet of enlarged details, at the places where the mattes of several engines differ most.

It shows alpha, and the composite over a checker and over grey, side by side and without smoothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.review.preview import (
    PAPER,
    caption_bar,
    checker,
    framed,
    grey_picture,
    over,
    tinted,
    to_display,
    write_png,
)
from vfxmatte.types import UNKNOWN, FloatImage, Labels, Picture

CELL_PX = 240
TRUTH = "truth"

_GREY = 0.18
_SMALLEST_PX, _LARGEST_PX = 48, 256


@dataclass(frozen=True, kw_only=True)
class Place:
    """A rectangle of a frame, in pixels from the upper left corner of its canvas."""

    number: int
    """Frame number."""
    left: int
    """First column."""
    top: int
    """First row."""
    width: int
    """Number of columns."""
    height: int
    """Number of rows."""
    score: float
    """Sum of the differences between the mattes."""

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns, for indexing."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)

    def overlaps(self, other: Place) -> bool:
        """Return True if they share pixels, ignoring the frame numbers."""
        beside = abs(self.left - other.left) >= self.width
        return not beside and abs(self.top - other.top) < self.height


@dataclass(frozen=True, kw_only=True, eq=False)
class Detail:
    """The pixels at a place."""

    place: Place
    """The rectangle."""
    linear: FloatImage
    """(h, w, 3) float32 scene-linear plate."""
    labels: Labels
    """(h, w) uint8 trimap."""
    mattes: Mapping[str, FloatImage]
    """(h, w) alpha by engine; the truth, if known, under `TRUTH`."""


def find_places(
    number: int, mattes: Sequence[FloatImage], labels: Labels, count: int
) -> list[Place]:
    """Return up to `count` separate places where the mattes differ most, best first.

    A single matte is most interesting where it is neither 0 nor 1.
    """
    height, width = labels.shape
    side = int(np.clip(height // 5, _SMALLEST_PX, _LARGEST_PX))
    rows, columns = min(side, height), min(side, width)
    interest = _interest(mattes) * (labels == UNKNOWN)
    places = []
    for _ in range(count):
        sums = _window_sums(interest, rows, columns)
        top, left = np.unravel_index(int(np.argmax(sums)), sums.shape)
        score = float(sums[top, left])
        if score <= 0:
            break
        place = Place(
            number=number, left=int(left), top=int(top), width=columns, height=rows, score=score
        )
        places.append(place)
        interest[place.slices] = 0
    return places


def _interest(mattes: Sequence[FloatImage]) -> NDArray[np.float64]:
    if len(mattes) > 1:
        spread: NDArray[np.float64] = np.stack(mattes).astype(np.float64).std(axis=0)
        return spread
    return np.asarray(mattes[0] * (1 - mattes[0]), np.float64)


def _window_sums(values: NDArray[np.float64], rows: int, columns: int) -> NDArray[np.float64]:
    """Return the sum of every window of that size, by its upper left corner."""
    total = cv2.integral(values)
    return np.asarray(
        total[rows:, columns:] - total[:-rows, columns:] - total[rows:, :-columns]
        + total[:-rows, :-columns]
    )  # fmt: skip


def write_sheet(details: Sequence[Detail], names: Sequence[str], path: Path) -> Path:
    """Write a PNG with a column per engine, and three rows per detail.

    The rows show alpha, and composites over a checker and over grey; the first column shows the
    plate and the trimap. Raises OutputError; ValueError without details.
    """
    if not details:
        raise ValueError("a sheet needs at least one detail")
    columns = [*([TRUTH] if TRUTH in details[0].mattes else []), *names]
    rows = [row for detail in details for row in _rows(detail, columns)]
    return write_png(np.concatenate(rows), path)


def _rows(detail: Detail, names: Sequence[str]) -> Iterator[Picture]:
    place, plate = detail.place, to_display(detail.linear)
    where = f"{place.number} at {place.left},{place.top}"
    squares, grey = checker(plate.shape), np.full(detail.linear.shape, _GREY, np.float32)
    rows = (
        [(where, plate), *((_title(detail, name), _alpha(detail, name)) for name in names)],
        [("trimap", tinted(plate, detail.labels))]
        + [("over checker", _composite(detail, name, squares)) for name in names],
        [("", np.full_like(plate, PAPER))]
        + [("over grey", _composite(detail, name, grey)) for name in names],
    )
    for row in rows:
        yield np.concatenate([_cell(text, picture) for text, picture in row], axis=1)


def _title(detail: Detail, name: str) -> str:
    """Return the engine's name, with its mean squared error here if the truth is known."""
    truth, alpha = detail.mattes.get(TRUTH), detail.mattes.get(name)
    if alpha is None:
        return f"{name}: failed"
    unknown = detail.labels == UNKNOWN
    if truth is None or name == TRUTH or not unknown.any():
        return name
    return f"{name}  mse {float(np.square(alpha - truth)[unknown].mean()):.4f}"


def _alpha(detail: Detail, name: str) -> Picture:
    alpha = detail.mattes.get(name)
    return grey_picture(np.zeros(detail.labels.shape, np.float32) if alpha is None else alpha)


def _composite(detail: Detail, name: str, ground: FloatImage) -> Picture:
    alpha = detail.mattes.get(name)
    if alpha is None:
        return np.zeros((*detail.labels.shape, 3), np.uint8)
    return to_display(over(detail.linear * alpha[:, :, None], alpha, ground))


def _cell(text: str, picture: Picture) -> Picture:
    """Enlarge by a whole factor where that fits, and add a caption."""
    scale = max(CELL_PX / max(picture.shape[:2]), 0.05)
    scale = float(round(scale)) if scale >= 1.5 else scale
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    how = cv2.INTER_NEAREST if scale >= 1 else cv2.INTER_AREA
    enlarged = np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)
    return framed(np.concatenate((caption_bar(text, size[0]), enlarged)))
