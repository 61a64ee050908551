"""Trimap files that know their own content: so that a hand's work in them is noticed.

Every trimap that a run writes carries, as a PNG text chunk, the digest of its labels. A file
without it, or with other pixels, has been painted over and must not be overwritten.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from vfxmatte.types import Labels

_HEAD = 33  # PNG's signature and its IHDR chunk
_KEY = b"vfxmatte\0"


def marked(png: bytes, labels: Labels) -> bytes:
    """The PNG with the digest of its labels (H, W) uint8 in it."""
    body = b"tEXt" + _KEY + _digest(labels)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_HEAD] + chunk + png[_HEAD:]


def as_written(path: Path) -> bool:
    """Whether the file still holds what `marked` said; False for a file of another origin."""
    data = path.read_bytes()
    at = data.find(b"tEXt" + _KEY, 0, _HEAD + 4096)
    labels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    if at < 0 or labels is None:
        return False
    start = at + 4 + len(_KEY)
    return data[start:].startswith(_digest(np.asarray(labels, np.uint8)))


def _digest(labels: Labels) -> bytes:
    text = f"{labels.shape} {hashlib.sha256(np.ascontiguousarray(labels).tobytes()).hexdigest()}"
    return text.encode("ascii")
