"""A plate, a sequence or a movie: its properties, and its frames by number.

All frames cover the canvas of the shot (see `canvas`); outside its data window a frame is 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np

from vfxmatte.colour import ColourChoice, ColourConfig, ColourTags
from vfxmatte.errors import VfxmatteError
from vfxmatte.types import Frame, Window, numbers_as_text

_MOST_MISSING = 1_000_000  # of a wider range no missing frames are listed

FrameOrError = Frame | VfxmatteError


@dataclass(frozen=True, kw_only=True)
class PlateInfo:
    """Properties of a plate."""

    spec: str
    kind: Literal["sequence", "movie"]
    numbers: tuple[int, ...]
    padding: int
    """Digits of frame numbers in file names, also those of mattes."""
    canvas: Window
    """The window that every frame's pixels cover."""
    display_window: Window
    pixel_aspect: float
    fps: Fraction | None
    """Frames per second; None if the plate does not state it."""
    colour_space: str
    colour_reason: str
    """The reason for choosing `colour_space`, for the user."""
    description: str
    bits: int | None = None
    """Bits per value; None for floating-point values."""
    unreadable: tuple[int, ...] = ()
    """Frames whose header cannot be read or differs from the others."""
    notes: tuple[str, ...] = ()
    """A sentence for each thing that is ignored or not carried to the mattes, for the user."""

    @property
    def missing(self) -> tuple[int, ...]:
        """Numbers between the first and last frame that are not on disk, by the common step."""
        if len(self.numbers) < 3:
            return ()
        steps = np.diff(self.numbers)
        step = int(np.gcd.reduce(steps))
        if (self.numbers[-1] - self.numbers[0]) // step > _MOST_MISSING:
            return ()
        whole = range(self.numbers[0], self.numbers[-1] + 1, step)
        return tuple(sorted(set(whole) - set(self.numbers)))

    def __str__(self) -> str:
        size = f"{self.display_window.width}×{self.display_window.height}"
        return f"{numbers_as_text(self.numbers)}, {size}, {self.description}"


class Plate(ABC):
    """An open plate; use it as a context manager, or close it."""

    info: PlateInfo

    @abstractmethod
    def read(self, number: int) -> Frame:
        """Read one frame; raises PlateError or MissingFrameError with frame and path."""

    @abstractmethod
    def frames(
        self, numbers: Iterable[int], *, workers: int = 2
    ) -> Iterator[tuple[int, FrameOrError]]:
        """Yield (number, frame or error) in the order given, for a movie ascending."""

    @abstractmethod
    def signature(self, number: int) -> str:
        """Return the size and time of the frame's file, to detect changes."""

    @abstractmethod
    def path(self, number: int) -> Path:
        """Return the file that holds a frame."""

    def close(self) -> None:
        """Release files; may be called twice."""
        return

    def __enter__(self) -> Plate:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def chosen_colour(tags: ColourTags, name: str | None, config: ColourConfig) -> ColourChoice:
    """Return a plate's colour space: the named one, else by its tags; raises ColourError."""
    if name:
        return ColourChoice(name=config.resolve(name), reason="as asked")
    return config.default_space(tags)
