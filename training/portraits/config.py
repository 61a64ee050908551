"""Settings of a portrait training."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

from training.samples.synthesis import SynthesisConfig
from vfxmatte.common.checked import Checked, limited
from vfxmatte.errors import TrainingError, VfxmatteError
from vfxmatte.keyframes.portrait_network import PortraitConfig


def _synthesis() -> SynthesisConfig:
    return SynthesisConfig(
        crop_px=160, zoom=(2.2, 6.5), background_zoom=(1.0, 6.0), mirror_cut=False,
        rotate_degrees=12.0,
        stretch=1.15, shear_degrees=0.0, two_foregrounds=0.0, defocus=0.1, motion_blur=0.05,
        background_blur=0.5, grain=0.02, compression=0.15, similar_colours=0.15,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PortraitTraining(Checked):
    """The full configuration of a training run, apart from the library and the device."""

    refusal: ClassVar[type[VfxmatteError]] = TrainingError

    network: PortraitConfig = field(default_factory=lambda: PortraitConfig(batch_norm=True))
    synthesis: SynthesisConfig = field(default_factory=_synthesis)
    label_steps: int = limited(1400, at_least=1)
    """Steps of the first part, cross-entropy on the labels."""
    joint_steps: int = limited(500, at_least=1)
    """Steps of the second part, through the matting layer."""
    lr: float = limited(2e-3, above=0)
    """Peak learning rate of the first part, with a warm-up and a cosine to 0."""
    joint_lr: float = limited(4e-4, above=0)
    """Peak learning rate of the second part."""
    weight_decay: float = limited(1e-4, at_least=0)
    batch: int = limited(8, at_least=1)
    band_px: int = limited(3, at_least=0)
    """Reach of the label "unknown" beyond soft pixels, in px of the crop."""
    empty: float = limited(0.1, at_least=0, below=1)
    """Share of scenes without a portrait."""
    distractors: float = limited(0.2, at_least=0, below=1)
    """Share of scenes with another kind of element behind."""
    maskless: float = limited(0.4, at_least=0, below=1)
    """Share of samples without a shape mask."""
    mask_jitter: float = limited(0.08, at_least=0)
    """Standard deviation of the shape masks' pose, in half sides."""
    gamma: float = limited(0.4, at_least=0)
    """Largest logarithm of the tone curve's exponent."""
    label_loss: float = limited(0.1, at_least=0)
    """Weight of the cross-entropy in the second part."""
    ema: float = limited(0.99, at_least=0, below=1)
    """Decay of the averaged weights."""
    seed: int = limited(1, at_least=0)
    validation: int = limited(48, at_least=0)
    """Number of held-out pictures."""
    log_every: int = limited(25, at_least=1)
    """Steps between two lines of the log."""
    validate_every: int = limited(200, at_least=1)
    """Steps between two measurements."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.synthesis.crop_px % 32 or self.synthesis.moving_pairs:
            raise TrainingError("crop_px must be a multiple of 32, and pairs do not move here")

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return dataclasses.asdict(self)
