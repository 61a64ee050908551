"""Settings of the fit to a shot; no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vfxmatte.common.checked import Checked, limited
from vfxmatte.errors import UsageError

When = Literal["auto", "off", "on"]

STEPS_A_MINUTE = 120
"""About so many on two cores of a small server: a fit of M minutes has the same steps anywhere."""

LIGHT_WEIGHTS = Path(__file__).parent.parent / "weights" / "light.safetensors"


@dataclass(frozen=True, kw_only=True)
class FitSettings(Checked):
    """Settings for fitting a light network to a shot's keyframes."""

    when: When = "auto"
    """auto: where the default weights, or light ones, run on a shot of two keyframes or more, and
    frames between them are worth it; on: wherever there are two keyframes; off: never. Kept
    only if a keyframe that it has not seen comes out better than without."""
    minutes: float = limited(1.0, above=0, at_most=120)
    """How long, on two cores of a small server: a number of steps, the same on every machine."""
    crop_px: int = limited(256, at_least=64, at_most=1024)
    """Side of the squares that it learns from, in px of the picture as stage 1 sees it."""
    batch: int = limited(4, at_least=1, at_most=64)
    """Squares a step."""
    learning_rate: float = limited(4e-4, above=0, at_most=0.1)
    """The largest rate of a step, at the beginning."""
    most_keyframes: int = limited(24, at_least=2)
    """Of more keyframes, so many are taken, spread evenly."""
    fewest_frames: int = limited(8, at_least=1)
    """With auto: a plate with fewer frames that are no keyframes is not worth it."""
    weights: Path | None = None
    """A light network's .safetensors to begin from; None for the one that is shipped."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop_px % 32:
            raise UsageError(f"fit.crop_px must be a multiple of 32, found {self.crop_px}")

    @property
    def steps(self) -> int:
        return max(2, round(self.minutes * STEPS_A_MINUTE))
