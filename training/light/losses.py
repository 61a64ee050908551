"""Losses of the light network, all on the unknown region only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.losses import l1_loss, laplacian_loss, masked_mean
from vfxmatte.network.expected_error import negative_log_likelihood


@dataclass(frozen=True, kw_only=True)
class LightLosses:
    """The weight of each loss."""

    l1: float = 1.0
    laplacian: float = 0.5
    gradient: float = 0.3
    error: float = 0.04
    """Weight of the expected error, against the error that was made."""


def gradient_loss(predicted: Tensor, truth: Tensor, unknown: Tensor) -> Tensor:
    """Mean difference of the gradients along both axes, known pixels being right."""
    wrong = (predicted - truth) * unknown
    across = (wrong[..., :, 1:] - wrong[..., :, :-1]).abs()
    down = (wrong[..., 1:, :] - wrong[..., :-1, :]).abs()
    return masked_mean(across, unknown[..., :, 1:]) + masked_mean(down, unknown[..., 1:, :])


def error_loss(log_error: Tensor, predicted: Tensor, truth: Tensor, unknown: Tensor) -> Tensor:
    """Return the mean of `negative_log_likelihood` over the unknown region."""
    return masked_mean(negative_log_likelihood(log_error, predicted, truth), unknown)


def light_terms(
    predicted: Tensor, log_error: Tensor | None, truth: Tensor, unknown: Tensor
) -> dict[str, Tensor]:
    """Return the losses, unweighted, by the names of their weights."""
    terms = {
        "l1": l1_loss(predicted, truth, unknown),
        "laplacian": laplacian_loss(predicted, truth, unknown),
        "gradient": gradient_loss(predicted, truth, unknown),
    }
    if log_error is not None:
        terms["error"] = error_loss(log_error, predicted, truth, unknown)
    return terms


def weighted(terms: dict[str, Tensor], weights: LightLosses) -> Tensor:
    """The weighted sum of `light_terms`."""
    return torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()
