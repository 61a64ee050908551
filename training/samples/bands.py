"""Random trimaps on the device: uneven bands around the true edge.

A trimap made by dilation alone, or with one even width, teaches the network that the edge runs in
the middle of the band; here foreground and background are eroded independently, with a radius
that varies along the edge, as a brush does.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_FINE_RADII = (1, 2, 4)
_COARSE_RADII = (6, 10, 14, 20, 28, 38, 50)  # reached on the half-size mask: even numbers
_CERTAIN_FOREGROUND = 0.99  # alphas from here on may be known foreground
_CERTAIN_BACKGROUND = 0.01  # and up to here, known background


def dilation_radius(mask: Tensor, limit_px: int) -> Tensor:
    """Compute the radius at which a growing mask reaches each pixel.

    Large radii are reached at half size, which is fine enough for a brush.

    Args:
        mask: (N, 1, H, W) float, 0 or 1, H and W even.
        limit_px: the largest radius of interest.

    Returns:
        (N, 1, H, W): 0 inside the mask, the first of a list of radii at which an octagon-shaped
        dilation covers the pixel, and infinity beyond `limit_px`.
    """
    radius = torch.where(mask > 0.5, 0.0, torch.inf)
    grown, before = mask, 0
    for step, reached in enumerate(_FINE_RADII):
        if before >= limit_px:
            return radius
        grown, before = _grow(grown, reached - before, square=step % 2 == 1), reached
        radius = torch.where((grown > 0.5) & torch.isinf(radius), float(reached), radius)
    small = F.max_pool2d(grown, 2)
    far = torch.full_like(small, torch.inf)
    for step, reached in enumerate(_COARSE_RADII):
        if before >= limit_px:
            break
        small, before = _grow(small, (reached - before) // 2, square=step % 2 == 1), reached
        far = torch.where((small > 0.5) & torch.isinf(far), float(reached), far)
    return torch.minimum(radius, F.interpolate(far, scale_factor=2, mode="nearest"))


def _grow(mask: Tensor, px: int, *, square: bool) -> Tensor:
    """Dilate by a square, or by a plus; the two in turn make an octagon."""
    across = F.max_pool2d(mask, (1, 2 * px + 1), 1, (0, px))
    if square:
        return F.max_pool2d(across, (2 * px + 1, 1), 1, (px, 0))
    return torch.maximum(across, F.max_pool2d(mask, (2 * px + 1, 1), 1, (px, 0)))


def _wandering(low: float, high: float, wobble: float, shape: torch.Size, rng: torch.Generator,
               device: torch.device) -> Tensor:  # fmt: skip
    """Draw a radius per sample, favouring narrow bands, times a smooth field of 1 ± wobble."""
    count, _, height, width = shape
    base = torch.rand((count, 1, 1, 1), generator=rng, device=device) ** 1.5 * (high - low) + low
    field = torch.rand((count, 1, 5, 5), generator=rng, device=device) * 2 - 1
    field = F.interpolate(field, size=(height, width), mode="bicubic", align_corners=False)
    return (base * (1 + wobble * field)).clamp(min=low, max=high)


def draw_trimap(
    alpha: Tensor,
    band_px: tuple[int, int],
    *,
    wobble: float,
    erode_foreground: bool,
    rng: torch.Generator,
) -> Tensor:
    """Draw trimaps (N, 1, H, W) of 0, 0.5, 1 for true alphas of that shape.

    Soft pixels are always unknown.

    Args:
        alpha: (N, 1, H, W) in [0, 1], H and W even.
        band_px: least and greatest radius by which each known region is eroded.
        wobble: how unevenly the band is drawn, 0 even to 1.
        erode_foreground: False erodes the background alone.
        rng: on alpha's device.
    """
    low, high = float(band_px[0]), float(band_px[1])
    soft_or_background = (alpha < _CERTAIN_FOREGROUND).to(alpha.dtype)
    soft_or_foreground = (alpha > _CERTAIN_BACKGROUND).to(alpha.dtype)
    foreground = soft_or_background < 0.5
    if erode_foreground:
        reach = _wandering(low, high, wobble, alpha.shape, rng, alpha.device)
        foreground = dilation_radius(soft_or_background, band_px[1]) > reach
    reach = _wandering(low, high, wobble, alpha.shape, rng, alpha.device)
    background = dilation_radius(soft_or_foreground, band_px[1]) > reach
    half = torch.full_like(alpha, 0.5)
    return torch.where(foreground, 1.0, torch.where(background, 0.0, half))
