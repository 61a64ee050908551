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
    """Everything that decides a run, but for the library and the device.

    label_steps: of cross-entropy on the labels. joint_steps: through the matting layer.
    lr, joint_lr: peak learning rates of the two, each with a warm-up and a cosine to 0.
    band_px: how far the label "unknown" reaches beyond soft pixels, in px of the crop.
    empty: share of scenes without a portrait. distractors: share of scenes with another kind of
        element behind. maskless: share of samples without a shape mask. mask_jitter: how far masks
        stand off, in half sides. gamma: largest factor on the logarithm of the tone curve.
    label_loss: weight of the cross-entropy that stays on in the second part.
    validation: held-out pictures.
    """

    network: PortraitConfig = field(default_factory=lambda: PortraitConfig(batch_norm=True))
    synthesis: SynthesisConfig = field(default_factory=_synthesis)
    label_steps: int = 1400
    joint_steps: int = 500
    lr: float = 2e-3
    joint_lr: float = 4e-4
    weight_decay: float = 1e-4
    batch: int = 8
    band_px: int = 3
    empty: float = 0.1
    distractors: float = 0.2
    maskless: float = 0.4
    mask_jitter: float = 0.08
    gamma: float = 0.4
    label_loss: float = 0.1
    ema: float = 0.99
    seed: int = 1
    validation: int = 48
    log_every: int = 25
    validate_every: int = 200

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
        return dataclasses.asdict(self)
