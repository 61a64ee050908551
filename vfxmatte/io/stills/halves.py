"""Convert half floats to single precision and back, exactly and fast.

OpenCV 5 converts with CPU instructions. Older versions have no half floats: then widening uses a
table, and narrowing NumPy. The results are identical.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np

from vfxmatte.types import FloatImage, HalfImage

_ONE: Any = 1.0
_BLOCK = 1 << 16  # values looked up at once; fits the CPU cache


def widened(pixels: HalfImage) -> FloatImage:
    """Convert float16 of any shape to float32; NaN and infinity are preserved."""
    pixels = np.ascontiguousarray(pixels)
    if not _opencv_knows_halves():
        return _looked_up(pixels)
    wide: FloatImage = np.asarray(cv2.multiply(_flat(pixels), _ONE, dtype=cv2.CV_32F), np.float32)
    return wide.reshape(pixels.shape)


def narrowed(values: FloatImage) -> HalfImage:
    """Convert float32 of any shape to float16, rounded to nearest; too large is infinite."""
    values = np.ascontiguousarray(values)
    if not _opencv_knows_halves():
        with np.errstate(over="ignore"):
            return values.astype(np.float16)
    narrow: HalfImage = np.asarray(cv2.multiply(_flat(values), _ONE, dtype=cv2.CV_16F), np.float16)
    return narrow.reshape(values.shape)


def interleaved(planes: list[np.ndarray]) -> np.ndarray:
    """Merge (H, W) planes of one type, float16 or float32, into (H, W, C)."""
    kind = planes[0].dtype
    bits = [np.ascontiguousarray(p).view(f"u{kind.itemsize}") for p in planes]
    if kind.itemsize == 4:
        bits = [plane.view(np.int32) for plane in bits]  # OpenCV has no uint32
    shape = (*planes[0].shape, len(planes))
    return np.asarray(cv2.merge(bits)).view(kind).reshape(shape)


def _flat(pixels: np.ndarray) -> np.ndarray:
    """Flatten each row: OpenCV would multiply only the first channel."""
    return pixels.reshape(pixels.shape[0], -1)


@cache
def _opencv_knows_halves() -> bool:
    return int(cv2.__version__.split(".")[0]) >= 5


@cache
def _all_halves() -> FloatImage:
    return np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float32)


def _looked_up(pixels: HalfImage) -> FloatImage:
    out = np.empty(pixels.shape, np.float32)
    bits, target = pixels.view(np.uint16).reshape(-1), out.reshape(-1)
    for start in range(0, bits.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        np.take(_all_halves(), bits[block], out=target[block], mode="clip")
    return out
