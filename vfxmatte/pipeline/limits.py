"""Garbage and core mattes: outside of the one alpha is 0, inside of the other it is 1.

Each is a sequence, a movie or a still over the plate, soft edges included, see `limit_sources`; a
frame without one of its own has the one before, and before the first that one. Where both claim a
pixel, garbage wins.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from vfxmatte.common.wording import frames_text
from vfxmatte.errors import ShotError, VfxmatteError
from vfxmatte.io.plate import PlateInfo
from vfxmatte.pipeline.limit_sources import LimitSource, find_source
from vfxmatte.types import BACKGROUND, FOREGROUND, FloatImage, Labels, Mask, Trimap, numbers_as_text

Kind = Literal["garbage", "core"]
LIMIT_KINDS: tuple[Kind, ...] = ("garbage", "core")
"""The kinds of mattes, and the names of their folders and settings."""

_HARD = 1 / 512  # coverage this close to 0 or 1 is hard: less than half of an 8-bit step


@dataclass(frozen=True, kw_only=True, eq=False)
class Limits:
    """The garbage and the core matte of one frame, (H, W) float32 over the canvas; None without."""

    garbage: FloatImage | None = None
    core: FloatImage | None = None

    @cached_property
    def outside(self) -> Mask | None:
        """(H, W) bool: where garbage is hard outside; None without garbage."""
        return None if self.garbage is None else np.asarray(self.garbage <= _HARD)

    @cached_property
    def inside(self) -> Mask | None:
        """(H, W) bool: where the core is hard inside; None without a core."""
        return None if self.core is None else np.asarray(self.core >= 1 - _HARD)

    def labels(self, labels: Labels) -> Labels:
        """Make what is hard outside known background, and what is hard inside known foreground."""
        limited = labels.copy()
        if self.inside is not None:
            limited[self.inside] = FOREGROUND
        if self.outside is not None:
            limited[self.outside] = BACKGROUND
        return limited

    def trimap(self, trimap: Trimap) -> Trimap:
        """Limit a trimap's labels, and record where the mattes decide them."""
        limited = np.zeros(trimap.labels.shape, bool)
        for decided in (self.inside, self.outside):
            if decided is not None:
                limited |= decided
        return replace(trimap, labels=self.labels(trimap.labels), limited=limited)

    def alpha(self, alpha: FloatImage) -> FloatImage:
        """Keep alpha at or above the core, then at or below the garbage matte."""
        if self.core is not None:
            alpha = np.maximum(alpha, self.core)
        if self.garbage is not None:
            alpha = np.minimum(alpha, self.garbage)
        return alpha

    def stats(self) -> dict[str, float]:
        """Return the shares of the picture that are hard outside, hard inside, and claimed by
        both."""
        stats: dict[str, float] = {}
        if self.outside is not None:
            stats["garbage_share"] = float(np.mean(self.outside))
        if self.inside is not None:
            stats["core_share"] = float(np.mean(self.inside))
        if self.outside is not None and self.inside is not None:
            stats["garbage_over_core_share"] = float(np.mean(self.outside & self.inside))
        return stats


@dataclass(frozen=True, kw_only=True)
class LimitMattes:
    """The garbage and the core mattes of a shot, by name; false if it has none."""

    sources: Mapping[Kind, LimitSource] = field(default_factory=dict)

    @classmethod
    def find(cls, places: Mapping[str, Path | None], plate: PlateInfo) -> LimitMattes:
        """Find the files of `garbage` and `core`; each place is a folder, a pattern, a still or a
        movie.

        Raises:
            ShotError: nothing there, or more than one sequence. TrimapError: an unreadable movie.
        """
        return cls(
            sources={
                kind: find_source(place, f"{kind} matte", plate)
                for kind in LIMIT_KINDS
                if (place := places.get(kind))
            }
        )

    def __bool__(self) -> bool:
        return bool(self.sources)

    def close(self) -> None:
        """Close movies; one that is read again opens again."""
        for one in self.sources.values():
            one.close()

    def digest(self, number: int) -> list[tuple[str, str]]:
        """Return what the files of a frame hold, as plain values; [] without any."""
        return [(kind, one.content(_held(number, one))) for kind, one in self.sources.items()]

    def read(self, number: int) -> Limits:
        """Read the mattes of a frame; raises TrimapError with frame and path."""
        mattes: dict[Kind, FloatImage] = {}
        for kind, one in self.sources.items():
            held = _held(number, one)
            try:
                mattes[kind] = one.read(held)
            except VfxmatteError as error:
                raise error.at(frame=number, path=one.path(held)) from error.__cause__
        return Limits(**mattes)

    def check(self, numbers: Iterable[int], plate: PlateInfo) -> None:
        """Read the headers of the files that frames need, each once.

        Raises:
            TrimapError: a bad one. ShotError: a sequence without any frame of the plate.
        """
        self._refuse_elsewhere(plate)
        for number in numbers:
            for one in self.sources.values():
                held = _held(number, one)
                try:
                    one.check(held)
                except VfxmatteError as error:
                    raise error.at(frame=number, path=one.path(held)) from error.__cause__

    def _refuse_elsewhere(self, plate: PlateInfo) -> None:
        for kind, one in self.sources.items():
            if len(one.numbers) > 1 and not set(one.numbers) & set(plate.numbers):
                raise ShotError(
                    f"no {kind} matte stands on a frame of the plate: they have frames "
                    f"{numbers_as_text(one.numbers)}, the plate {numbers_as_text(plate.numbers)}",
                    path=one.spec,
                    hint="their frame numbers must agree; a single file serves every frame",
                )

    def notes(self, numbers: Iterable[int]) -> Iterator[str]:
        """Yield which frames have none of their own, and what holds for them, for each kind."""
        numbers = list(numbers)
        for kind, one in self.sources.items():
            if len(one.numbers) < 2:
                continue
            first = one.numbers[0]
            before = [n for n in numbers if n < first]
            between = [n for n in numbers if n > first and n not in one.numbers]
            lack = f"has no {kind} matte of its own", f"have no {kind} matte of their own"
            if before:
                yield f"{frames_text(before, lack)}: the first, of frame {first}, is held"
            if between:
                yield f"{frames_text(between, lack)}: the one before is held"

    def texts(self) -> dict[Kind, str]:
        """Return each kind's file or pattern, with its frames, for the screen."""
        return {kind: _text(one) for kind, one in self.sources.items()}


def _held(number: int, source: LimitSource) -> int:
    """Return the frame whose matte a frame has: its own, the one before, else the first."""
    numbers = source.numbers
    return numbers[max(0, bisect_right(numbers, number) - 1)]


def _text(source: LimitSource) -> str:
    if len(source.numbers) == 1:
        return f"{source.path(source.numbers[0])}, on every frame"
    return f"{source.spec}, {frames_text(source.numbers)}"
