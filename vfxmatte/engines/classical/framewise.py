"""An engine that solves one frame after the other by a method of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from vfxmatte.engines.answers import failure_of
from vfxmatte.engines.base import Task, known_alpha
from vfxmatte.engines.classical.light import Colours, in_light
from vfxmatte.engines.classical.settings import Light
from vfxmatte.errors import VfxmatteError
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Failure, FloatImage, Labels, Matte


@dataclass(frozen=True, kw_only=True, eq=False)
class Solution:
    """alpha: (n,) of the unknown pixels, in the order of the picture's rows. stats: what is worth
    telling of how it was found."""

    alpha: FloatImage
    stats: Mapping[str, float] = field(default_factory=dict)


class Method(Protocol):
    """How the unknown pixels of one picture get their alpha."""

    def describe(self) -> Mapping[str, Any]:
        """What decides the result, beside the light: plain values."""

    def solve(self, picture: Colours, labels: Labels) -> Solution:
        """picture: (H, W, 3) float64 from 0. labels: (H, W) uint8 with all three labels in it.

        Raises SolveError."""


@dataclass(frozen=True, eq=False)
class FramewiseEngine:
    """A method under an engine's name.

    Where nothing is certainly foreground nothing pulls alpha towards 1, and the answer is 0
    everywhere; where something is and nothing is certainly background, it is 1.
    """

    name: str
    method: Method
    light: Light
    device: str = "cpu"

    def describe(self) -> Mapping[str, Any]:
        return {"engine": self.name, "light": self.light, **self.method.describe()}

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte | Failure]:
        """One by one."""
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
