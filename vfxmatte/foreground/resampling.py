"""Resample pictures for foreground estimation: by OpenCV in memory, by torch on a device.

Both give the same values up to rounding.
"""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np
import torch

Tensor = torch.Tensor
"""Pictures are (h, w, 3) or (h, w) float32."""


class Resampling(Protocol):
    """The operations that are written differently for a processor and for a device."""

    def halved(self, image: Tensor) -> Tensor:
        """Return the means of 2×2 pixels; an odd edge is repeated."""

    def enlarged(self, image: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Double the size bilinearly, and crop to the height and width of `shape`."""

    def overlay(self, image: Tensor, mask: Tensor, other: Tensor) -> None:
        """Copy the other picture's pixels where the mask (h, w) is true."""


class OpenCvResampling:
    """The operations on tensors in memory, several times as fast as torch's."""

    def halved(self, image: Tensor) -> Tensor:
        array: Any = image.numpy()
        height, width = array.shape[:2]
        if height % 2 or width % 2:
            edges = (0, height % 2, 0, width % 2)
            array = cv2.copyMakeBorder(array, *edges, cv2.BORDER_REPLICATE)
        size = array.shape[1] // 2, array.shape[0] // 2
        return torch.from_numpy(cv2.resize(array, size, interpolation=cv2.INTER_AREA))

    def enlarged(self, image: Tensor, shape: tuple[int, ...]) -> Tensor:
        size = 2 * image.shape[1], 2 * image.shape[0]
        large: Any = cv2.resize(image.numpy(), size, interpolation=cv2.INTER_LINEAR)
        return torch.from_numpy(np.ascontiguousarray(large[: shape[0], : shape[1]]))

    def overlay(self, image: Tensor, mask: Tensor, other: Tensor) -> None:
        cv2.copyTo(other.numpy(), mask.numpy().view(np.uint8), image.numpy())


class TorchResampling:
    """The operations on tensors of any device."""

    def halved(self, image: Tensor) -> Tensor:
        edges = (0, image.shape[1] % 2, 0, image.shape[0] % 2)
        planes = torch.nn.functional.pad(_planes(image), edges, mode="replicate")
        return _image(torch.nn.functional.avg_pool2d(planes, 2), image)

    def enlarged(self, image: Tensor, shape: tuple[int, ...]) -> Tensor:
        large = torch.nn.functional.interpolate(
            _planes(image), scale_factor=2, mode="bilinear", align_corners=False
        )
        return _image(large, image)[: shape[0], : shape[1]].contiguous()

    def overlay(self, image: Tensor, mask: Tensor, other: Tensor) -> None:
        image.copy_(torch.where(mask[:, :, None], other, image))


def _planes(image: Tensor) -> Tensor:
    """Return an image as (1, channels, h, w)."""
    return (image.movedim(-1, 0) if image.ndim == 3 else image[None])[None]


def _image(planes: Tensor, like: Tensor) -> Tensor:
    """Undo `_planes`."""
    return planes[0].movedim(0, -1) if like.ndim == 3 else planes[0, 0]
