"""Settings of a portrait training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from training.samples.synthesis import SynthesisConfig
from vfxmatte.errors import TrainingError
from vfxmatte.keyframes.portrait_network import PortraitConfig


def _synthesis() -> SynthesisConfig:
    return SynthesisConfig(
        crop_px=160, zoom=(2.2, 6.5), background_zoom=(1.0, 6.0), mirror_cut=False,
        rotate_degrees=12.0,
        stretch=1.15, shear_degrees=0.0, two_foregrounds=0.0, defocus=0.1, motion_blur=0.05,
        background_blur=0.5, grain=0.02, compression=0.15, similar_colours=0.15,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PortraitTraining:
    """Everything that decides a run, but for the library and the device."""

    network: PortraitConfig = field(default_factory=lambda: PortraitConfig(batch_norm=True))
    synthesis: SynthesisConfig = field(default_factory=_synthesis)
    label_steps: int = 1400
    """Steps of the first part, cross-entropy on the labels."""
    joint_steps: int = 500
    """Steps of the second part, through the matting layer."""
    lr: float = 2e-3
    """Peak learning rate of the first part, with a warm-up and a cosine to 0."""
    joint_lr: float = 4e-4
    """Peak learning rate of the second part."""
    weight_decay: float = 1e-4
    batch: int = 8
    band_px: int = 3
    """Reach of the label "unknown" beyond soft pixels, in px of the crop."""
    empty: float = 0.1
    """Share of scenes without a portrait."""
    distractors: float = 0.2
    """Share of scenes with another kind of element behind."""
    maskless: float = 0.4
    """Share of samples without a shape mask."""
    mask_jitter: float = 0.08
    """Standard deviation of the shape masks' pose, in half sides."""
    gamma: float = 0.4
    """Largest logarithm of the tone curve's exponent."""
    label_loss: float = 0.1
    """Weight of the cross-entropy in the second part."""
    ema: float = 0.99
    """Decay of the averaged weights."""
    seed: int = 1
    validation: int = 48
    """Number of held-out pictures."""
    log_every: int = 25
    """Steps between two lines of the log."""
    validate_every: int = 200
    """Steps between two measurements."""

    def __post_init__(self) -> None:
        if self.synthesis.crop_px % 32 or self.synthesis.moving_pairs:
            raise TrainingError("crop_px must be a multiple of 32, and pairs do not move here")
        for name in ("label_steps", "joint_steps", "batch", "log_every", "validate_every"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} must be at least 1, found {getattr(self, name)}")
        for name in ("empty", "distractors", "maskless", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise TrainingError(f"{name} must be within 0 and 1, found {getattr(self, name)}")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)
