"""What classical engines can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vfxmatte.errors import UsageError

Light = Literal["linear", "display"]


@dataclass(frozen=True, kw_only=True)
class ClassicalSettings:
    """How classical engines solve a frame.

    light: the space in which colours mix: linear light, or values as a display shows them.
    clusters: of kmeans and gmm, colours on each side; None chooses for every frame.
    epsilon: of closed-form: the larger, the smoother where colours hardly differ.
    tolerance: of closed-form and knn: the solver ends where the residual is so small a part of the
        right-hand side.
    iterations: and fails where it has not got there after so many.
    """

    light: Light = "linear"
    clusters: int | None = None
    epsilon: float = 1e-7
    tolerance: float = 1e-6
    iterations: int = 5000

    def __post_init__(self) -> None:
        if self.light not in get_args(Light):
            raise UsageError(f"no light {self.light!r}", hint=f"use {' or '.join(get_args(Light))}")
        if self.clusters is not None and not 1 <= self.clusters <= 32:
            raise UsageError(f"clusters must be 1 to 32, found {self.clusters}")
        if not 0 < self.epsilon < 1:
            raise UsageError(f"epsilon must be above 0 and below 1, found {self.epsilon}")
        if not 0 < self.tolerance < 1:
            raise UsageError(f"tolerance must be above 0 and below 1, found {self.tolerance}")
        if self.iterations < 1:
            raise UsageError(f"iterations must be 1 or more, found {self.iterations}")
