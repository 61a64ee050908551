"""The picture that classical methods look at, from the one that the network looks at."""

from __future__ import annotations

from typing import cast

import numpy as np

from vfxmatte.colour import decode_from_network
from vfxmatte.engines.classical.settings import Light
from vfxmatte.types import FloatImage, Floats


def in_light(image: FloatImage, light: Light) -> Floats:
    """(H, W, 3) network-encoded RGB as float64 from 0, in linear light or as on a display.

    In linear light what is above 1 is compressed to 2 - 1/x: the slope goes on at 1, every value
    stays apart and none reaches 2, so that a highlight is no further from white than black is.
    On a display it is what the network sees, below 1.2. Negative values are 0.
    """
    if light == "display":
        return np.clip(image, 0.0, None).astype(np.float64)
    linear = decode_from_network(np.clip(image, 0.0, None).astype(np.float64))
    return cast(Floats, np.where(linear > 1.0, 2.0 - 1.0 / np.clip(linear, 1.0, None), linear))
