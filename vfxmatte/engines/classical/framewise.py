"""An engine that solves one frame after the other by a classical method."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from vfxmatte.engines.answers import failure_of
from vfxmatte.engines.classical.light import in_light
from vfxmatte.engines.classical.settings import Light
from vfxmatte.engines.protocol import Task, known_alpha
from vfxmatte.errors import VfxmatteError
from vfxmatte.types import (
    BACKGROUND,
    FOREGROUND,
    UNKNOWN,
    Failure,
    FloatImage,
    Floats,
    Labels,
    Matte,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Solution:
    """The result of a method."""

    alpha: FloatImage
    """(n,) of the unknown pixels, in reading order."""
    stats: Mapping[str, float] = field(default_factory=dict)
    """Statistics of the solver, stored with the matte."""


class Method(Protocol):
    """A method that solves the unknown pixels of one picture."""

    def describe(self) -> Mapping[str, Any]:
        """Return what decides the result, except the light: plain values."""

    def solve(self, picture: Floats, labels: Labels) -> Solution:
        """Solve a picture.

        Args:
            picture: (H, W, 3) float64, not negative.
            labels: (H, W) uint8, in which all three labels occur.

        Raises:
            SolveError: it cannot be solved.
        """


@dataclass(frozen=True, eq=False)
class FramewiseEngine:
    """A method as an engine.

    The matte is 0 everywhere without certain foreground, and 1 everywhere without certain
    background.
    """

    name: str
    method: Method
    light: Light
    device: str = "cpu"

    def describe(self) -> Mapping[str, Any]:
        return {"engine": self.name, "light": self.light, **self.method.describe()}

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte | Failure]:
        """Solve tasks one by one."""
        return map(self._answer, tasks)

    def close(self) -> None:
        return

    def _answer(self, task: Task) -> Matte | Failure:
        try:
            return self._matte(task)
        except Exception as error:
            return failure_of(task, error)

    def _matte(self, task: Task) -> Matte:
        labels = task.trimap.labels
        alpha = known_alpha(labels)
        unknown = labels == UNKNOWN
        if not unknown.any() or not (labels == FOREGROUND).any():
            return Matte(number=task.number, alpha=alpha)
        if not (labels == BACKGROUND).any():
            return Matte(number=task.number, alpha=np.ones_like(alpha))
        try:
            solution = self.method.solve(in_light(task.image, self.light), labels)
        except VfxmatteError as error:
            raise error.at(frame=task.number) from error.__cause__
        alpha[unknown] = np.clip(solution.alpha, 0.0, 1.0)
        return Matte(number=task.number, alpha=alpha, stats=solution.stats)
