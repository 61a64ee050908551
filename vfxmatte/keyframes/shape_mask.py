"""The shape mask: the mean portrait matte under an affine transform.

The transform (position, size along both axes, rotation) is fitted to a first, rough foreground: by
its moments, then by gradient descent on the overlap. No face is detected.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

MEAN_SIDE = 64
"""Side in px of a mean matte."""

_FIT_PX = 40  # side at which the overlap is measured
_FIT_STEPS = 50
_FIT_RATE = 0.04  # learning rate
_SPREAD = 0.35  # standard deviation of a mean matte along either axis, where its half side is 1
_LEAST = 1e-6


def fit(mean: Tensor, foreground: Tensor) -> Tensor:
    """Fit the mean matte to each foreground.

    Args:
        mean: (1, 1, S, S) in [0, 1].
        foreground: (N, 1, H, W) in [0, 1], not empty.

    Returns:
        (N, 5) poses without gradients: centre x and y, the logarithms of width and height in half
        sides of the picture, and the rotation in radians.
    """
    target = F.interpolate(foreground.detach(), (_FIT_PX, _FIT_PX), mode="area")

    def loss(pose: Tensor) -> Tensor:
        odd = 0.2 * pose[:, 4].square() + 0.1 * (pose[:, 2] - pose[:, 3]).square()
        return odd - overlap(placed(mean, pose, target), target)

    return _descend(_by_moments(target), loss)


def placed(mean: Tensor, pose: Tensor, like: Tensor) -> Tensor:
    """Draw the mean matte under poses (N, 5): (N, 1, H, W) of the size of `like`."""
    grid = F.affine_grid(_matrix(pose), [len(pose), 1, *like.shape[-2:]], align_corners=False)
    return F.grid_sample(mean.expand(len(pose), -1, -1, -1), grid, align_corners=False)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Compute the Dice coefficient (N,) of soft masks (N, 1, H, W): 1 for equal ones."""
    both = (a * b).sum((1, 2, 3))
    return 2 * both / (a.square().sum((1, 2, 3)) + b.square().sum((1, 2, 3))).clamp(min=_LEAST)


def mean_matte(alphas: Tensor, rounds: int = 3) -> Tensor:
    """Average mattes (N, 1, H, W), each aligned to the mean: (1, 1, S, S).

    The first round aligns by moments, the others fit each matte to the mean so far.
    """
    alphas = alphas.clamp(0, 1)
    poses = _by_moments(alphas)
    for _ in range(rounds):
        grid = F.affine_grid(
            _inverse(poses), [len(poses), 1, MEAN_SIDE, MEAN_SIDE], align_corners=False
        )
        mean = F.grid_sample(alphas, grid, align_corners=False).mean(0, keepdim=True)
        poses = fit(mean, alphas)
    return mean


def _matrix(pose: Tensor) -> Tensor:
    """Return transforms (N, 2, 3) from picture to mean matte, both in coordinates -1 to 1."""
    x, y, width, height, turn = pose.unbind(1)
    cos, sin = turn.cos(), turn.sin()
    a, b = cos / width.exp(), sin / width.exp()
    c, d = -sin / height.exp(), cos / height.exp()
    rows = torch.stack((a, b, -a * x - b * y)), torch.stack((c, d, -c * x - d * y))
    return torch.stack(rows).permute(2, 0, 1)


def _inverse(pose: Tensor) -> Tensor:
    """Return transforms (N, 2, 3) from mean matte to picture."""
    x, y, width, height, turn = pose.unbind(1)
    cos, sin = turn.cos(), turn.sin()
    rows = (
        torch.stack((cos * width.exp(), -sin * height.exp(), x)),
        torch.stack((sin * width.exp(), cos * height.exp(), y)),
    )
    return torch.stack(rows).permute(2, 0, 1)


def _by_moments(target: Tensor) -> Tensor:
    """Return the poses that give the mean matte the centres and spreads of the targets."""
    mass = target.sum((1, 2, 3)).clamp(min=_LEAST)
    centres, sizes = [], []
    for axis, length in ((3, target.shape[3]), (2, target.shape[2])):
        places = (2 * torch.arange(length, device=target.device) + 1) / length - 1
        profile = target.sum(5 - axis).flatten(1) / mass[:, None]
        centre = (profile * places).sum(1)
        spread = (profile * (places - centre[:, None]).square()).sum(1).clamp(min=1e-3).sqrt()
        centres.append(centre)
        sizes.append((spread / _SPREAD).log())
    return torch.stack((*centres, *sizes, torch.zeros_like(mass)), 1)


def _descend(start: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Descend from `start`; return each picture's best pose.

    This is Adam, written out: torch's module takes seconds to load.
    """
    pose = best = start.detach()
    least = torch.full_like(start[:, 0], torch.inf)
    slope, square = torch.zeros_like(pose), torch.zeros_like(pose)
    for step in range(1, _FIT_STEPS + 1):
        with torch.enable_grad():
            trial = pose.clone().requires_grad_()
            losses = loss(trial)
            (gradient,) = torch.autograd.grad(losses.sum(), trial)
        better = losses.detach() < least
        best = torch.where(better[:, None], pose, best)
        least = torch.where(better, losses.detach(), least)
        slope = 0.9 * slope + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient.square()
        spread = (square / (1 - 0.999**step)).sqrt() + 1e-8
        pose = pose - _FIT_RATE * slope / (1 - 0.9**step) / spread
    return best
