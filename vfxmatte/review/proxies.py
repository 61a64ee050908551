"""Pictures of frames as WebP, small enough that a whole shot fits into one page."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping

import cv2
import numpy as np

from vfxmatte.review.footage import ReviewFrame
from vfxmatte.review.preview import resized
from vfxmatte.types import UNKNOWN, FloatImage, Picture

OTHER = "other-"
"""The prefix of the names of another take's planes."""

_QUALITIES = (90, 82, 74, 66, 58, 50, 42, 34, 26, 18, 10)  # of WebP
_LOSSLESS = 101  # OpenCV: a quality above 100
_EASED = 0.6  # a frame that needs less than this of its share lets the next have more quality
_BYTES_A_PIXEL = 0.13  # of one take, at a good quality
_SMALLEST_PX = 160


class Proxies:
    """Encodes frames one after the other within a number of bytes for all."""

    def __init__(self, count: int, size: tuple[int, int], most_bytes: int, *, takes: int) -> None:
        """
        Args:
            count: number of frames.
            size: (width, height) of the frames' pictures.
            most_bytes: for all frames together, as text.
            takes: 2 with another take beside each frame.
        """
        self._left, self._count = most_bytes * 3 // 4, count  # base64 makes 4 of 3
        self._quality = 0
        share = self._left / max(1, count)
        needed = _BYTES_A_PIXEL * (1 + 0.5 * (takes - 1)) * size[0] * size[1]
        scale = min(1.0, math.sqrt(share / needed))
        scale = max(scale, min(1.0, _SMALLEST_PX / max(size)))
        self.size = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))

    def add(
        self,
        frame: ReviewFrame,
        difference: Picture | None,
        other: ReviewFrame | None = None,
        other_difference: Picture | None = None,
    ) -> dict[str, bytes]:
        """Encode one frame; returns its planes by name, see `pages/frame_store.js`.

        Args:
            difference: (h, w) uint8, to the previous frame.
            other: the frame as the other take has it, with its difference.
        """
        share = self._left / max(1, self._count)
        pictures = _pictures(frame, difference, self.size)
        if other is not None:
            theirs = _pictures(other, other_difference, self.size)
            theirs.pop("plate", None)
            pictures |= {OTHER + name: picture for name, picture in theirs.items()}
        planes = _encoded(pictures, self._quality)
        while _bytes(planes) > share and self._quality < len(_QUALITIES) - 1:
            self._quality += 1
            planes = _encoded(pictures, self._quality)
        if _bytes(planes) < _EASED * share and self._quality > 0:
            self._quality -= 1
        self._left -= _bytes(planes)
        self._count -= 1
        return planes


def as_text(data: bytes) -> str:
    """Return bytes as base64."""
    return base64.b64encode(data).decode("ascii")


def encoded_webp(picture: Picture, quality: int) -> bytes:
    """Encode (h, w) grey or (h, w, 3) RGB uint8; a quality above 100 is lossless."""
    planes = picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)
    options = [cv2.IMWRITE_WEBP_QUALITY, quality]
    return bytes(cv2.imencode(".webp", cv2.cvtColor(planes, cv2.COLOR_RGB2BGR), options)[1])


def decoded_webp(data: bytes) -> Picture:
    """Decode to (h, w, 3) RGB uint8."""
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    return np.asarray(decoded, np.uint8)


def _encoded(pictures: Mapping[str, Picture], step: int) -> dict[str, bytes]:
    def quality(name: str) -> int:
        if name.endswith(("monitor", "trimap")):
            return _LOSSLESS
        return _QUALITIES[min(len(_QUALITIES) - 1, step + 2 * name.endswith("difference"))]

    return {name: encoded_webp(picture, quality(name)) for name, picture in pictures.items()}


def _pictures(
    frame: ReviewFrame, difference: Picture | None, size: tuple[int, int]
) -> dict[str, Picture]:
    alpha = None if frame.alpha is None else np.rint(frame.alpha * 255)
    listed = {
        "plate": frame.plate,
        "alpha": alpha,
        "foreground": frame.foreground,
        "difference": difference,
    }
    pictures = {name: _small(one, size) for name, one in listed.items() if one is not None}
    listed = {"monitor": frame.monitor, "trimap": frame.labels}
    return pictures | {
        name: _three_values(one, size) for name, one in listed.items() if one is not None
    }


def _small(picture: Picture | FloatImage, size: tuple[int, int]) -> Picture:
    return np.asarray(np.rint(resized(picture.astype(np.float32), size)), np.uint8)


def _three_values(values: Picture, size: tuple[int, int]) -> Picture:
    """Reduce 0, 128, 255: a pixel that is not wholly 0 or 255 is 128."""
    small = resized(values.astype(np.float32), size)
    exact = np.full(small.shape, UNKNOWN, np.uint8)
    exact[small < 0.25], exact[small > 254.75] = 0, 255
    return exact


def _bytes(planes: Mapping[str, bytes]) -> int:
    return sum(map(len, planes.values()))
