"""Data types shared by all packages: arrays, windows, frame ranges, frames, trimaps, mattes.

Frozen, keyword-only dataclasses that check shapes, dtypes and ranges when created, and print
shapes, never pixels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import UsageError, VfxmatteError

FloatImage = NDArray[np.float32]
"""Floats of any shape: a picture (H, W, 3), a plane or an alpha (H, W), a flow (H, W, 2)."""

HalfImage = NDArray[np.float16]
"""A picture in half precision, as EXR files store it."""

Floats = NDArray[np.float64]
"""Double precision, for what is solved or summed."""

Picture = NDArray[np.uint8]
"""8-bit RGB (H, W, 3), or one plane (H, W) of it."""

Labels = NDArray[np.uint8]
"""A trimap (H, W): 0 background, 128 unknown, 255 foreground."""

Mask = NDArray[np.bool_]
"""True inside, (H, W)."""

BACKGROUND = 0
UNKNOWN = 128
FOREGROUND = 255


@dataclass(frozen=True, kw_only=True)
class Window:
    """A pixel rectangle with inclusive corners, as in EXR: 1920×1080 is 0, 0, 1919, 1079."""

    x_min: int
    y_min: int
    x_max: int
    y_max: int

    def __post_init__(self) -> None:
        if self.x_max < self.x_min or self.y_max < self.y_min:
            raise ValueError(f"empty window {self}")

    @classmethod
    def of_size(cls, width: int, height: int) -> Window:
        """Create the window (0, 0) to (width - 1, height - 1)."""
        return cls(x_min=0, y_min=0, x_max=width - 1, y_max=height - 1)

    @property
    def width(self) -> int:
        return self.x_max - self.x_min + 1

    @property
    def height(self) -> int:
        return self.y_max - self.y_min + 1

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width), the shape of an array that covers the window."""
        return self.height, self.width

    def union(self, other: Window) -> Window:
        return Window(
            x_min=min(self.x_min, other.x_min),
            y_min=min(self.y_min, other.y_min),
            x_max=max(self.x_max, other.x_max),
            y_max=max(self.y_max, other.y_max),
        )

    def intersection(self, other: Window) -> Window | None:
        """Return the common part, or None."""
        x_min, y_min = max(self.x_min, other.x_min), max(self.y_min, other.y_min)
        x_max, y_max = min(self.x_max, other.x_max), min(self.y_max, other.y_max)
        if x_max < x_min or y_max < y_min:
            return None
        return Window(x_min=x_min, y_min=y_min, x_max=x_max, y_max=y_max)

    def contains(self, other: Window) -> bool:
        return self.intersection(other) == other

    def slices_in(self, outer: Window) -> tuple[slice, slice]:
        """Return the row and column slices of this window in an array that covers `outer`."""
        if not outer.contains(self):
            raise ValueError(f"{self} is not inside {outer}")
        top, left = self.y_min - outer.y_min, self.x_min - outer.x_min
        return slice(top, top + self.height), slice(left, left + self.width)

    def __str__(self) -> str:
        return f"({self.x_min} {self.y_min})-({self.x_max} {self.y_max})"


_RANGE = re.compile(r"^(-?\d{1,9})(?:-(-?\d{1,9})(?:x(\d{1,9}))?)?$", re.ASCII)
_MAX_FRAMES = 10_000_000  # nearly five days at 24 fps; a typing error must not exhaust memory


@dataclass(frozen=True, kw_only=True, eq=False)
class FrameRange:
    """Frame numbers from first to last in steps; `str()` and `parse()` round-trip.

    Ranges of the same frames are equal: `1-9x2` and `1-10x2`.
    """

    first: int
    last: int
    step: int = 1

    def __post_init__(self) -> None:
        if self.step < 1 or self.last < self.first:
            raise UsageError(
                f"frame range {self.first}-{self.last}x{self.step} is empty",
                hint="write FIRST-LAST or FIRST-LASTxSTEP, e.g. 1001-1100x2",
            )
        if (self.last - self.first) // self.step >= _MAX_FRAMES:
            raise UsageError(
                f"frame range {self} has more than {_MAX_FRAMES:,} frames",
                hint="write the frames of the plate",
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FrameRange) and self.as_range() == other.as_range()

    def __hash__(self) -> int:
        return hash(self.as_range())

    @classmethod
    def parse(cls, text: str) -> FrameRange:
        """Parse `1001`, `1001-1100` or `1001-1100x2`; raises UsageError otherwise."""
        match = _RANGE.match(text.strip())
        if match is None:
            raise UsageError(
                f"not a frame range: {text!r}",
                hint="write FIRST-LAST or FIRST-LASTxSTEP, e.g. 1001-1100x2",
            )
        first = int(match[1])
        last = first if match[2] is None else int(match[2])
        return cls(first=first, last=last, step=int(match[3] or 1))

    def as_range(self) -> range:
        return range(self.first, self.last + 1, self.step)

    def __iter__(self) -> Iterator[int]:
        return iter(self.as_range())

    def __len__(self) -> int:
        return len(self.as_range())

    def __contains__(self, number: object) -> bool:
        return number in self.as_range()

    def __str__(self) -> str:
        if self.first == self.last:
            return str(self.first)
        return f"{self.first}-{self.last}" + (f"x{self.step}" if self.step > 1 else "")


