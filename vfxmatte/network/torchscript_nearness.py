"""`nearness` in torch alone, for exported models. Written for TorchScript."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def nearness_of_trimap(trimap: Tensor, scales: list[float], farthest: int) -> Tensor:
    """Compute the nearness to foreground, then to background: (2 · scales, h, w) float32.

    Distances are exact: those along a row by doubled steps, then the least sum of squares down
    each column.

    Args:
        trimap: (h, w) of 0, 0.5 and 1. scales, farthest: those of `nearness`.
    """
    inside = torch.stack((trimap == 1.0, trimap == 0.0))
    far = torch.full([2, trimap.size(0), trimap.size(1)], float(farthest), device=trimap.device)
    along = torch.where(inside, torch.zeros_like(far), far)
    step = 1
    while step < min(along.size(2), farthest):
        right = torch.minimum(along[:, :, step:], along[:, :, :-step] + step)
        along = torch.cat((along[:, :, :step], right), 2)
        left = torch.minimum(along[:, :, :-step], along[:, :, step:] + step)
        along = torch.cat((left, along[:, :, -step:]), 2)
        step = 2 * step
    squared = along * along
    nearest = squared.clone()
    reach = min(int(math.sqrt(float(squared.max()))) + 1, along.size(1))
    for down in range(1, reach):
        below, above = nearest[:, down:], nearest[:, :-down]
        below.copy_(torch.minimum(below, squared[:, :-down] + down * down))
        above.copy_(torch.minimum(above, squared[:, down:] + down * down))
    planes = [nearest[:0]]
    for scale in scales:
        bell = torch.exp(nearest / (-2.0 * scale * scale))
        planes.append(torch.where(nearest < farthest * farthest, bell, torch.zeros_like(bell)))
    return torch.stack(planes[1:], 1).flatten(0, 1)
