"""Read a reduced picture at some pixels of full size: enlarge it where needed and no more."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.types import FloatImage

Mask = NDArray[np.bool_]
Places = tuple[NDArray[np.intp], ...]

_ROW = 1024  # OpenCV reads in rows, none longer than 32767


@dataclass(frozen=True, kw_only=True, eq=False)
class Magnified:
    """n places of a picture that is an integer number of times larger than a reduced one."""

    x: FloatImage
    y: FloatImage
    """(rows, `_ROW`) float32, where the places lie in the reduced picture; some more at the end."""
    count: int

    @classmethod
    def of(cls, places: Places, factor: int) -> Magnified:
        """Take the rows and columns of n places, in the picture that is `factor` times larger."""
        count = len(places[0])
        within = np.zeros((2, -(-count // _ROW) * _ROW), np.float32)
        within[:, :count] = places
        within += 0.5
        within /= factor
        within -= 0.5
        y, x = within.reshape(2, -1, _ROW)
        return cls(x=x, y=y, count=count)

    def read(self, small: FloatImage) -> FloatImage:
        """Read (n, channels) float32, bilinear values of a picture (h, w, 1 to 4 channels).

        Places beyond the outermost centres have the values of these. OpenCV reads to 1/32 of a
        pixel.
        """
        rows = cv2.remap(small, self.x, self.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(rows.reshape(-1, small.shape[2])[: self.count], np.float32)
