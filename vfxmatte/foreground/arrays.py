"""Array operations of foreground estimation, in NumPy and in torch.

Both give the same values up to the order of a few additions.
"""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np

Array = Any
"""A numpy.ndarray or a torch.Tensor: images are (h, w, 3) or (h, w), lists (n, 3), (n, 4) or (n,);
float32, indices int32 or int64."""

Average = Any
"""Weighted sums of listed rows, see `Arrays.averages`."""


class Arrays(Protocol):
    """The operations that NumPy and torch write differently."""

    def halved(self, image: Array) -> Array:
        """Return the means of 2×2 pixels; an odd edge is repeated."""

    def enlarged(self, image: Array, shape: tuple[int, ...]) -> Array:
        """Double the size bilinearly, and crop to the height and width of `shape`."""

    def places(self, mask: Array) -> Array:
        """Return the flat indices of a mask's true elements, ascending."""

    def filled(self, count: int, value: int) -> Array:
        """Return a list of one index, `count` times."""

    def numbers(self, first: int, end: int) -> Array:
        """Return the indices from first to end - 1."""

    def select(self, mask: Array, first: Array, second: Array) -> Array:
        """Take elements of `first` where the mask is true, else of `second`."""

    def stacked(self, columns: list[Array]) -> Array:
        """Return lists (n,) side by side, (n, k)."""

    def joined(self, first: Array, second: Array) -> Array:
        """Return two lists one after the other."""

    def averages(self, rows: Array, weights: Array, count: int) -> Average:
        """Return an operator for `averaged`: each result is a weighted sum of four rows.

        Args:
            rows, weights: (n, 4).
            count: rows of the lists that it will be applied to.
        """

    def averaged(self, average: Average, values: Array) -> Array:
        """Apply an operator of `averages` to (count, 3); returns (n, 3)."""


class NumpyArrays:
    """The operations on numpy arrays; weighted sums are sparse products."""

    def halved(self, image: Array) -> Array:
        height, width = image.shape[:2]
        if height % 2 or width % 2:
            edges = (0, height % 2, 0, width % 2)
            image = cv2.copyMakeBorder(image, *edges, cv2.BORDER_REPLICATE)
        size = image.shape[1] // 2, image.shape[0] // 2
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    def enlarged(self, image: Array, shape: tuple[int, ...]) -> Array:
        size = 2 * image.shape[1], 2 * image.shape[0]
        large = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
        return np.ascontiguousarray(large[: shape[0], : shape[1]])

    def places(self, mask: Array) -> Array:
        return np.flatnonzero(mask).astype(np.int32)

    def filled(self, count: int, value: int) -> Array:
        return np.full(count, value, np.int32)

    def numbers(self, first: int, end: int) -> Array:
        return np.arange(first, end, dtype=np.int32)

    def select(self, mask: Array, first: Array, second: Array) -> Array:
        return np.where(mask, first, second)

    def stacked(self, columns: list[Array]) -> Array:
        return np.stack(columns, axis=1)

    def joined(self, first: Array, second: Array) -> Array:
        return np.concatenate((first, second))

    def averages(self, rows: Array, weights: Array, count: int) -> Average:
        from scipy.sparse import csr_matrix

        starts = np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32)
        return csr_matrix((weights.ravel(), rows.ravel(), starts), shape=(len(rows), count))

    def averaged(self, average: Average, values: Array) -> Array:
        return average @ values


class TorchArrays:
    """The operations on torch tensors of one device."""

    def __init__(self, device: Any) -> None:
        import torch

        self._torch: Any = torch
        self._device = device

    def halved(self, image: Array) -> Array:
        height, width = image.shape[:2]
        edges = (0, width % 2, 0, height % 2)
        planes = self._torch.nn.functional.pad(self._planes(image), edges, mode="replicate")
        return self._image(self._torch.nn.functional.avg_pool2d(planes, 2), image)

    def enlarged(self, image: Array, shape: tuple[int, ...]) -> Array:
        large = self._torch.nn.functional.interpolate(
            self._planes(image), scale_factor=2, mode="bilinear", align_corners=False
        )
        return self._image(large, image)[: shape[0], : shape[1]].contiguous()

    def places(self, mask: Array) -> Array:
        return mask.reshape(-1).nonzero().reshape(-1)

    def filled(self, count: int, value: int) -> Array:
        return self._torch.full((count,), value, device=self._device)

    def numbers(self, first: int, end: int) -> Array:
        return self._torch.arange(first, end, device=self._device)

    def select(self, mask: Array, first: Array, second: Array) -> Array:
        return self._torch.where(mask, first, second)

    def stacked(self, columns: list[Array]) -> Array:
        return self._torch.stack(columns, 1)

    def joined(self, first: Array, second: Array) -> Array:
        return self._torch.cat((first, second))

    def averages(self, rows: Array, weights: Array, count: int) -> Average:
        return rows, weights[:, :, None]

    def averaged(self, average: Average, values: Array) -> Array:
        rows, weights = average
        return (values[rows] * weights).sum(1)

    def _planes(self, image: Array) -> Array:
        """Return an image as (1, channels, h, w)."""
        return (image.movedim(-1, 0) if image.ndim == 3 else image[None])[None]

    def _image(self, planes: Array, like: Array) -> Array:
        """Undo `_planes`."""
        return planes[0].movedim(0, -1) if like.ndim == 3 else planes[0, 0]
