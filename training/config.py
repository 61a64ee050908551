"""The trainer's configuration: one dataclass, read from TOML, stored with the weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from training.course.settings import MattedConfig
from training.losses import LossWeights
from training.samples.synthesis import SynthesisConfig
from vfxmatte.common.checked import Checked, limited
from vfxmatte.common.configuration import changed, nested, read_toml
from vfxmatte.errors import TrainingError, VfxmatteError
from vfxmatte.network.dim import DimConfig

Trains = Literal["stage1", "refinement", "all"]


@dataclass(frozen=True, kw_only=True)
class Phase(Checked):
    """A stretch of training.

    trains: which parameters move: stage 1, the refinement with stage 1 frozen, or all.
    steps: optimiser steps. lr: peak learning rate. warmup: steps of linear warm-up.
    final_lr: share of `lr` that the cosine ends on; 1 keeps it constant.
    epochs: passes over the library, instead of steps, where it is gone through by epochs.
    """

    refusal: ClassVar[type[VfxmatteError]] = TrainingError

    name: str
    trains: Trains
    steps: int = limited(0, at_least=0)
    lr: float
    warmup: int = limited(0, at_least=0)
    final_lr: float = limited(0.0, at_least=0, at_most=1)
    epochs: int = limited(0, at_least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps + self.epochs < 1 or self.lr <= 0:
            raise TrainingError(
                f"phase {self.name!r} needs steps (or epochs) and a learning rate above 0, "
                f"found {self.steps} and {self.lr}"
            )

    def learning_rate(self, step: int) -> float:
        """At a step of this phase: a linear warm-up, then a cosine from `lr` to `lr · final_lr`."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * done))
        return self.lr * (self.final_lr + (1 - self.final_lr) * cosine)


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Checked):
    """Everything that decides a run, but for the library and the device.

    batch: samples per step over all devices. micro_batch: samples at a time (0: all at once);
        halved by itself when the device runs out of memory.
    refinement_losses: the losses of stage 2.
    pictures: what the library is: elements and backgrounds to composite (a pack), or finished
        photographs with mattes (a folder). synthesis: how composites are made; of it, photographs
        have the bands of their trimaps alone. matted: how photographs are used.
    order: which foreground and background make a sample: drawn at random, or by epochs as in the
        paper, where each foreground comes over `backgrounds_per_foreground` different backgrounds;
        each photograph comes once in an epoch.
    prior_missing: of networks with alpha priors, the share of samples that are shown none.
    prior_context_px: side of the composites that priors are made of, 0 for that of the crop: a
        frame knows more of its colours than a crop does. prior_crops: crops of each of them.
    optimiser: sgd is with a momentum of 0.9.
    ema: decay of the averaged weights, which are the ones that are validated and shipped.
    precision: of the network's forward pass. compile: torch.compile for the training step.
    validate_every, checkpoint_every, log_every: in steps.
    validation_samples: held-out composites to validate on.
    """

    refusal: ClassVar[type[VfxmatteError]] = TrainingError

    recipe: str = "better"
    network: DimConfig = field(default_factory=lambda: DimConfig(batch_norm=True, skips=True))
    pictures: Literal["composites", "matted"] = "composites"
    synthesis: SynthesisConfig = field(default_factory=SynthesisConfig)
    matted: MattedConfig = field(default_factory=MattedConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    refinement_losses: LossWeights = field(
        default_factory=lambda: LossWeights(composition=0.0, laplacian=0.5, l1=1.0)
    )
    phases: tuple[Phase, ...] = (
        Phase(name="stage 1", trains="stage1", steps=100_000, lr=4e-4, warmup=1000),
        Phase(name="refinement", trains="refinement", steps=20_000, lr=2e-4, warmup=200),
        Phase(name="together", trains="all", steps=20_000, lr=4e-5, warmup=200),
    )
    prior_missing: float = limited(0.1, at_least=0, at_most=1)
    prior_context_px: int = limited(0, at_least=0)
    prior_crops: int = limited(1, at_least=1)
    optimiser: Literal["adam", "adamw", "sgd"] = "adamw"
    weight_decay: float = limited(1e-4, at_least=0)
    clip_norm: float = limited(1.0, at_least=0)
    order: Literal["random", "epoch"] = "random"
    backgrounds_per_foreground: int = limited(100, at_least=1)
    batch: int = limited(32, at_least=1)
    micro_batch: int = limited(0, at_least=0)
    seed: int = limited(1, at_least=0)
    ema: float = limited(0.999, at_least=0, below=1)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    channels_last: bool = True
    compile: bool = False
    log_every: int = limited(20, at_least=1)
    validate_every: int = limited(500, at_least=1)
    checkpoint_every: int = limited(500, at_least=1)
    validation_samples: int = limited(32, at_least=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.synthesis.crop_px % 32:
            raise TrainingError(f"crop_px must be a multiple of 32: {self.synthesis.crop_px}")
        if self.synthesis.moving_pairs and self.batch % 2:
            raise TrainingError(f"moving pairs need an even batch, found {self.batch}")
        if not self.phases:
            raise TrainingError("a training needs at least one phase")
        if self.pictures == "matted":
            self._check_matted()
        if self.order != "epoch" and any(phase.epochs for phase in self.phases):
            raise TrainingError("a phase counts epochs, and the order is random")
        if not self.network.refine and any(p.trains == "refinement" for p in self.phases):
            raise TrainingError("a phase trains the refinement, and the network has none")
        self._check_priors()

    def _check_priors(self) -> None:
        if not self.prior_context_px:
            return
        if not self.network.prior or self.pictures == "matted" or self.synthesis.moving_pairs:
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

    def _check_matted(self) -> None:
        """Photographs have no layers, and no next frame."""
        if self.losses.composition or self.refinement_losses.composition:
            raise TrainingError(
                "the composition loss needs the true foreground and background, and finished "
                "photographs have none",
                hint="set losses.composition and refinement_losses.composition to 0",
            )
        if self.synthesis.moving_pairs:
            raise TrainingError("photographs have no next frame: moving_pairs must be off")

    def in_steps(self, epoch: int) -> TrainConfig:
        """The same with the phases' epochs, of so many samples each, counted in steps."""
        phases = tuple(
            replace(phase, steps=phase.steps + -(-phase.epochs * epoch // self.batch), epochs=0)
            for phase in self.phases
        )
        return replace(self, phases=phases)

    @property
    def total_steps(self) -> int:
        return sum(phase.steps for phase in self.phases)

    def phase_at(self, step: int) -> tuple[int, int]:
        """Index of the phase that `step` is in, and the step within that phase."""
        for index, phase in enumerate(self.phases):
            if step < phase.steps:
                return index, step
            step -= phase.steps
        raise IndexError(step)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)


def paper_recipe() -> TrainConfig:
    """Xu et al. 2017: three phases, Adam 1e-5, no batch-norm, no averaging, 7×7×4096,
    and epochs in which every foreground comes over 100 backgrounds."""
    return TrainConfig(
        recipe="paper",
        network=DimConfig(fc6_kernel=7, fc6_channels=4096),
        synthesis=SynthesisConfig.paper(),
        losses=LossWeights.paper(),
        refinement_losses=LossWeights(alpha=1.0, composition=0.0, l1=0.0, laplacian=0.0),
        phases=(
            Phase(name="stage 1", trains="stage1", steps=300_000, lr=1e-5, final_lr=1.0),
            Phase(name="refinement", trains="refinement", steps=100_000, lr=1e-5, final_lr=1.0),
            Phase(name="together", trains="all", steps=100_000, lr=1e-5, final_lr=1.0),
        ),
        optimiser="adam", weight_decay=0.0, clip_norm=0.0, batch=16, ema=0.0,
        precision="float32", order="epoch", backgrounds_per_foreground=100,
    )  # fmt: skip


def better_recipe() -> TrainConfig:
    """The default: what the field has learned since 2017."""
    return TrainConfig(synthesis=SynthesisConfig(crop_px=512))


def small_recipe() -> TrainConfig:
    """The better recipe cut down to what a CPU trains in minutes: to try a library out."""
    return TrainConfig(
        recipe="small",
        network=DimConfig(width=0.25, batch_norm=True, skips=True),
        synthesis=SynthesisConfig(crop_px=128, zoom=(1.0, 3.0), band_px=(1, 14)),
        phases=(
            Phase(name="stage 1", trains="stage1", steps=1500, lr=2e-3, warmup=100, final_lr=0.01),
            Phase(name="refinement", trains="refinement", steps=200, lr=1e-3, warmup=20),
        ),
        batch=8, ema=0.99, precision="float32", validate_every=100, checkpoint_every=100,
        validation_samples=16,
    )  # fmt: skip


def course_recipe() -> TrainConfig:
    """A student project's: stage 1 alone with four poolings and an adapter, on 600×800 portraits
    with mattes; alpha prediction, batches of 64, a constant rate of 0.01, ten epochs.

    What it does not say is chosen here: SGD with momentum, bands of 5 to 25 px, turns of 15°.
    """
    return TrainConfig(
        recipe="course",
        network=DimConfig(pools=4, fc6_kernel=0, adapter=True, refine=False),
        pictures="matted",
        synthesis=SynthesisConfig(band_px=(5, 25)),
        losses=LossWeights(alpha=1.0, composition=0.0, l1=0.0, laplacian=0.0),
        phases=(Phase(name="stage 1", trains="stage1", epochs=10, lr=0.01, final_lr=1.0),),
        optimiser="sgd", weight_decay=0.0, clip_norm=0.0, batch=64, micro_batch=4, ema=0.0,
        precision="float32", order="epoch", backgrounds_per_foreground=1,
        log_every=5, validate_every=50, checkpoint_every=50,
    )  # fmt: skip


RECIPES = {
    "better": better_recipe,
    "paper": paper_recipe,
    "small": small_recipe,
    "course": course_recipe,
}


def load_config(recipe: str, path: Path | None, overrides: Mapping[str, str]) -> TrainConfig:
    """A recipe, changed by a TOML file and then by `section.key=value` settings.

    Raises:
        TrainingError: no such recipe or key (with near names), or a value of the wrong kind.
    """
    record = read_toml(path, TrainingError) if path is not None else {}
    recipe = record.pop("recipe", recipe)
    if recipe not in RECIPES:
        raise TrainingError(f"no recipe {recipe!r}; there are {', '.join(RECIPES)}", path=path)
    config = changed(RECIPES[recipe](), record, path=path, error=TrainingError)
    for key, text in overrides.items():
        config = _override(config, key, text)
    return config


def _override(config: TrainConfig, key: str, text: str) -> TrainConfig:
    """One `key=value`; `phases.N.key` changes the Nth phase."""
    if not key.startswith("phases."):
        return changed(config, nested(key, text), error=TrainingError)
    try:
        _, number, rest = key.split(".", 2)
        phases = list(config.phases)
        index = int(number)
        phases[index] = changed(phases[index], nested(rest, text), error=TrainingError)
    except (ValueError, IndexError) as error:
        raise TrainingError(
            f"there is no phase {key!r}", hint=f"phases.0 to phases.{len(config.phases) - 1}"
        ) from error
    return dataclasses.replace(config, phases=tuple(phases))
