"""The first stage of the network, written so that exporters can follow it.

The same layers as `net.dim`, with the one step that differs between formats in the open:
unpooling. TorchScript has the operation; ONNX gets it from comparisons, which are exact.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vfxmatte.network.dim import DeepImageMatting, mixed

Pool = Callable[[Tensor], tuple[Tensor, Tensor]]
Unpool = Callable[[Tensor, Tensor, Tensor], Tensor]


class Stage1(nn.Module):
    """Normalised input (N, 4 + priors, 32·a, 32·b) to unclamped alpha (N, 1, 32·a, 32·b).

    pool: an activation to its pooled form and a memory of where the maxima were.
    unpool: something small, that memory, and the activation that was pooled, to full size.
    """

    def __init__(self, network: DeepImageMatting, pool: Pool, unpool: Unpool) -> None:
        super().__init__()
        self.encoder, self.decoder = network.encoder, network.decoder
        self.prior = network.config.prior
        self.pool, self.unpool = pool, unpool

    def forward(self, normalised: Tensor) -> Tensor:
        *pooled, lowest = self.encoder.levels()
        x, skips, memories = normalised, [], []
        for layers in pooled:
            for layer in layers:
                x = layer(x)
            skips.append(x)
            x, memory = self.pool(x)
            memories.append(memory)
        for layer in (*lowest, self.decoder.entry):
            x = layer(x)
        for step in self.decoder.steps:
            skip = skips.pop()
            x = self.unpool(x, memories.pop(), skip)
            x = step(x + skip if self.decoder.use_skips else x)
        alpha: Tensor = self.decoder.alpha(x)
        return mixed(alpha, normalised) if self.prior else alpha


class NoRefinement(nn.Module):
    """Stands for the second stage where weights have none, or where it is not wanted."""

    def forward(self, x: Tensor, stage1: Tensor) -> Tensor:
        return stage1


def pool_with_indices(x: Tensor) -> tuple[Tensor, Tensor]:
    """2×2 maxima and their indices."""
    pooled, indices = F.max_pool2d(x, 2, return_indices=True)
    return pooled, indices


def unpool_by_indices(x: Tensor, indices: Tensor, skip: Tensor) -> Tensor:
    """`x` at the places of the maxima of `skip`, else 0."""
    # F.max_unpool2d checks its sizes in Python, which cannot be traced.
    unpooled: Tensor = torch._C._nn.max_unpool2d(x, indices, skip.shape[-2:])
    return unpooled


def pool_alone(x: Tensor) -> tuple[Tensor, Tensor]:
    """2×2 maxima, twice: they are all that `unpool_by_comparison` needs."""
    pooled = F.max_pool2d(x, 2)
    return pooled, pooled


def unpool_by_comparison(x: Tensor, pooled: Tensor, skip: Tensor) -> Tensor:
    """The same, by finding the first pixel of each 2×2 that equals the maximum.

    Exactly what the indices say, ties included: a pooling keeps the first in reading order.
    """
    first, second = skip[:, :, ::2, ::2] == pooled, skip[:, :, ::2, 1::2] == pooled
    third = skip[:, :, 1::2, ::2] == pooled
    above, zero = first | second, torch.zeros((), dtype=x.dtype)
    corners = (
        torch.where(first, x, zero),
        torch.where(second & ~first, x, zero),
        torch.where(third & ~above, x, zero),
        torch.where(above | third, zero, x),
    )
    return F.pixel_shuffle(torch.stack(corners, 2).flatten(1, 2), 2)
