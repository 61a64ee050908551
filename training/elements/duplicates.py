"""Elements that show the same thing: found by a hash of what a picture looks like.

The hash compares neighbouring cells of a small picture of the covered part (difference hash),
colour over black and alpha alike, and counts up the mean colour in bits, so that another size,
place in the frame, format or compression does not hide a copy.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.types import FloatImage

SAME_WITHIN_BITS = 24
"""Two elements whose hashes differ in fewer bits are taken for the same."""

_SIDE = 16
_COLOUR_BITS = 64
_FLAT = 0.01  # cells closer than this are not compared: noise would decide


def look_hash(colour: FloatImage, alpha: FloatImage) -> NDArray[np.uint8]:
    """88 bytes that tell what an element looks like.

    colour: (H, W, 3) float32 encoded. alpha: (H, W) float32 in [0, 1], not empty.
    """
    rows, columns = np.nonzero(alpha > 0.02)
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    covered = np.nan_to_num(colour[box].mean(axis=2)) * alpha[box]
    planes = [_small(plane) for plane in (covered.astype(np.float32), alpha[box])]
    bits = [plane[:, 1:] - plane[:, :-1] > _FLAT for plane in planes]
    mean = (np.nan_to_num(colour[box]) * alpha[box][..., None]).sum((0, 1)) / alpha[box].sum()
    bits.append(np.arange(_COLOUR_BITS) < np.clip(mean, 0, 1)[:, None] * _COLOUR_BITS)
    return np.packbits(np.concatenate([b.ravel() for b in bits]))


def _small(plane: FloatImage) -> FloatImage:
    size = (_SIDE + 1, _SIDE)
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)


def find_duplicate(
    look: NDArray[np.uint8],
    earlier: Sequence[NDArray[np.uint8]],
    excused: Sequence[bool] = (),
) -> int | None:
    """Index of the nearest earlier hash that is the same picture, or None.

    excused: by earlier hash, True where looking alike is natural (frames of one sequence).
    """
    if not earlier:
        return None
    distance = np.bitwise_count(np.stack(earlier) ^ look).sum(axis=1, dtype=np.int64)
    if excused:
        distance[np.asarray(excused, bool)] = SAME_WITHIN_BITS
    nearest = int(np.argmin(distance))
    return nearest if distance[nearest] < SAME_WITHIN_BITS else None
