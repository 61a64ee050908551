"""Settings of the classical engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vfxmatte.common.checked import Checked, limited

Light = Literal["linear", "display"]


@dataclass(frozen=True, kw_only=True)
class ClassicalSettings(Checked):
    """Settings of the classical engines."""

    light: Light = "linear"
    """Where colours mix: in linear light, or as a display shows them."""
    clusters: int | None = limited(None, at_least=1, at_most=32)
    """kmeans and gmm: clusters on each side; None chooses, frame by frame."""
    epsilon: float = limited(1e-7, above=0, below=1)
    """closed-form: regularisation; larger is smoother where colours hardly differ."""
    tolerance: float = limited(1e-6, above=0, below=1)
    """closed-form and knn: relative residual at which the solver ends."""
    iterations: int = limited(5000, at_least=1)
    """closed-form and knn: steps after which the solver fails."""
