"""Training batches cut on a GPU, out of stores that its memory holds.

As `store_crops`, for a device that is fed faster from its own memory than by a processor's cores.
Distances to the certain regions are those in the whole composite, kept beside it as bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training.samples.composite_store import BRIGHTEST, Bytes, StoreReader
from training.samples.store_crops import CropBatch, CropConfig
from vfxmatte.errors import TrainingError
from vfxmatte.network.light import PRIORS
from vfxmatte.network.nearness import FARTHEST_PX, SCALES_PX, distances
from vfxmatte.types import UNKNOWN, Labels

_CENTRES = 64  # unknown pixels of a record that crops may be centred on
_UPLOADED = 32  # records at once
_THREADS = 4  # that measure distances meanwhile
_FREE = 0.45  # of the device's free memory, left for the network


class DeviceCrops:
    """Cuts batches out of the newest records of stores that may still grow."""

    def __init__(self, stores: Sequence[StoreReader], config: CropConfig, device: torch.device, *,
                 most: int | None = None) -> None:  # fmt: skip
        """Make room for records.

        Args:
            most: records that are held at once, of all stores; None: what a good half of the
                device's free memory takes. Further ones take the place of the oldest.

        Raises:
            TrainingError: stores of several sizes, or shares, which are for crops on a processor.
        """
        if len({store.side_px for store in stores}) != 1:
            raise TrainingError("stores for a GPU must hold composites of one size")
        if config.shares:
            raise TrainingError("crops.shares are for training on a processor")
        self.stores, self.config, self.device = tuple(stores), config, device
        self.side_px = stores[0].side_px
        each = (5 + PRIORS + 2) * self.side_px**2
        if most is None:
            free, _ = torch.cuda.mem_get_info(device)
            most = max(1, int(free * (1 - _FREE) / each))
        self.most = most
        self._records = torch.empty((most, 5 + PRIORS + 2, self.side_px, self.side_px),
                                    dtype=torch.uint8, device=device)  # fmt: skip
        self._centres = torch.empty((most, _CENTRES, 2), dtype=torch.int64)
        self._taken = [0] * len(self.stores)
        self._arrived = 0

    def refresh(self) -> int:
        """Take in what makers have added; returns how many composites there were in all."""
        for number, store in enumerate(self.stores):
            count = store.refresh()
            for first in range(self._taken[number], count, _UPLOADED):
                self._take_in(
                    [store.record(n) for n in range(first, min(first + _UPLOADED, count))]
                )
            self._taken[number] = count
        return self._arrived

    def _take_in(self, records: list[Bytes]) -> None:
        slots = [(self._arrived + number) % self.most for number in range(len(records))]
        with ThreadPoolExecutor(_THREADS) as pool:
            apart = list(pool.map(lambda raw: distance_bytes(raw[3]), records))
        planes = np.concatenate((np.stack(records), np.stack(apart)), axis=1)
        self._records[slots] = torch.from_numpy(planes).to(self.device)
        for slot, raw, number in zip(slots, records, range(len(records)), strict=True):
            self._centres[slot] = _centres(raw[3], self._arrived + number)
        self._arrived += len(records)

    def batch(self, count: int, seed: Sequence[int]) -> CropBatch:
        """`count` crops; every composite that is held is as likely as any other."""
        random = np.random.default_rng(list(seed))
        rng = torch.Generator(self.device).manual_seed(int(random.integers(1 << 62)))
        held = min(self._arrived, self.most)
        fits = 2 * self.config.side_px <= self.side_px
        halved = np.count_nonzero(random.random(count) < self.config.halved) if fits else 0
        planes = [
            self._crops(random.integers(held, size=number), factor, random)
            for number, factor in ((count - halved, 1), (halved, 2))
            if number
        ]
        return self._input(torch.cat(planes), rng)

    def _crops(self, slots: np.ndarray, factor: int, random: np.random.Generator) -> Tensor:  # type: ignore[type-arg]
        """Cut planes (n, 5 + PRIORS + 2, side, side) float32: encoded RGB, trimap, priors, alpha,
        distances to foreground and background in px."""
        count, side = len(slots), self.config.side_px * factor
        chosen = torch.from_numpy(slots), torch.from_numpy(random.integers(_CENTRES, size=count))
        shift = random.integers(-side // 3, side // 3 + 1, (count, 2)) - side // 2
        corner = (self._centres[chosen] + torch.from_numpy(shift)).clamp(0, self.side_px - side)
        steps = torch.arange(side)
        mirrored = torch.from_numpy(random.random((count, 2)) < (0.2, 0.5))
        places = torch.where(mirrored[:, :, None], side - 1 - steps, steps) + corner[:, :, None]
        places, held = places.to(self.device), chosen[0].to(self.device)
        channels = torch.arange(self._records.shape[1], device=self.device)
        raw = self._records[
            held[:, None, None, None], channels[None, :, None, None],
            places[:, 0][:, None, :, None], places[:, 1][:, None, None, :],
        ]  # fmt: skip
        turned = torch.from_numpy(random.random(count) < 0.25).to(self.device)
        raw = torch.where(turned[:, None, None, None], raw.transpose(2, 3), raw)
        labels = raw[:, 3:4]
        planes = raw.float() / 255
        planes[:, :3] *= BRIGHTEST
        planes[:, -2:] = FARTHEST_PX * planes[:, -2:].square()
        trimap = torch.where(labels == UNKNOWN, 0.5, planes[:, 3:4])
        if factor == 1:
            planes[:, 3:4] = trimap
            return planes
        planes, highest = F.avg_pool2d(planes, factor), F.max_pool2d(trimap, factor)
        lowest = -F.max_pool2d(-trimap, factor)
        planes[:, 3:4] = torch.where(highest == lowest, highest, 0.5)
        planes[:, -2:] /= factor
        return planes

    def _input(self, planes: Tensor, rng: torch.Generator) -> CropBatch:
        config, count = self.config, len(planes)

        def uniform(*shape: int) -> Tensor:
            return torch.rand((count, *shape), generator=rng, device=self.device)

        picture, trimap = planes[:, :3], planes[:, 3:4]
        order = uniform(3).argsort(1)
        order = torch.where(
            uniform(1) < config.permuted, order, torch.arange(3, device=self.device)
        )
        picture = picture.gather(1, order[:, :, None, None].expand_as(picture))
        stops = (2 * uniform(3, 1, 1) - 1) * config.exposure / 3
        stops = stops + (2 * uniform(1, 1, 1) - 1) * config.exposure
        exponent = torch.exp2((2 * uniform(1, 1, 1) - 1) * config.gamma)
        picture = (picture.clamp(min=0).pow(exponent) * torch.exp2(stops)).clamp(0, BRIGHTEST)
        priors, alpha = planes[:, 4 : 4 + PRIORS], planes[:, 4 + PRIORS : 5 + PRIORS]
        priors = torch.where(uniform(1, 1, 1) < config.without_priors, trimap, priors)
        apart = planes[:, -2:]
        scales = torch.tensor(SCALES_PX, device=self.device).view(1, 1, -1, 1, 1)
        near = torch.exp(-0.5 * (apart[:, :, None] / scales).square()).flatten(1, 2)
        together = torch.cat((picture, trimap, priors, near), 1)
        return CropBatch(
            input=together.contiguous(memory_format=torch.channels_last),
            alpha=alpha.contiguous(),
            unknown=(trimap == 0.5).float(),
        )


def distance_bytes(labels: Labels) -> Bytes:
    """Distances to foreground and to background (2, H, W), finer where they are small.

    255 stands for `nearness.FARTHEST_PX`, and for regions that are not there; a byte's square is
    in proportion to the distance.
    """
    shares = np.sqrt(distances(labels) / FARTHEST_PX)
    return np.asarray(np.rint(255 * shares), np.uint8)


def _centres(labels: Labels, number: int) -> Tensor:
    """Draw unknown pixels (CENTRES, 2) of a record, rows and columns; its middle without any."""
    unknown = np.flatnonzero(labels == UNKNOWN)
    if not len(unknown):
        unknown = np.array([labels.size // 2 + labels.shape[1] // 2])
    drawn = unknown[np.random.default_rng(number).integers(len(unknown), size=_CENTRES)]
    return torch.from_numpy(np.stack(np.divmod(drawn, labels.shape[1]), 1))
