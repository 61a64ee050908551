"""The one place where colour is converted.

Two things live here: OpenColorIO conversions by colour-space name, and the network's input curve.
The curve works on numpy arrays and torch tensors alike, because training composites in linear
light on the device and must encode exactly as inference does. Imports neither torch nor
OpenColorIO when it is itself imported.
"""

from __future__ import annotations

import sys
from typing import Any, TypeVar

import numpy as np

ArrayT = TypeVar("ArrayT")  # numpy.ndarray or torch.Tensor, float

NETWORK_ENCODING = "srgb-shoulder-1"
"""Name of the network's input curve; stored with weights, so that both always agree."""

_SHOULDER = 0.2  # what everything above scene-linear 1 may add to the encoded value
_FLOOR = -0.1  # encoded values never fall below this, however negative the plate


def _namespace(array: Any) -> Any:
    return np if isinstance(array, np.ndarray) else sys.modules["torch"]


def encode_for_network(linear: ArrayT) -> ArrayT:
    """Scene-linear Rec.709 to the network's display-like input, any shape, float.

    sRGB's curve from 0 to 1; above 1 highlights are compressed to 1 + 0.2·(1 − 1/x), so that every
    value stays apart yet below 1.2; below 0 the linear segment goes on down to −0.1. NaN becomes 0.
    Monotone and continuous. The output alpha never passes through here.
    """
    xp = _namespace(linear)
    x: Any = xp.nan_to_num(linear, nan=0.0, posinf=65504.0, neginf=0.0)
    inside = xp.clip(x, 0.0031308, 1.0)
    curve = 1.055 * inside ** (1 / 2.4) - 0.055
    low = xp.clip(12.92 * x, _FLOOR, None)
    high = _SHOULDER * (1.0 - 1.0 / xp.clip(x, 1.0, None))
    return xp.where(x < 0.0031308, low, curve + high)


def decode_srgb(encoded: ArrayT) -> ArrayT:
    """sRGB-encoded values to linear light, any shape, float; values below 0 stay on the segment."""
    xp = _namespace(encoded)
    e: Any = encoded
    curve = ((xp.clip(e, 0.04045, None) + 0.055) / 1.055) ** 2.4
    return xp.where(e <= 0.04045, e / 12.92, curve)
