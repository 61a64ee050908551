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
_FIRST_SHARE = 0.4  # of the steps, before the trial
_HARD_ERROR, _LONGER = 0.018, 3  # without a fit; times as many steps after the trial


@dataclass(frozen=True, kw_only=True)
class FitSettings(Checked):
    """Settings for fitting a light network to a shot's keyframes."""

    when: When = "auto"
    """auto: with weights of the light network, two keyframes and `fewest_frames`; on: wherever
    there are two; off: never. It is kept only if an unseen keyframe comes out better with it."""
    minutes: float = limited(1.0, above=0, at_most=120)
    """Time on two small cores, as many steps anywhere. With auto a hard shot, with an error above
    0.018 on the withheld keyframe before, takes 2.2 times as long."""
    crop_px: int = limited(256, at_least=64, at_most=1024)
    """Side of the squares that it learns from, a multiple of 32."""
    batch: int = limited(4, at_least=1, at_most=64)
    """Squares a step."""
    learning_rate: float = limited(4e-4, above=0, at_most=0.1)
    """Learning rate at the beginning, the largest."""
    most_keyframes: int = limited(24, at_least=2)
    """Maximum number of keyframes; of more, these are taken evenly."""
    fewest_frames: int = limited(8, at_least=1)
    """With auto: fewest frames besides the keyframes that are worth a fit."""
    weights: Path | None = None
    """A light network's .safetensors to begin from; None for the run's own, or the
    default one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.crop_px % 32:
            raise UsageError(f"fit.crop_px must be a multiple of 32, found {self.crop_px}")

    @property
    def steps(self) -> int:
        """Number of steps for a shot that is not hard."""
        return max(2, round(self.minutes * STEPS_A_MINUTE))

    @property
    def first_steps(self) -> int:
        """Number of steps before the trial."""
        return max(1, round(self.steps * _FIRST_SHARE))

    @property
    def longest_minutes(self) -> float:
        """Time for a hard shot."""
        longer = _LONGER if self.when == "auto" else 1
        return self.minutes * (_FIRST_SHARE + (1 - _FIRST_SHARE) * longer)

    def further_steps(self, error: float) -> int:
        """Return the number of steps after the trial, by the error on its keyframe without them."""
        is_hard = self.when == "auto" and error > _HARD_ERROR
        return (self.steps - self.first_steps) * (_LONGER if is_hard else 1)
