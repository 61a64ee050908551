"""Converts network-encoded pictures to the light in which classical methods solve."""

from __future__ import annotations

from typing import cast

import numpy as np

from vfxmatte.colour import decode_from_network
from vfxmatte.engines.classical.settings import Light
from vfxmatte.types import FloatImage, Floats


def in_light(image: FloatImage, light: Light) -> Floats:
    """Convert network-encoded RGB (H, W, 3) to float64 in linear light or as on a display.

    Linear values above 1 are compressed to 2 - 1/x, which continues the slope at 1 and stays below
    2, so that a highlight is no further from white than black is. Display values are the network's
    own, below 1.2. Negative values become 0.
    """
    if light == "display":
        return np.clip(image, 0.0, None).astype(np.float64)
    linear = decode_from_network(np.clip(image, 0.0, None).astype(np.float64))
    return cast(Floats, np.where(linear > 1.0, 2.0 - 1.0 / np.clip(linear, 1.0, None), linear))
