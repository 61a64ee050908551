"""Blur, grain and compression of pictures, on the device and in batches.

Blurs work on premultiplied scene-linear values, grain and compression on encoded ones. Every
function takes (N, C, H, W) tensors and draws one strength per sample.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_LUMA = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56], [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    dtype=torch.float32,
)  # fmt: skip  # ITU-T T.81, table K.1


def per_sample_blur(x: Tensor, kernels: Tensor) -> Tensor:
    """Convolve sample n with kernels[n]; x (N, C, H, W), kernels (N, K, K) summing to 1."""
    count, channels = x.shape[:2]
    side = kernels.shape[-1]
    weight = kernels.to(x.dtype).repeat_interleave(channels, 0).unsqueeze(1)
    padded = F.pad(x, (side // 2,) * 4, mode="replicate")
    padded = padded.reshape(1, count * channels, *padded.shape[-2:])
    return F.conv2d(padded, weight, groups=count * channels).reshape(x.shape)


def _grid(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    axis = torch.arange(side, device=device, dtype=torch.float32) - side // 2
    return axis.view(1, side, 1), axis.view(1, 1, side)


def disc_kernels(radius_px: Tensor, side: int) -> Tensor:
    """Create circles of confusion, (N, side, side), with soft rims; radius 0 is the identity."""
    y, x = _grid(side, radius_px.device)
    distance = (x * x + y * y).sqrt()
    kernel = (radius_px.view(-1, 1, 1) + 0.5 - distance).clamp(0, 1)
    return kernel / kernel.sum((1, 2), keepdim=True)


def streak_kernels(length_px: Tensor, angle: Tensor, side: int) -> Tensor:
    """Create straight motion blurs, (N, side, side); angle in radians; length 0 is the identity."""
    y, x = _grid(side, length_px.device)
    cos, sin = angle.cos().view(-1, 1, 1), angle.sin().view(-1, 1, 1)
    along, across = (x * cos + y * sin).abs(), (y * cos - x * sin).abs()
    half = length_px.view(-1, 1, 1) / 2
    kernel = (half + 0.5 - along).clamp(0, 1) * (1 - across).clamp(0, 1)
    kernel = torch.where(half > 0, kernel, ((x == 0) & (y == 0)).to(kernel.dtype))
    return kernel / kernel.sum((1, 2), keepdim=True)


def add_grain(encoded: Tensor, largest: float, rng: torch.Generator) -> Tensor:
    """Add Gaussian noise, partly blurred, stronger in mid-tones; one strength per sample."""
    count = encoded.shape[0]
    device = encoded.device
    strength = largest * torch.rand((count, 1, 1, 1), generator=rng, device=device) ** 2
    noise = torch.randn(encoded.shape, generator=rng, device=device)
    soft = F.avg_pool2d(noise, 3, 1, 1) * 2.0
    mix = torch.rand((count, 1, 1, 1), generator=rng, device=device)
    shape = 0.4 + 2.4 * encoded.clamp(0, 1) * (1 - encoded.clamp(0, 1))
    return encoded + strength * shape * (noise * (1 - mix) + soft * mix)


def _dct_matrix(device: torch.device) -> Tensor:
    k = torch.arange(8, device=device, dtype=torch.float32)
    matrix = torch.cos(math.pi / 8 * (k.view(1, 8) + 0.5) * k.view(8, 1)) / 2
    matrix[0] /= math.sqrt(2)
    return matrix


def compress(encoded: Tensor, quality: Tensor) -> Tensor:
    """Quantise 8×8 blocks of Y, Cb and Cr as JPEG does.

    encoded: (N, 3, H, W), sides multiples of 16; quality: (N,) between 10 and 100. Chroma is
    halved in size, as every camera and movie does.
    """
    r, g, b = encoded.unbind(1)
    luma = 0.299 * r + 0.587 * g + 0.114 * b
    chroma = torch.stack(((b - luma) / 1.772, (r - luma) / 1.402), 1)
    small = F.avg_pool2d(chroma, 2)
    luma = _quantise(luma.unsqueeze(1) - 0.5, quality, 1.0) + 0.5
    chroma = F.interpolate(_quantise(small, quality, 1.5), scale_factor=2, mode="bilinear")
    cb, cr = chroma.unbind(1)
    y = luma[:, 0]
    return torch.stack((y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb), 1)


def _quantise(plane: Tensor, quality: Tensor, coarser: float) -> Tensor:
    count, channels, height, width = plane.shape
    dct = _dct_matrix(plane.device)
    blocks = plane.reshape(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4)
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50).view(-1, 1, 1, 1, 1, 1)
    table = (_LUMA.to(plane.device) * scale * coarser).clamp(min=1) / 255
    coefficients = ((dct @ blocks @ dct.T) / table).round() * table
    return (dct.T @ coefficients @ dct).transpose(3, 4).reshape(plane.shape)
