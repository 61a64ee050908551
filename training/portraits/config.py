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

    refusal: ClassVar[type[VfxmatteError]] = TrainingError

    network: PortraitConfig = field(default_factory=lambda: PortraitConfig(batch_norm=True))
    synthesis: SynthesisConfig = field(default_factory=_synthesis)
    label_steps: int = limited(1400, at_least=1)
    joint_steps: int = limited(500, at_least=1)
    lr: float = limited(2e-3, above=0)
    joint_lr: float = limited(4e-4, above=0)
    weight_decay: float = limited(1e-4, at_least=0)
    batch: int = limited(8, at_least=1)
    band_px: int = limited(3, at_least=0)
    empty: float = limited(0.1, at_least=0, below=1)
    distractors: float = limited(0.2, at_least=0, below=1)
    maskless: float = limited(0.4, at_least=0, below=1)
    mask_jitter: float = limited(0.08, at_least=0)
    gamma: float = limited(0.4, at_least=0)
    label_loss: float = limited(0.1, at_least=0)
    ema: float = limited(0.99, at_least=0, below=1)
    seed: int = limited(1, at_least=0)
    validation: int = limited(48, at_least=1)
    log_every: int = limited(25, at_least=1)
    validate_every: int = limited(200, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.synthesis.crop_px % 32 or self.synthesis.moving_pairs:
            raise TrainingError("crop_px must be a multiple of 32, and pairs do not move here")

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
