"""What classical engines can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vfxmatte.common.checked import Checked, limited

Light = Literal["linear", "display"]


@dataclass(frozen=True, kw_only=True)
class ClassicalSettings(Checked):
    """How classical engines solve a frame.

    light: the space in which colours mix: linear light, or values as a display shows them.
    clusters: of kmeans and gmm, colours on each side; None chooses for every frame.
    epsilon: of closed-form: the larger, the smoother where colours hardly differ.
    tolerance: of closed-form and knn: the solver ends where the residual is so small a part of the
        right-hand side.
    iterations: and fails where it has not got there after so many.
    """

    light: Light = "linear"
    clusters: int | None = limited(None, at_least=1, at_most=32)
    epsilon: float = limited(1e-7, above=0, below=1)
    tolerance: float = limited(1e-6, above=0, below=1)
    iterations: int = limited(5000, at_least=1)
