"""Losses on the unknown region.

Alpha prediction and composition as in Xu et al. 2017, equations 1 and 2; L1; Laplacian pyramid as
in Hou and Liu 2019 (five levels, level s weighted by 2^s); difference over time for moving pairs.
Predictions are unclamped alphas (N, 1, H, W); `unknown` is 1 where the trimap is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from training.samples.compose import Batch
from vfxmatte.common.checked import Checked, limited
from vfxmatte.errors import TrainingError, VfxmatteError

EPSILON = 1e-6
"""ε of equations 1 and 2, as in the paper."""

_LEVELS = 5  # of the pyramid, as in Hou and Liu


@dataclass(frozen=True, kw_only=True)
class LossWeights(Checked):
    """The weight of each loss; 0 leaves it out."""

    refusal: ClassVar[type[VfxmatteError]] = TrainingError

    alpha: float = limited(0.0, at_least=0)
    """Alpha prediction: √((αp−αg)²+ε²)."""
    composition: float = limited(0.5, at_least=0)
    """Composition: √((cp−cg)²+ε²) with the true foreground and background."""
    l1: float = limited(1.0, at_least=0)
    """|αp−αg|."""
    laplacian: float = limited(0.5, at_least=0)
    """Laplacian pyramid."""
    temporal: float = limited(0.0, at_least=0)
    """|Δαp−Δαg| between the frames of a moving pair."""

    @classmethod
    def paper(cls) -> LossWeights:
        """Create the paper's weights for stage 1: both losses, half each."""
        return cls(alpha=0.5, composition=0.5, l1=0.0, laplacian=0.0)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Average `values` where `mask` is 1, per sample, then over the samples.

    Every sample counts the same, however wide its band, so that a batch cut into pieces (for
    accumulation, or over several devices) has exactly the same gradient as the whole.
    """
    sums = (values * mask).sum((1, 2, 3))
    return (sums / (mask.sum((1, 2, 3)) * values.shape[1]).clamp(min=1.0)).mean()


def alpha_loss(predicted: Tensor, truth: Tensor, unknown: Tensor) -> Tensor:
    """Return equation 1, √((αp−αg)²+ε²), as a mean over the unknown region."""
    return masked_mean(((predicted - truth) ** 2 + EPSILON**2).sqrt(), unknown)


def composition_loss(predicted: Tensor, batch: Batch) -> Tensor:
    """Return equation 2, √((cp−cg)²+ε²), as a mean over the unknown region and three channels.

    Both composites are mixed from the encoded foreground and background, also where the picture
    itself was mixed in linear light: the loss measures how visible a wrong alpha would be.
    """
    difference = (predicted - batch.alpha) * (batch.foreground - batch.background)
    return masked_mean((difference**2 + EPSILON**2).sqrt(), batch.unknown)


def l1_loss(predicted: Tensor, truth: Tensor, unknown: Tensor) -> Tensor:
    """Return the mean absolute error over the unknown region."""
    return masked_mean((predicted - truth).abs(), unknown)


def laplacian_loss(predicted: Tensor, truth: Tensor, unknown: Tensor) -> Tensor:
    """Return Σ 2^s |Ls(αp) − Ls(αg)| / 32 over the unknown region of each level.

    Ls is the band between two sizes, and known pixels count as right. The smallest picture's rest
    does not count: an error that is the same everywhere is left to the other losses.
    """
    difference = (predicted - truth) * unknown
    total = difference.new_zeros(())
    mask = unknown
    for level in range(_LEVELS):
        smaller = F.avg_pool2d(difference, 2)
        back = F.interpolate(smaller, size=difference.shape[-2:], mode="bilinear")
        total = total + (1 << level) * masked_mean((difference - back).abs(), mask)
        difference, mask = smaller, F.max_pool2d(mask, 2)
    return total / (1 << _LEVELS)


def temporal_loss(predicted: Tensor, truth: Tensor, unknown: Tensor) -> Tensor:
    """Return |(αp(t+1) − αp(t)) − (αg(t+1) − αg(t))| where either frame is unknown, as in dtSSD."""
    half = len(predicted) // 2
    change = (predicted - truth)[half:] - (predicted - truth)[:half]
    return masked_mean(change.abs(), torch.maximum(unknown[:half], unknown[half:]))


def loss_terms(predicted: Tensor, batch: Batch, weights: LossWeights) -> dict[str, Tensor]:
    """Return every loss with a weight above 0, unweighted, by name."""
    truth, unknown = batch.alpha, batch.unknown
    terms: dict[str, Tensor] = {}
    if weights.alpha:
        terms["alpha"] = alpha_loss(predicted, truth, unknown)
    if weights.composition:
        terms["composition"] = composition_loss(predicted, batch)
    if weights.l1:
        terms["l1"] = l1_loss(predicted, truth, unknown)
    if weights.laplacian:
        terms["laplacian"] = laplacian_loss(predicted, truth, unknown)
    if weights.temporal and batch.moving_pairs:
        terms["temporal"] = temporal_loss(predicted, truth, unknown)
    return terms


def total_loss(terms: dict[str, Tensor], weights: LossWeights) -> Tensor:
    """Return the weighted sum of `loss_terms`."""
    return torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()