@dataclass(frozen=True, kw_only=True)
class FrameList:
    """Any frame numbers, ascending and unique; `str()` and `parse()` round-trip."""

    numbers: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.numbers:
            raise UsageError("no frame was named", hint="write e.g. 1001-1010,1020,1030-1040x2")
        object.__setattr__(self, "numbers", tuple(sorted(set(self.numbers))))

    @classmethod
    def parse(cls, text: str) -> FrameRange | FrameList:
        """Parse `1001-1010,1020,1030-1040x2`, into a range if possible; raises UsageError."""
        ranges = [FrameRange.parse(part) for part in text.split(",")]
        if len(ranges) == 1:
            return ranges[0]
        return frames_of(number for one in ranges for number in one)

    def __iter__(self) -> Iterator[int]:
        return iter(self.numbers)

    def __len__(self) -> int:
        return len(self.numbers)

    def __contains__(self, number: object) -> bool:
        return number in self.numbers

    def __str__(self) -> str:
        return ",".join(map(str, self.ranges()))

    def ranges(self) -> tuple[FrameRange, ...]:
        """Split the numbers into few ascending ranges."""
        runs: list[list[int]] = []
        for number in self.numbers:
            last = runs[-1] if runs else []
            if len(last) == 1 or (last and number - last[-1] == last[1] - last[0]):
                last.append(number)
            else:
                runs.append([number])
        return tuple(one for run in runs for one in _ranges_of(run))


def _ranges_of(run: Sequence[int]) -> list[FrameRange]:
    """Turn equally spaced numbers into a range; two that are apart stay single frames."""
    step = run[1] - run[0] if len(run) > 1 else 1
    if len(run) == 2 and step > 1:
        return [FrameRange(first=number, last=number) for number in run]
    return [FrameRange(first=run[0], last=run[-1], step=step)]


Frames = FrameRange | FrameList


def frames_of(numbers: Iterable[int]) -> Frames:
    """Turn frame numbers in any order into a range if equally spaced, else a list.

    Raises UsageError if there are none.
    """
    listed = FrameList(numbers=tuple(numbers))
    first, last = listed.numbers[0], listed.numbers[-1]
    step = listed.numbers[1] - first if len(listed) > 1 else 1
    as_range = range(first, last + 1, step)
    if len(as_range) == len(listed) and all(n in as_range for n in listed):
        return FrameRange(first=first, last=last, step=step)
    return listed


def numbers_as_text(numbers: Iterable[int]) -> str:
    """Format frame numbers for a message, consecutive ones as ranges: `1001-1004,1008`."""
    parts: list[list[int]] = []
    for number in sorted(set(numbers)):
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in parts)


