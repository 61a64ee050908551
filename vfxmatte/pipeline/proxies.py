"""Small display-like pictures of frames, to estimate motion on."""

from __future__ import annotations

import cv2
import numpy as np

from vfxmatte.colour import ColourConfig
from vfxmatte.types import Frame, Picture


def proxy_of(frame: Frame, size: tuple[int, int], colours: ColourConfig) -> Picture:
    """Return (h, w, 3) uint8 display-like RGB of a frame, of a size (h, w)."""
    pixels = np.clip(frame.pixels, -1.0, 16.0)
    small = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
    if np.isnan(small).any():
        np.nan_to_num(pixels, copy=False)
        small = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
    encoded = colours.encode(np.asarray(small, np.float32), frame.colour_space)
    return np.rint(np.clip(encoded, 0, 1) * 255).astype(np.uint8)
