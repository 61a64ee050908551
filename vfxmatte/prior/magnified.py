"""Read a reduced picture at some pixels of full size: enlarge it where needed and no more."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.types import FloatImage

Mask = NDArray[np.bool_]
Places = tuple[NDArray[np.intp], ...]

_ROW = 1024  # OpenCV reads in rows, none longer than 32767


def read_at(small: FloatImage, places: Places, factor: int) -> FloatImage:
    """(n, channels) float32: bilinear values of a picture (h, w, 1 to 4 channels) at the rows and
    columns `places` of one that is `factor` times larger.

    Pixels beyond the outermost centres have the values of these. OpenCV reads to 1/32 of a pixel.
    """
    count = len(places[0])
    missing = -count % _ROW
    y, x = (
        np.pad((place.astype(np.float32) + 0.5) / factor - 0.5, (0, missing)).reshape(-1, _ROW)
        for place in places
    )
    rows = cv2.remap(small, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(rows.reshape(count + missing, small.shape[2])[:count], np.float32)
