"""Alpha priors for training pictures.

They are made on the CPU, whatever the device, by the code that mattes shots. Crops are smaller
than frames, so the reduction is drawn among those of frames, and some samples have no prior, so
that the network can work without.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from training.samples.compose import Batch
from training.samples.maker import BatchMaker
from vfxmatte.network.dim import complete
from vfxmatte.prior.alpha_prior import alpha_priors
from vfxmatte.prior.constants import PRIORS
from vfxmatte.types import FloatImage, Labels

REDUCTIONS = (2, 3, 4)
"""Factors to draw from for each sample; both frames of a moving pair have the same."""


class WithPriors:
    """Another maker's batches, with priors."""

    def __init__(
        self, maker: BatchMaker, *, missing: float, threads: int, crop_px: int | None, crops: int
    ) -> None:
        """Wrap a maker.

        Args:
            maker: makes the pictures.
            missing: share of samples without priors, 0 to 1.
            threads: samples that are solved at once.
            crop_px: side of the crops that are taken of its pictures afterwards; None for none.
            crops: number of crops of each picture.
        """
        self._maker, self._missing, self._threads = maker, missing, threads
        self._crop_px, self._crops = crop_px, crops if crop_px is not None else 1

    def batch(
        self, count: int, seed: int, *, chosen: Sequence[tuple[int, int]] | None = None
    ) -> Batch:
        """Make `count` samples, see `BatchMaker`."""
        pictures = -(-count // self._crops)
        chosen = chosen if chosen is None else chosen[:: self._crops]
        batch = self._maker.batch(pictures, seed, chosen=chosen)
        batch = add_priors(batch, seed, missing=self._missing, threads=self._threads)
        if self._crop_px is None:
            return batch
        return cropped(batch, count, self._crop_px, seed)


def cropped(batch: Batch, count: int, crop_px: int, seed: int) -> Batch:
    """Take `count` crops, of the pictures in turn, each around an unknown pixel if there is one."""
    drawn = np.random.default_rng([seed, 1])
    unknown = batch.unknown[:, 0].cpu().numpy() > 0
    side = unknown.shape[1]
    places = []
    for number in range(count):
        picture = number % len(unknown)
        open_ = np.flatnonzero(unknown[picture])
        centre = open_[drawn.integers(len(open_))] if len(open_) else side * side // 2 + side // 2
        y, x = (min(max(at - crop_px // 2, 0), side - crop_px) for at in divmod(centre, side))
        places.append((picture, y, x))

    def cut(planes: Tensor) -> Tensor:
        return torch.stack([planes[n, :, y : y + crop_px, x : x + crop_px] for n, y, x in places])

    return batch.cut(cut)


def add_priors(batch: Batch, seed: int, *, missing: float, threads: int = 1) -> Batch:
    """Return the batch with priors, or the trimap in their place for a share `missing` of it.

    The same pictures and seed give the same priors; `threads` samples are solved at once.
    """
    count = len(batch.image)
    drawn = np.random.default_rng(seed)
    pairs = count // 2 if batch.moving_pairs else count
    factors = [REDUCTIONS[n] for n in drawn.integers(len(REDUCTIONS), size=pairs)]
    present = [bool(chance >= missing) for chance in drawn.random(pairs)]
    if batch.moving_pairs:
        factors, present = factors * 2, present * 2
    images = batch.image.permute(0, 2, 3, 1).cpu().numpy()
    labels = (batch.trimap[:, 0] * 255).round().to(torch.uint8).cpu().numpy()
    with ThreadPoolExecutor(threads) as pool:
        priors = list(pool.map(_prior, images, labels, factors, present))
    stand_in = complete(torch.cat((batch.image, batch.trimap), 1), PRIORS)[:, 4:]
    planes = [stand_in[n] if prior is None else _planes(prior, batch.image)
              for n, prior in enumerate(priors)]  # fmt: skip
    return replace(batch, priors=torch.stack(planes))


def threads_beside(device: torch.device) -> int:
    """Return the number of threads to make priors with while a network trains on the device."""
    return 1 if device.type == "cpu" else max(1, (os.cpu_count() or 2) - 1)


def _prior(image: FloatImage, labels: Labels, factor: int, present: bool) -> FloatImage | None:
    if not present:
        return None
    labels = np.where(labels == 127, np.uint8(128), labels)
    return alpha_priors(np.ascontiguousarray(image), labels, reduction=factor)


def _planes(prior: FloatImage, like: Tensor) -> Tensor:
    return torch.from_numpy(prior).permute(2, 0, 1).to(like)
