"""The unknown region of a reduced picture, and its pixels in the order in which they are solved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vfxmatte.types import FloatImage, Mask

Places = NDArray[np.intp]

BLOCK_PX = 8
"""Side of the squares that the pixels are ordered by."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """The unknown region of a reduced picture, and what is known around it."""

    unknown: Mask
    """(h, w), at least one."""
    known: FloatImage
    """(h, w) float32 alphas; 0 where unknown."""

    @cached_property
    def pixels(self) -> Places:
        """(u,) unknown pixels: square by square, and in each in reading order."""
        return self._ordered[0]

    @cached_property
    def firsts(self) -> Places:
        """(n,) the first of the pixels in each square."""
        return self._ordered[1]

    @cached_property
    def numbers(self) -> NDArray[np.int32]:
        """(h, w) which of the pixels each is; 0 where known."""
        numbers = np.zeros(self.unknown.shape, np.int32)
        numbers.reshape(-1)[self.pixels] = np.arange(len(self.pixels), dtype=np.int32)
        return numbers

    @cached_property
    def _ordered(self) -> tuple[Places, Places]:
        pixels = np.flatnonzero(self.unknown)
        width = self.unknown.shape[1]
        y, x = np.divmod(pixels, width)
        squares = y // BLOCK_PX * -(-width // BLOCK_PX) + x // BLOCK_PX
        kind = np.min_scalar_type(int(squares[-1]))  # short numbers are sorted fastest
        order = squares.astype(kind).argsort(kind="stable")
        return pixels[order], np.flatnonzero(np.diff(squares[order], prepend=-1))