def _check_array(name: str, array: Any, dtype: type, ndim: int) -> None:
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.ndim != ndim:
        actual = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array)
        raise ValueError(f"{name} must be a {ndim}-d {np.dtype(dtype)} array, found {actual}")
    if array.size == 0:
        raise ValueError(f"{name} has no pixels: {array.shape}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One frame of a plate."""

    number: int
    pixels: FloatImage
    """(H, W, 3) float32 RGB in `colour_space`, covering `canvas`; unclipped, NaN and Inf occur."""
    canvas: Window
    """The window that `pixels` covers; the same for every frame of a shot."""
    data_window: Window
    """The data window of the file; pixels outside it are 0."""
    display_window: Window
    """The display window of the file."""
    colour_space: str
    pixel_aspect: float = 1.0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The file's other header attributes, by name."""
    path: Path | None = None

    def __post_init__(self) -> None:
        _check_array("pixels", self.pixels, np.float32, 3)
        if self.pixels.shape[2] != 3:
            raise ValueError(f"pixels must have 3 channels, found {self.pixels.shape}")
        size, canvas = self.pixels.shape[:2], self.canvas
        if size != canvas.shape:
            raise ValueError(f"pixels is {size}, its canvas {canvas} is {canvas.shape}")

    def without_pixels(self) -> Frame:
        """Return the frame with black pixels that take no memory."""
        black = np.broadcast_to(np.float32(0), self.pixels.shape)
        return replace(self, pixels=black)

    def __repr__(self) -> str:
        return f"Frame({self.number}, {self.pixels.shape}, {self.colour_space})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Trimap:
    """One trimap over the shot's canvas."""

    number: int
    labels: Labels
    """(H, W) uint8 with 0 background, 128 unknown, 255 foreground and nothing else."""
    is_keyframe: bool
    """Painted by the artist; never altered."""
    confidence: float = 1.0
    """1 for keyframes; else the confidence of the propagation, 0 to 1."""
    cut: int | None = None
    """The first frame behind a cut that ended the propagation; None for frames without one."""
    is_flash: bool = False
    """Whether the motion was not followed on its plate but across it, for it is a flash."""
    limited: Mask | None = None
    """(H, W) bool, where a garbage or core matte decides the label; None without any."""

    def __post_init__(self) -> None:
        _check_array("labels", self.labels, np.uint8, 2)
        known = (self.labels == BACKGROUND) | (self.labels == UNKNOWN) | (self.labels == FOREGROUND)
        if not known.all():
            values = np.flatnonzero(np.bincount(self.labels.ravel(), minlength=256))
            raise ValueError(f"labels must be 0, 128 or 255, found {values.tolist()}")
        if not 0.0 <= self.confidence <= 1.0:
            raise ValueError(f"confidence must be within 0 and 1, found {self.confidence}")
        if self.limited is not None:
            _check_array("limited", self.limited, np.bool_, 2)

    @property
    def unknown_share(self) -> float:
        """Share of unknown pixels, 0 to 1."""
        return float(np.count_nonzero(self.labels == UNKNOWN) / self.labels.size)

    def __repr__(self) -> str:
        kind = "keyframe" if self.is_keyframe else f"confidence {self.confidence:.2f}"
        return f"Trimap({self.number}, {self.labels.shape}, {kind})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Matte:
    """One solved frame: alpha (H, W) float32 in [0, 1], linear coverage, over the shot's canvas."""

    number: int
    alpha: FloatImage
    stats: Mapping[str, float] = field(default_factory=dict)
    """The engine's figures about the solve."""
    labels: Labels | None = None
    """(H, W) uint8: the trimap, where the engine has narrowed it; alpha is 0 and 1 accordingly."""

    def __post_init__(self) -> None:
        _check_array("alpha", self.alpha, np.float32, 2)
        low, high = float(self.alpha.min()), float(self.alpha.max())
        if not (low >= 0.0 and high <= 1.0):  # also refuses NaN
            raise ValueError(f"alpha must be finite and within 0 and 1, found {low} to {high}")

    def __repr__(self) -> str:
        return f"Matte({self.number}, {self.alpha.shape})"


@dataclass(frozen=True, kw_only=True, eq=False)
class Failure:
    """The error of one frame, in place of its result, so that the others continue."""

    number: int
    error: Exception


FrameStatus = Literal["written", "kept", "failed", "skipped"]


@dataclass(frozen=True, kw_only=True)
class FrameResult:
    """The outcome of one frame; failure is a value, so that the rest of the shot continues."""

    number: int
    status: FrameStatus
    subject: str | None = None
    """The subject whose frame it is, where a shot has several."""
    path: Path | None = None
    error: VfxmatteError | None = None
    stats: Mapping[str, float] = field(default_factory=dict)
    """Figures to report (confidence, unknown_share, keyframe_distance, elapsed_ms, …)."""
    stale: Path | None = None
    """Where the matte that an earlier run wrote for a failed frame was moved."""

    def __post_init__(self) -> None:
        if (self.status == "failed") != (self.error is not None):
            raise ValueError("a failed frame has an error, and only a failed frame")
