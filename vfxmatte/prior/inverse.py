"""Inverses of symmetric positive 3×3 matrices in torch. Written for TorchScript."""

from __future__ import annotations

from torch import Tensor


def inverse_positive(matrices: list[Tensor]) -> list[Tensor]:
    """Invert symmetric positive 3×3 matrices by L D Lᵀ.

    Products and sums that are written out come out alike on any number of threads; those of a
    BLAS or LAPACK do not have to.

    Args:
        matrices: six tensors of one shape, in the order of `symmetric.PAIRS`.
    Returns:
        The inverses, in the same form.
    """
    a, b, c, d, e, f = matrices
    p, q = b / a, c / a
    second = d - p * b
    r = (e - p * c) / second
    third = f - q * c - r * r * second
    u = p * r - q
    return [
        1 / a + p * p / second + u * u / third,
        -p / second - r * u / third,
        u / third,
        1 / second + r * r / third,
        -r / third,
        1 / third,
    ]
