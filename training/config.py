"""The trainer's configuration: one dataclass, read from TOML, stored with the weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal

from training.losses import LossWeights
from training.samples.synthesis import SynthesisConfig
from vfxmatte.common.checked import Checked, limited
from vfxmatte.errors import TrainingError, VfxmatteError
from vfxmatte.network.dim import DimConfig


@dataclass(frozen=True, kw_only=True)
class Phase(Checked):
    """A stretch of training."""

    refusal: ClassVar[type[VfxmatteError]] = TrainingError

    name: str
    trains: Literal["stage1", "refinement", "all"]
    """The parameters that move: stage 1, the refinement with stage 1 frozen, or all."""
    steps: int = limited(0, at_least=0)
    """Optimiser steps."""
    lr: float
    """Peak learning rate."""
    warmup: int = limited(0, at_least=0)
    """Steps of linear warm-up."""
    final_lr: float = limited(0.0, at_least=0, at_most=1)
    """Share of `lr` that the cosine ends on; 1 keeps the rate constant."""
    epochs: int = limited(0, at_least=0)
    """Passes over the library, instead of steps; only where `TrainConfig.order` is epoch."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps + self.epochs < 1 or self.lr <= 0:
            raise TrainingError(
                f"phase {self.name!r} needs steps (or epochs) and a learning rate above 0, "
                f"found {self.steps} and {self.lr}"
            )

    def learning_rate(self, step: int) -> float:
        """Return the rate at a step of this phase: linear warm-up, then a cosine to the end."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * done))
        return self.lr * (self.final_lr + (1 - self.final_lr) * cosine)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Checked):
    """The full configuration of a training run, apart from the library and the device."""

    refusal: ClassVar[type[VfxmatteError]] = TrainingError

    recipe: str = "better"
    """The recipe that the configuration started from, see `recipes`."""
    network: DimConfig = field(default_factory=lambda: DimConfig(batch_norm=True, skips=True))
    """The network's shape."""
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)
    """How composites are made."""
    losses: LossWeights = field(default_factory=LossWeights)
    """Losses of stage 1."""
    refinement_losses: LossWeights = field(
        default_factory=lambda: LossWeights(composition=0.0, laplacian=0.5, l1=1.0)
    )
    """Losses of stage 2."""
    phases: tuple[Phase, ...] = (
        Phase(name="stage 1", trains="stage1", steps=100_000, lr=4e-4, warmup=1000),
        Phase(name="refinement", trains="refinement", steps=20_000, lr=2e-4, warmup=200),
        Phase(name="together", trains="all", steps=20_000, lr=4e-5, warmup=200),
    )
    """The stretches of the run, in order."""
    prior_missing: float = limited(0.1, at_least=0, at_most=1)
    """Share of samples whose alpha priors are left out, 0 to 1; for networks that take priors."""
    prior_context_px: int = limited(0, at_least=0)
    """Side of the composites that priors are made of, 0 for the crop's: a whole frame shows more of
    its colours than a crop does."""
    prior_crops: int = limited(1, at_least=1)
    """Crops of each of these composites."""
    optimiser: Literal["adam", "adamw", "sgd"] = "adamw"
    """The optimiser; sgd has a momentum of 0.9."""
    weight_decay: float = limited(1e-4, at_least=0)
    clip_norm: float = limited(1.0, at_least=0)
    """Largest norm of the gradient; 0 leaves it alone."""
    order: Literal["random", "epoch"] = "random"
    """How samples are drawn: foreground and background at random, or by epochs as in the paper."""
    backgrounds_per_foreground: int = limited(100, at_least=1)
    """Different backgrounds of each foreground in an epoch."""
    batch: int = limited(32, at_least=1)
    """Samples per step over all devices."""
    micro_batch: int = limited(0, at_least=0)
    """Samples at a time, 0 for all at once; halved when the device runs out of memory."""
    seed: int = limited(1, at_least=0)
    ema: float = limited(0.999, at_least=0, below=1)
    """Decay of the averaged weights, which are validated and exported; 0 for no averaging."""
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    """Number format of the network's forward pass."""
    channels_last: bool = True
    """Whether tensors lie in memory channels last."""
    compile: bool = False
    """Whether the training step goes through torch.compile."""
    log_every: int = limited(20, at_least=1)
    """Steps between two lines of the log."""
    validate_every: int = limited(500, at_least=1)
    """Steps between two validations."""
    checkpoint_every: int = limited(500, at_least=1)
    """Steps between two checkpoints."""
    validation_samples: int = limited(32, at_least=1)
    """Number of held-out composites to validate on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.synthesis.crop_px % 32:
            raise TrainingError(f"crop_px must be a multiple of 32: {self.synthesis.crop_px}")
        if self.synthesis.moving_pairs and self.batch % 2:
            raise TrainingError(f"moving pairs need an even batch, found {self.batch}")
        if not self.phases:
            raise TrainingError("a training needs at least one phase")
        if self.order != "epoch" and any(phase.epochs for phase in self.phases):
            raise TrainingError("a phase counts epochs, and the order is random")
        if not self.network.refine and any(p.trains == "refinement" for p in self.phases):
            raise TrainingError("a phase trains the refinement, and the network has none")
        self._check_priors()

    def _check_priors(self) -> None:
        if not self.prior_context_px:
            return
        if not self.network.prior or self.synthesis.moving_pairs:
            raise TrainingError(
                "prior_context_px is for composites without moving pairs, and for a network that "
                "takes alpha priors"
            )
        if self.prior_context_px < self.synthesis.crop_px:
            raise TrainingError(
                f"prior_context_px must be at least crop_px, {self.synthesis.crop_px}, or 0, "
                f"found {self.prior_context_px}"
            )

    @property
    def composited(self) -> SynthesisConfig:
        """The synthesis of whole composites, of which crops may be taken afterwards."""
        side = self.prior_context_px or self.synthesis.crop_px
        return replace(self.synthesis, crop_px=side)

    def in_steps(self, epoch: int) -> TrainConfig:
        """Return a copy whose phases count steps in place of epochs of `epoch` samples."""
        phases = tuple(
            replace(phase, steps=phase.steps + -(-phase.epochs * epoch // self.batch), epochs=0)
            for phase in self.phases
        )
        return replace(self, phases=phases)

    @property
    def total_steps(self) -> int:
        """Number of steps of all phases."""
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> tuple[int, int]:
        """Return the index of the phase that `step` is in, and the step within that phase."""
        for index, phase in enumerate(self.phases):
            if step < phase.steps:
                return index, step
            step -= phase.steps
        raise IndexError(step)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with the network's architecture by name."""
        return {**dataclasses.asdict(self), "architecture": self.network.architecture}


def setting_pairs(settings: Iterable[str]) -> dict[str, str]:
    """Split the KEY=VALUE texts of `--set` options; raises TrainingError for other texts."""
    pairs = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise TrainingError(f"--set wants KEY=VALUE, found {setting!r}")
        pairs[key.strip()] = value.strip()
    return pairs
