"""How good automatic mattes are on held-out portraits: alpha, and the labels it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.samples.compose import Batch
from vfxmatte.keyframes.portrait_network import BACKGROUND, FOREGROUND, PortraitMatting


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Means over pictures, over all their pixels. sad: in thousands of pixels, as is usual.

    alpha: of the matting layer. hard: of its labels, unknown counted as one half.
    hard_two: of its labels where foreground and background alone may be chosen.
    """

    pictures: int
    alpha_sad: float
    alpha_mse: float
    hard_sad: float
    hard_mse: float
    hard_two_sad: float
    hard_two_mse: float
    agreement: float

    def as_dict(self) -> dict[str, float]:
        return {name: round(value, 5) for name, value in vars(self).items()}


@torch.no_grad()
def measure(network: PortraitMatting, batches: Sequence[Batch]) -> Measured:
    """As the network is used: its shape mask comes from its own first pass. In eval mode."""
    rows = torch.cat([_errors(network, batch) for batch in batches])
    means = rows.mean(0).tolist()
    return Measured(
        pictures=len(rows), alpha_sad=means[0], alpha_mse=means[1], hard_sad=means[2],
        hard_mse=means[3], hard_two_sad=means[4], hard_two_mse=means[5], agreement=means[6],
    )  # fmt: skip


def hard_labels(probabilities: Tensor) -> Tensor:
    """(N, 1, H, W) of 1 foreground, 0 background, 0.5 unknown, whichever is likeliest."""
    values = probabilities.new_tensor((1.0, 0.0, 0.5))
    return values[probabilities.argmax(1, keepdim=True)]


def _errors(network: PortraitMatting, batch: Batch) -> Tensor:
    probabilities, agreement = network.probabilities(batch.image)
    alpha = network.alpha(batch.image, probabilities).clamp(0, 1)
    two = (probabilities[:, FOREGROUND, None] > probabilities[:, BACKGROUND, None]).float()
    columns = []
    for guess in (alpha, hard_labels(probabilities), two):
        difference = (guess - batch.alpha).flatten(1)
        columns += [difference.abs().sum(1) / 1000, difference.square().mean(1)]
    return torch.stack((*columns, agreement), 1)
