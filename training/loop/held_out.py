"""The held-out pictures of a run, made once and measured often."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import torch
from torch import Tensor

from training.loop.picture import save_grid
from training.losses import masked_mean
from training.samples.compose import Batch
from training.samples.sources import PackSource, Source
from vfxmatte.network.dim import DeepImageMatting

_SHOWN = 6  # samples in the picture


def held_out_digest(source: Source) -> str:
    """Return a digest of what is held out: a pack's pictures, or the names of photographs.

    It is empty where nothing can be validated on.
    """
    if isinstance(source, PackSource):
        pack = source.pack.validation()
        return "" if pack.is_empty else pack.digest()
    return hashlib.sha256("\n".join(sorted(source.held_out)).encode()).hexdigest()[:24]


class HeldOut:
    """Fixed batches of pictures that training never sees."""

    def __init__(self, batches: list[Batch], precision: str, device: torch.device) -> None:
        """Take batches on `device`; `precision` is that of the network's forward pass."""
        self.batches, self.precision, self.device = batches, precision, device

    @torch.no_grad()
    def errors(self, network: DeepImageMatting, *, refine: bool) -> tuple[float, float]:
        """Measure a network in eval mode.

        Returns:
            Mean absolute and squared error over the unknown region, averaged over the samples;
            NaN where nothing is held out.
        """
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
        """Write a grid of picture, trimap, true alpha and predicted alpha."""
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
