"""Errors of automatic mattes on held-out portraits: of alpha, and of the labels behind it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.samples.compose import Batch
from vfxmatte.keyframes.portrait_network import BACKGROUND, FOREGROUND, PortraitMatting


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Means over pictures of errors over all their pixels; SAD is in thousands of pixels."""

    pictures: int
    alpha_sad: float
    """Errors of the matting layer's alpha."""
    alpha_mse: float
    hard_sad: float
    """Errors of the labels, unknown taken as one half."""
    hard_mse: float
    hard_two_sad: float
    """Errors of the labels with the choice of foreground and background only."""
    hard_two_mse: float
    agreement: float
    """Overlap of the shape mask with the labels, 0 to 1."""

    def as_dict(self) -> dict[str, float]:
        """Return values rounded for JSON."""
        return {name: round(value, 5) for name, value in vars(self).items()}


@torch.no_grad()
def measure(network: PortraitMatting, batches: Sequence[Batch]) -> Measured:
    """Measure a network in eval mode, with the shape mask of its own first pass, as in use."""
    rows = torch.cat([_errors(network, batch) for batch in batches])
    means = rows.mean(0).tolist()
    return Measured(
        pictures=len(rows), alpha_sad=means[0], alpha_mse=means[1], hard_sad=means[2],
        hard_mse=means[3], hard_two_sad=means[4], hard_two_mse=means[5], agreement=means[6],
    )  # fmt: skip


def hard_labels(probabilities: Tensor) -> Tensor:
    """Return the likeliest label of each pixel, (N, 1, H, W): 1, 0, or 0.5 for unknown."""
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
