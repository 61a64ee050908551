"""The library on the device: pictures as tensors, and affine samples of them.

Foregrounds are held premultiplied and scene-linear in half precision, because that is what may be
filtered and resampled without fringes; backgrounds stay 8-bit and encoded until they are cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training.elements.pack import Background, Element, Pack
from vfxmatte.colour import decode_srgb
from vfxmatte.errors import TrainingError

_MOST_CENTRES = 8192  # more add memory, not variety


@dataclass(frozen=True, kw_only=True, eq=False)
class Foreground:
    """An element on the device."""

    name: str
    kind: str
    premultiplied: Tensor
    """(4, H, W) float16 scene-linear RGBA."""
    centres: Tensor
    """(K, 2) int64 rows of y, x, on the CPU: soft pixels that crops may be centred on."""
    is_cut: bool
    """Whether the element touches its picture's border, as a bust does."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Backdrop:
    """A background on the device."""

    name: str
    encoded: Tensor
    """(3, H, W) uint8, sRGB."""


def _foreground(element: Element, device: torch.device) -> Foreground:
    scale = np.iinfo(element.alpha.dtype).max
    alpha = torch.from_numpy(element.alpha.astype(np.float32) / scale).to(device)
    colour = torch.from_numpy(element.colour).to(device).permute(2, 0, 1).float() / 255
    premultiplied = torch.cat((decode_srgb(colour) * alpha, alpha[None]))
    centres = ((alpha > 0.02) & (alpha < 0.98)).nonzero()
    if len(centres) == 0:
        raise TrainingError(
            f"foreground {element.name} has no soft pixel to centre a crop on",
            hint="run `vfxmatte-train check` on the library and leave such elements out",
        )
    centres = centres[:: max(1, len(centres) // _MOST_CENTRES)]
    return Foreground(
        name=element.name,
        kind=element.kind,
        premultiplied=premultiplied.half(),
        centres=centres.cpu(),
        is_cut=_is_cut(alpha),
    )


def _is_cut(alpha: Tensor) -> bool:
    border = torch.cat((alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
    return bool((border > 0.02).any())


def _backdrop(background: Background, device: torch.device) -> Backdrop:
    encoded = torch.from_numpy(background.colour).permute(2, 0, 1).contiguous().to(device)
    return Backdrop(name=background.name, encoded=encoded)


class PictureBank:
    """The pictures of a pack, as tensors on one device."""

    def __init__(self, pack: Pack, device: torch.device) -> None:
        if not pack.elements or not pack.backgrounds:
            raise TrainingError(
                f"the library has {len(pack.elements)} foregrounds and "
                f"{len(pack.backgrounds)} backgrounds; training needs at least one of each"
            )
        self.device = device
        self.foregrounds = [_foreground(element, device) for element in pack.elements]
        self.backdrops = [_backdrop(background, device) for background in pack.backgrounds]

    def sample_foreground(
        self, index: int, matrix: Tensor, side: int, *, mirror_cut: bool = False
    ) -> Tensor:
        """Take a crop (4, side, side) float32, premultiplied scene-linear, empty outside.

        Args:
            index: the foreground's number.
            matrix: (2, 3) on the CPU, from crop pixels relative to the crop's centre to source
                pixels (x, y). Where it minifies, the source is averaged first.
            side: the crop's side in px.
            mirror_cut: extend an element that is cut by its picture's border as in a mirror, so
                that its hair does not end in a straight edge.
        """
        foreground = self.foregrounds[index]
        source = foreground.premultiplied.float()[None]
        shrink = float(torch.linalg.det(matrix[:, :2]).abs().sqrt())
        while shrink > 1.5:
            source, matrix, shrink = _halved(source), matrix / 2, shrink / 2
            matrix[:, 2] -= 0.25  # the centre of the first pixel is now a quarter further in
        grid = _affine_grid(matrix, side, source.shape[-2:], self.device)
        outside = "reflection" if mirror_cut and foreground.is_cut else "zeros"
        return F.grid_sample(source, grid, padding_mode=outside, align_corners=False)[0]

    def sample_backdrop(self, index: int, box: tuple[int, int, int], side: int) -> Tensor:
        """Take a crop (3, side, side) float32, scene-linear.

        Args:
            index: the background's number.
            box: top, left and side in source pixels, within the picture; resized to `side`.
            side: the crop's side in px.
        """
        encoded = self.backdrops[index].encoded
        top, left, size = box
        cut = encoded[:, top : top + size, left : left + size].float()[None] / 255
        if cut.shape[-2:] != (side, side):
            cut = F.interpolate(cut, (side, side), mode="bilinear", antialias=True)
        return decode_srgb(cut[0])


def _halved(source: Tensor) -> Tensor:
    """Halve the size by 2×2 means; an odd side repeats its last pixels."""
    odd_rows, odd_columns = source.shape[-2] % 2, source.shape[-1] % 2
    return F.avg_pool2d(F.pad(source, (0, odd_columns, 0, odd_rows), mode="replicate"), 2)


def _affine_grid(matrix: Tensor, side: int, source: torch.Size, device: torch.device) -> Tensor:
    """Return (1, side, side, 2) in grid_sample's coordinates."""
    axis = torch.arange(side, device=device, dtype=torch.float32) - (side - 1) / 2
    y, x = axis.view(side, 1), axis.view(1, side)
    (a, b, shift_x), (c, d, shift_y) = matrix.tolist()
    at_x = (2 * (a * x + b * y + shift_x) + 1) / source[1] - 1
    at_y = (2 * (c * x + d * y + shift_y) + 1) / source[0] - 1
    return torch.stack((at_x, at_y), -1)[None]
