"""Losses of portrait matting: cross-entropy of labels, and of alphas weighted by rarity."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

BINS = 50


def rarity(alphas: Iterable[Tensor], bins: int = BINS) -> Tensor:
    """Compute −log p(α), (bins,), over true alphas, with at least one pixel per bin.

    Deep Automatic Portrait Matting, section 4.2: most pixels of a portrait are 0 or 1, and without
    the weight nothing would be learnt from its edge.
    """
    counts = torch.ones(bins, dtype=torch.float64)
    for alpha in alphas:
        counts += torch.bincount(_bin(alpha, bins).flatten().cpu(), minlength=bins)
    return -(counts / counts.sum()).log().float()


def alpha_loss(alpha: Tensor, truth: Tensor, weights: Tensor) -> Tensor:
    """Return the mean of w(truth) · |alpha − truth|, with w from `rarity`."""
    return (weights[_bin(truth, len(weights))] * (alpha - truth).abs()).mean()


def label_loss(scores: Tensor, classes: Tensor) -> Tensor:
    """Return the cross-entropy of scores (N, 3, H, W) against classes (N, H, W)."""
    return F.cross_entropy(scores, classes)


def _bin(alpha: Tensor, bins: int) -> Tensor:
    return (alpha.clamp(0, 1) * (bins - 1)).round().long()
