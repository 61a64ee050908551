"""Training batches cut out of stores of composites: random crops, flips, exposure and gamma.

A batch follows from the seed, the step, and how many composites the stores held by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.samples.composite_store import BRIGHTEST, Bytes, StoreReader
from vfxmatte.engines.light_frame import reduced_labels
from vfxmatte.errors import TrainingError
from vfxmatte.network.light import PRIORS
from vfxmatte.network.nearness import nearness
from vfxmatte.types import UNKNOWN, FloatImage, Labels

_TRIES = 4  # records that may be passed over because they have nothing unknown


@dataclass(frozen=True, kw_only=True)
class CropConfig:
    """Settings for cutting and varying crops."""

    side_px: int = 256
    halved: float = 0.25
    """Probability of a crop of twice the side, averaged down, as stage 1 sees large frames."""
    without_priors: float = 0.08
    """Probability that the trimap stands in for the priors."""
    exposure: float = 0.25
    """Largest change of exposure and of each channel's gain (a third of it), in stops of the
    encoded value."""
    gamma: float = 0.3
    """Largest change of the exponent, as a logarithm to base 2."""
    permuted: float = 0.0
    """Probability that red, green and blue change places: six times as many colours."""
    shares: tuple[float, ...] = ()
    """Share of the crops from each store, if not by the number of its composites."""


@dataclass(frozen=True, kw_only=True, eq=False)
class CropBatch:
    """input: (N, light.CHANNELS, H, W) float32. alpha, unknown: (N, 1, H, W) float32."""

    input: Tensor
    alpha: Tensor
    unknown: Tensor


class CropSource(Protocol):
    """A source of training crops."""

    config: CropConfig

    def refresh(self) -> int:
        """Take in what makers have added; returns how many composites there are."""

    def batch(self, count: int, seed: Sequence[int]) -> CropBatch:
        """`count` crops, that follow from the seed and from what has been taken in."""


class StoreCrops:
    """Cuts batches out of stores that may still grow."""

    def __init__(self, stores: Sequence[StoreReader], config: CropConfig) -> None:
        """Raises TrainingError for shares that do not fit the stores."""
        self.stores, self.config = tuple(stores), config
        shares = config.shares
        if shares and (len(shares) != len(stores) or min(shares) < 0 or not sum(shares) > 0):
            raise TrainingError(
                f"crops.shares must be 0 or more for each of {len(stores)} stores, found {shares}"
            )

    def refresh(self) -> int:
        """Take in what makers have added; returns how many composites there are."""
        return sum(store.refresh() for store in self.stores)

    def batch(self, count: int, seed: Sequence[int]) -> CropBatch:
        """`count` crops; every composite of a store is as likely as any other."""
        random = np.random.default_rng(list(seed))
        crops = [self._crop(random) for _ in range(count)]
        planes = np.stack(crops)
        stacked = torch.from_numpy(planes)
        return CropBatch(
            input=stacked[:, :-1].contiguous(memory_format=torch.channels_last),
            alpha=stacked[:, -1:].contiguous(),
            unknown=(stacked[:, 3:4] == 0.5).float(),
        )

    def _crop(self, random: np.random.Generator) -> NDArray[np.float32]:
        """(CHANNELS + 1, side, side): the network's input, and alpha."""
        config = self.config
        for _ in range(_TRIES):
            store, number = self._record(random)
            side = config.side_px
            if random.random() < config.halved and 2 * side <= store.side_px:
                side = 2 * side
            raw = _cut(store, number, side, random)
            raw = _turned(raw, random)
            planes, labels = _unpacked(raw, 2 if side > config.side_px else 1)
            if (labels == UNKNOWN).any():
                break
        planes[:3] = _relit(planes[:3], config, random)
        trimap = _trimap_values(labels)[None]
        priors, alpha = planes[3 : 3 + PRIORS], planes[-1:]
        if random.random() < config.without_priors:
            priors = np.repeat(trimap, PRIORS, axis=0)
        near = nearness(labels).transpose(2, 0, 1)
        return np.concatenate((planes[:3], trimap, priors, near, alpha)).astype(np.float32)

    def _record(self, random: np.random.Generator) -> tuple[StoreReader, int]:
        shares = np.array(self.config.shares or [len(store) for store in self.stores], float)
        store = self.stores[random.choice(len(self.stores), p=shares / shares.sum())]
        return store, int(random.integers(len(store)))


def _cut(store: StoreReader, number: int, side: int, random: np.random.Generator) -> Bytes:
    """A square of a record around an unknown pixel."""
    unknown = np.flatnonzero(store.labels(number) == UNKNOWN)
    whole = store.side_px
    centre = int(unknown[random.integers(len(unknown))]) if len(unknown) else whole * whole // 2
    shift = random.integers(-side // 3, side // 3 + 1, 2)
    top, left = (
        int(min(max(at + aside - side // 2, 0), whole - side))
        for at, aside in zip(divmod(centre, whole), shift, strict=True)
    )
    return store.crop(number, slice(top, top + side), slice(left, left + side))


def _turned(raw: Bytes, random: np.random.Generator) -> Bytes:
    if random.random() < 0.5:
        raw = raw[:, :, ::-1]
    if random.random() < 0.2:
        raw = raw[:, ::-1]
    if random.random() < 0.25:
        raw = raw.transpose(0, 2, 1)
    return raw


def _unpacked(raw: Bytes, factor: int) -> tuple[NDArray[np.float32], Labels]:
    """Picture, priors and alpha (3 + PRIORS + 1, h, w) float32, and labels, reduced by a factor."""
    labels = raw[3]
    planes = np.concatenate((raw[:3], raw[4:])).astype(np.float32) / np.float32(255)
    planes[:3] *= BRIGHTEST
    if factor > 1:
        planes = averaged(planes, factor)
        labels = reduced_labels(labels, factor)
    return planes, np.ascontiguousarray(labels)


def averaged(planes: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """(n, h, w) averaged over squares of `factor` px; sides are multiples of it."""
    count, height, width = planes.shape
    blocks = planes.reshape(count, height // factor, factor, width // factor, factor)
    means: NDArray[np.float32] = blocks.mean((2, 4), dtype=np.float32)
    return means


def _relit(
    picture: NDArray[np.float32], config: CropConfig, random: np.random.Generator
) -> FloatImage:
    """Another exposure, white balance, gamma and order of channels of a picture (3, h, w)."""
    if config.permuted and random.random() < config.permuted:
        picture = picture[random.permutation(3)]
    stops = random.uniform(-1, 1, (3, 1, 1)) * config.exposure / 3
    stops += random.uniform(-1, 1) * config.exposure
    exponent = 2 ** (random.uniform(-1, 1) * config.gamma)
    lit = np.power(picture.clip(0, None), np.float32(exponent)) * np.exp2(stops)
    return np.asarray(lit.clip(0, BRIGHTEST), np.float32)


def _trimap_values(labels: Labels) -> FloatImage:
    return np.asarray(np.where(labels == UNKNOWN, 0.5, labels / np.float32(255)), np.float32)
