"""The loss by which a network learns to expect its own error."""

from __future__ import annotations

import torch
from torch import Tensor

_LEAST_ERROR = 0.004  # an 8-bit alpha knows no less
_ERROR_RANGE = (-5.5, 0.5)  # of the logarithm that the network may expect


def negative_log_likelihood(log_error: Tensor, predicted: Tensor, truth: Tensor) -> Tensor:
    """Return each pixel's negative log-likelihood of the error made, were it Laplacian of the
    expected size.

    A proper score: least where exp(log_error) is the mean absolute error. No gradient reaches
    alpha.

    Args:
        log_error: (N, 1, h, w) logarithm of the error that the network expects.
        predicted, truth: (N, 1, h, w) alpha.
    """
    error = (predicted.detach().clamp(0, 1) - truth).abs().clamp(min=_LEAST_ERROR)
    expected = log_error.clamp(*_ERROR_RANGE)
    beyond = (log_error - expected).abs()
    return error * torch.exp(-expected) + expected + beyond
