"""Photographs with mattes as a training's source of samples."""

from __future__ import annotations

import torch

from training.config import TrainConfig
from training.course.batches import MattedBatches
from training.course.layout import MattedSet
from training.course.settings import MattedConfig
from training.samples.compose import Batch
from training.samples.epochs import Epochs
from training.samples.maker import BatchMaker
from training.samples.priors import add_priors
from training.samples.sources import HELD_OUT_SEED, batch_starts, show_priors


class PhotographSource:
    """A library of photographs with mattes."""

    def __init__(self, matted: MattedSet, settings: MattedConfig) -> None:
        self.matted, self.settings = matted, settings

    @property
    def held_out(self) -> frozenset[str]:
        """Names that training never sees."""
        return self.matted.held_out

    def batches(self, config: TrainConfig, device: torch.device) -> BatchMaker:
        """Create the maker of training batches."""
        maker = self._maker(self.matted.training(), config, device)
        return show_priors(maker, config, device)

    def held_out_batches(self, config: TrainConfig, device: torch.device) -> list[Batch]:
        """Make the fixed batches to validate on; empty where nothing is held out."""
        held_out, count = self.matted.validation(), config.validation_samples
        if not count or held_out.is_empty:
            return []
        maker = self._maker(held_out.evenly(count), config, device)
        parts = batch_starts(len(maker))
        batches = [maker.plain(part, HELD_OUT_SEED + part.start) for part in parts]
        if config.network.prior:
            batches = [add_priors(batch, HELD_OUT_SEED, missing=0.0) for batch in batches]
        return batches

    def epochs(self, config: TrainConfig) -> Epochs:
        """Create the order of an epoch, in which each photograph comes once."""
        return Epochs(len(self.matted.training().files), 1, 1, config.seed)

    def __str__(self) -> str:
        seen = len(self.matted.training().files)
        return f"{seen} pictures, {len(self.held_out)} pictures held out"

    def _maker(self, matted: MattedSet, config: TrainConfig, device: torch.device) -> MattedBatches:
        return MattedBatches(matted, self.settings, config.synthesis, device)
