"""Recipes: named configurations to start from, and the kind of library each of them trains on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from training.config import Phase, TrainConfig
from training.course.recipe import course_recipe, open_photographs
from training.losses import LossWeights
from training.samples.sources import Source, open_pack
from training.samples.synthesis import SynthesisConfig
from vfxmatte.common.configuration import changed, nested, read_toml
from vfxmatte.common.wording import counted
from vfxmatte.errors import TrainingError
from vfxmatte.network.dim import DimConfig


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


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A configuration to start from."""

    config: Callable[[], TrainConfig]
    """Creates the configuration."""
    open_source: Callable[[Path, TrainConfig], Source] = open_pack
    """Opens the library at a path for a configuration."""


RECIPES = {
    "better": Recipe(config=better_recipe),
    "paper": Recipe(config=paper_recipe),
    "small": Recipe(config=small_recipe),
    "course": Recipe(config=course_recipe, open_source=open_photographs),
}


def open_source(path: Path, config: TrainConfig) -> Source:
    """Open the library that a configuration trains on.

    Raises:
        TrainingError: it is not there, damaged, or of another recipe's kind.
    """
    return RECIPES[config.recipe].open_source(path, config)


def load_config(recipe: str, path: Path | None, overrides: Mapping[str, str]) -> TrainConfig:
    """Load a recipe, changed by a TOML file and then by `section.key=value` settings.

    Raises:
        TrainingError: no such recipe or key (with near names), or a value of the wrong kind.
    """
    record = read_toml(path, TrainingError) if path is not None else {}
    recipe = overrides.get("recipe", record.pop("recipe", recipe))
    if recipe not in RECIPES:
        raise TrainingError(f"no recipe {recipe!r}; there are {', '.join(RECIPES)}", path=path)
    config = changed(RECIPES[recipe].config(), record, path=path, error=TrainingError)
    for key, text in overrides.items():
        if key != "recipe":
            config = _override(config, key, text)
    return config


def _override(config: TrainConfig, key: str, text: str) -> TrainConfig:
    """Change one `key=value`; `phases.N.key` changes the Nth phase."""
    if not key.startswith("phases."):
        return changed(config, nested(key, text), error=TrainingError)
    number, _, rest = key.removeprefix("phases.").partition(".")
    phases = list(config.phases)
    if number not in map(str, range(len(phases))):
        raise TrainingError(
            f"there is no phase {number!r} in {key!r}; the recipe has "
            + counted(len(phases), "phase"),
            hint=f"phases.0 to phases.{len(phases) - 1}",
        )
    index = int(number)
    phases[index] = changed(phases[index], nested(rest, text), error=TrainingError)
    return dataclasses.replace(config, phases=tuple(phases))
