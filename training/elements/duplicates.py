"""Duplicate elements, found by a perceptual hash.

The hash compares neighbouring cells of a small picture of the covered part (difference hash) in
colour over black and in alpha, and encodes the mean colour in bits, so that a copy is found in
another size, place in the frame, format or compression.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.types import FloatImage

SAME_WITHIN_BITS = 24
"""Two elements whose hashes differ in fewer bits are duplicates."""

_SIDE = 16  # cells
_COLOUR_BITS = 64  # of each channel of the mean colour
_FLAT = 0.01  # least difference of cells that counts, above noise


def look_hash(colour: FloatImage, alpha: FloatImage) -> NDArray[np.uint8]:
    """Compute an element's hash, 88 bytes.

    Args:
        colour: (H, W, 3) float32 encoded.
        alpha: (H, W) float32 in [0, 1], not empty.
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
    """Return the index of the nearest earlier hash of the same picture, or None.

    Args:
        look: a hash from `look_hash`.
        earlier: hashes to compare with.
        excused: for each of them, True if it may look alike (frames of one sequence).
    """
    if not earlier:
        return None
    distance = np.bitwise_count(np.stack(earlier) ^ look).sum(axis=1, dtype=np.int64)
    if excused:
        distance[np.asarray(excused, bool)] = SAME_WITHIN_BITS
    nearest = int(np.argmin(distance))
    return nearest if distance[nearest] < SAME_WITHIN_BITS else None
