"""The held-out pictures of a run: what training never sees, made once, measured often."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import torch
from torch import Tensor

from training.config import TrainConfig
from training.course.batches import MattedBatches
from training.course.layout import MattedSet
from training.loop.picture import save_grid
from training.losses import masked_mean
from training.samples.compose import Batch
from training.samples.priors import add_priors
from training.samples.sources import Library, batch_maker
from vfxmatte.network.dim import DeepImageMatting

_AT_ONCE = 8
_FIRST_SEED = 7_000_000  # the same pictures in every run with the same synthesis
_SHOWN = 6


class HeldOut:
    """Fixed composites of foregrounds and backgrounds that training never sees, or photographs."""

    def __init__(self, library: Library, config: TrainConfig, device: torch.device) -> None:
        self.device, self.precision = device, config.precision
        self.batches = _batches(library.validation(), config, device)

    @torch.no_grad()
    def errors(self, network: DeepImageMatting, *, refine: bool) -> tuple[float, float]:
        """Mean absolute and squared error over the unknown region, a mean over the samples; NaN
        where nothing is held out. The network must be in eval mode."""
        sums, count = torch.zeros(2, dtype=torch.float64), 0
        for batch in self.batches:
            difference = self._solve(network, batch, refine) - batch.alpha
            both = (difference.abs(), difference**2)
            means = [float(masked_mean(values, batch.unknown)) for values in both]
            sums += len(batch.alpha) * torch.tensor(means, dtype=torch.float64)
            count += len(batch.alpha)
        if not count:
            return math.nan, math.nan
        mad, mse = (sums / count).tolist()
        return mad, mse

    @torch.no_grad()
    def save_picture(self, path: Path, network: DeepImageMatting, *, refine: bool) -> None:
        """A grid for a person to look at: picture, trimap, truth, and what the network makes."""
        if not self.batches:
            return
        batch = self.batches[0].part(0, min(_SHOWN, len(self.batches[0].image)))
        known = batch.unknown == 0
        alpha = torch.where(known, batch.trimap, self._solve(network, batch, refine))
        save_grid(path, (batch.image, batch.trimap, batch.alpha, alpha))

    def _solve(self, network: DeepImageMatting, batch: Batch, refine: bool) -> Tensor:
        low = self.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=low):
            alpha: Tensor = network(batch.input, refine=refine).alpha
        return alpha.float()


def _batches(held_out: Library, config: TrainConfig, device: torch.device) -> list[Batch]:
    count = config.validation_samples
    if not count or held_out.is_empty:
        return []
    if isinstance(held_out, MattedSet):
        pictures = MattedBatches(held_out.evenly(count), config, device)
        numbers = range(len(pictures))
        parts = [numbers[start : start + _AT_ONCE] for start in numbers[::_AT_ONCE]]
        batches = [pictures.plain(part, _FIRST_SEED + part[0]) for part in parts]
        if config.network.prior:
            batches = [add_priors(one, _FIRST_SEED, missing=0.0) for one in batches]
        return batches
    maker = batch_maker(held_out, dataclasses.replace(config, prior_missing=0.0), device)
    sizes = [min(_AT_ONCE, count - start) for start in range(0, count, _AT_ONCE)]
    return [maker.batch(size + size % 2, _FIRST_SEED + n) for n, size in enumerate(sizes)]
