"""Sources of training samples: a library, and how batches are made of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch

from training.config import TrainConfig
from training.elements.pack import Pack, read_pack
from training.samples.bank import PictureBank
from training.samples.compose import Batch, Compositor
from training.samples.epochs import Epochs
from training.samples.maker import BatchMaker
from training.samples.priors import WithPriors, threads_beside
from vfxmatte.errors import TrainingError

HELD_OUT_SEED = 7_000_000
"""First seed of held-out batches: the same pictures in every run with the same synthesis."""

_HELD_OUT_BATCH = 8


class Source(Protocol):
    """A library that a training draws its samples from."""

    @property
    def held_out(self) -> frozenset[str]:
        """Names that training never sees."""
        ...

    def batches(self, config: TrainConfig, device: torch.device) -> BatchMaker:
        """Create the maker of training batches."""
        ...

    def held_out_batches(self, config: TrainConfig, device: torch.device) -> list[Batch]:
        """Make the fixed batches to validate on; empty where nothing is held out."""
        ...

    def epochs(self, config: TrainConfig) -> Epochs:
        """Create the order in which an epoch goes through the training part."""
        ...

    def __str__(self) -> str: ...


class PackSource:
    """A pack, whose foregrounds are composited over its backgrounds."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack

    @property
    def held_out(self) -> frozenset[str]:
        """Foregrounds that training never sees."""
        return self.pack.held_out

    def batches(self, config: TrainConfig, device: torch.device) -> BatchMaker:
        """Create the maker of training batches."""
        return _composites(self.pack.training(), config, device)

    def held_out_batches(self, config: TrainConfig, device: torch.device) -> list[Batch]:
        """Make the fixed batches to validate on; empty where nothing is held out."""
        held_out, count = self.pack.validation(), config.validation_samples
        if not count or held_out.is_empty:
            return []
        maker = _composites(held_out, replace(config, prior_missing=0.0), device)
        sizes = [len(part) for part in batch_starts(count)]
        return [maker.batch(n + n % 2, HELD_OUT_SEED + seed) for seed, n in enumerate(sizes)]

    def epochs(self, config: TrainConfig) -> Epochs:
        """Create the order of an epoch: each foreground over many different backgrounds."""
        seen, each = self.pack.training(), config.backgrounds_per_foreground
        return Epochs(len(seen.elements), len(seen.backgrounds), each, config.seed)

    def __str__(self) -> str:
        seen = self.pack.training()
        return (
            f"{len(seen.elements)} foregrounds, {len(seen.backgrounds)} backgrounds, "
            f"{len(self.held_out)} foregrounds held out"
        )


def open_pack(path: Path, config: TrainConfig) -> PackSource:
    """Open a pack.

    Raises:
        TrainingError: it is not there, damaged, or a folder.
    """
    if path.is_dir():
        raise TrainingError(
            f"the recipe {config.recipe} trains on a pack, and this is a folder",
            path=path,
            hint="make a pack of it with vfxmatte-train pack; finished photographs with mattes are "
            "for --recipe course",
        )
    return PackSource(read_pack(path))


def show_priors(maker: BatchMaker, config: TrainConfig, device: torch.device) -> BatchMaker:
    """Add alpha priors to a maker's batches where the network takes them."""
    if not config.network.prior:
        return maker
    return WithPriors(
        maker,
        missing=config.prior_missing,
        threads=threads_beside(device),
        crop_px=config.synthesis.crop_px if config.prior_context_px else None,
        crops=config.prior_crops,
    )


def batch_starts(count: int) -> list[range]:
    """Cut `count` held-out samples into batches; returns the numbers of each."""
    numbers = range(count)
    return [numbers[n : n + _HELD_OUT_BATCH] for n in numbers[::_HELD_OUT_BATCH]]


def _composites(pack: Pack, config: TrainConfig, device: torch.device) -> BatchMaker:
    return show_priors(Compositor(PictureBank(pack, device), config.composited), config, device)
