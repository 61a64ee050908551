"""Known pixels of other frames: a shot's keyframes tell which colours are whose.

Where the artist has painted nothing certain of a colour on a frame, another keyframe often shows
it. An unknown pixel may be like such pixels too, as it is like known ones around it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.prior.constants import NEAR_PX
from vfxmatte.types import FloatImage, Mask

MOST = 40_000
"""Most samples, of all keyframes together; more cost time and tell little."""

_CERTAIN = 0.02  # alpha so near to 0 or 1 is that


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Pixels whose alpha is known, of the reduced pictures that priors are solved on."""

    colours: FloatImage
    """(n, 3) float32 as displayed."""
    places: FloatImage
    """(n, 2) float32: row and column."""
    alphas: NDArray[np.float32]
    """(n,), 0 or 1."""

    @classmethod
    def near(cls, displayed: FloatImage, unknown: Mask, alpha: FloatImage) -> Samples:
        """Take what is certain, in and near an unknown region, on every other pixel.

        Args:
            displayed: (h, w, 3). unknown: (h, w). alpha: (h, w), the frame's matte.
        """
        square = np.ones((2 * NEAR_PX + 1,) * 2, np.uint8)
        taken = cv2.dilate(unknown.astype(np.uint8), square).astype(bool)
        taken &= (alpha < _CERTAIN) | (alpha > 1 - _CERTAIN)
        taken[::2, 1::2] = taken[1::2, ::2] = False
        rows, columns = np.nonzero(taken)
        return cls(
            colours=displayed[taken],
            places=np.column_stack((rows, columns)).astype(np.float32),
            alphas=(alpha[taken] > 0.5).astype(np.float32),
        )

    @classmethod
    def joined(cls, several: Iterable[Samples]) -> Samples | None:
        """Join those of several frames, evenly thinned to at most `MOST`; None without any."""
        each = list(several)
        if not each:
            return None
        step = max(1, -(-sum(len(one.alphas) for one in each) // MOST))
        return cls(
            colours=np.concatenate([one.colours[::step] for one in each]),
            places=np.concatenate([one.places[::step] for one in each]),
            alphas=np.concatenate([one.alphas[::step] for one in each]),
        )

    def seen_from(self, row: int, column: int) -> Samples:
        """Return the same with places counted from a part of the picture."""
        places = self.places - np.array((row, column), np.float32)
        return Samples(colours=self.colours, places=places, alphas=self.alphas)

    def packed(self) -> bytes:
        """Return them as the content of an .npz file."""
        stream = io.BytesIO()
        np.savez_compressed(
            stream, colours=self.colours, places=self.places.astype(np.int16), alphas=self.alphas
        )
        return stream.getvalue()

    @classmethod
    def unpacked(cls, path: Path) -> Samples:
        """Read what `packed` gave; raises OSError, ValueError or KeyError."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(
                colours=arrays["colours"],
                places=arrays["places"].astype(np.float32),
                alphas=arrays["alphas"],
            )
