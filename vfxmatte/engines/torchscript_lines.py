"""The corrections of `colour_lines` in torch alone, for GPUs and exported models.

Written for TorchScript, with operations of PyTorch 1.12.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vfxmatte.prior.torchscript_prior import adjacent, dot


def corrected(
    image: Tensor,
    alpha: Tensor,
    error: Tensor,
    unsure_above: float,
    trust: float,
    steps: int,
    epsilon: float,
) -> Tensor:
    """Correct alpha along the picture's colour lines.

    Args:
        image: (3, H, W) network-encoded.
        alpha, error: (H, W) in [0, 1], and its expected absolute error.
        unsure_above, trust, steps, epsilon: as in `colour_lines`.
    Returns:
        (H, W) of alpha's dtype, in [0, 1].
    """
    unsure = error > unsure_above
    if not bool(unsure.any()) or min(alpha.size(0), alpha.size(1)) < 3:
        return alpha
    top, bottom = _extent(unsure.any(1))
    left, right = _extent(unsure.any(0))
    result = alpha.clone()
    result[top:bottom, left:right] = _box_corrected(
        image[:, top:bottom, left:right],
        alpha[top:bottom, left:right],
        error[top:bottom, left:right],
        unsure[top:bottom, left:right],
        trust,
        steps,
        epsilon,
    )
    return result


def _extent(line: Tensor) -> tuple[int, int]:
    """First and end of what is true, and two windows more on either side."""
    places = line.nonzero()[:, 0]
    return max(0, int(places[0]) - 4), min(line.size(0), int(places[-1]) + 5)


def _box_corrected(
    image: Tensor,
    alpha: Tensor,
    error: Tensor,
    unsure: Tensor,
    trust: float,
    steps: int,
    epsilon: float,
) -> Tensor:
    rows, columns, values = adjacent((image * image).double(), unsure, epsilon)
    flat = unsure.flatten()
    row_of = flat.long().cumsum(0) - 1
    own = alpha[unsure].double()
    believed = (trust / error[unsure].double()).square()
    zeros = torch.zeros_like(own)
    total = zeros.index_add(0, rows, values) + believed
    known = torch.where(unsure, torch.zeros_like(alpha), alpha).flatten().double()
    right = zeros.index_add(0, rows, values * known[columns]) + believed * own
    among = flat[columns].nonzero()[:, 0]
    rows, columns, values = rows[among], row_of[columns[among]], values[among]
    x = own
    residual = right - total * x + zeros.index_add(0, rows, values * x[columns])
    z = residual / total
    step, energy = z, dot(residual, z)
    for _ in range(steps):
        moved = total * step - zeros.index_add(0, rows, values * step[columns])
        length = energy / dot(step, moved).clamp(min=1e-30)
        x = x + length * step
        residual = residual - length * moved
        z = residual / total
        before = energy
        energy = dot(residual, z)
        step = z + (energy / before.clamp(min=1e-30)) * step
    return alpha.masked_scatter(unsure, x.clamp(0.0, 1.0).to(alpha.dtype))
