"""The tiny shot of `conftest` as a movie."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.conftest import tiny_plate


def write_tiny_movie(path: Path) -> Path:
    """Write the tiny shot as a movie of 5 frames that a display shows well; returns its path."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(24))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.options = {"crf": "10"}
        for index in range(5):
            pixels = (tiny_plate(index).clip(0, 1) ** (1 / 2.4) * 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path
