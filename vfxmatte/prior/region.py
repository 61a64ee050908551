"""The unknown region of a reduced picture, and its pixels in the order in which they are solved."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vfxmatte.prior.constants import BLOCK_PX, MOST_BLOCKS
from vfxmatte.types import FloatImage, Mask

Places = NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Region:
    """The unknown region of a reduced picture, and what is known around it."""

    unknown: Mask
    """(h, w), at least one."""
    known: FloatImage
    """(h, w) float32 alphas; 0 where unknown."""

    @cached_property
    def pixels(self) -> Places:
        """(u,) unknown pixels: block by block, and in each in reading order."""
        return self._ordered[0]

    @cached_property
    def firsts(self) -> Places:
        """(n,) the first of the pixels in each block, a square of `BLOCK_PX` or a larger one."""
        return self._ordered[1]

    @cached_property
    def numbers(self) -> NDArray[np.int32]:
        """(h, w) which of the pixels each is; 0 where known."""
        numbers = np.zeros(self.unknown.shape, np.int32)
        numbers.reshape(-1)[self.pixels] = np.arange(len(self.pixels), dtype=np.int32)
        return numbers

    @cached_property
    def _ordered(self) -> tuple[Places, Places]:
        pixels, width = np.flatnonzero(self.unknown), self.unknown.shape[1]
        y, x = np.divmod(pixels, width)
        side = BLOCK_PX
        while True:
            blocks = y // side * -(-width // side) + x // side
            kind = np.min_scalar_type(int(blocks.max()))  # short numbers are sorted fastest
            order = blocks.astype(kind).argsort(kind="stable")
            firsts = np.flatnonzero(np.diff(blocks[order], prepend=-1))
            if len(firsts) <= MOST_BLOCKS:
                return pixels[order], firsts
            side *= 2
