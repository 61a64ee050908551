"""Digests in trimap files that detect hand-painted changes.

Every trimap that a run writes has the digest of its labels in a PNG text chunk. A file without it,
or with other pixels, was painted by a person and must not be overwritten.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from vfxmatte.types import Labels

_HEAD = 33  # bytes of PNG's signature and IHDR chunk
_SEARCHED = 4096  # bytes after it in which the chunk is searched
_KEY = b"vfxmatte\0"


def marked(png: bytes, labels: Labels) -> bytes:
    """Insert the digest of (H, W) uint8 labels into their PNG."""
    body = b"tEXt" + _KEY + _digest(labels)
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_HEAD] + chunk + png[_HEAD:]


def as_written(path: Path) -> bool:
    """Return True if the labels still match the digest; False for files of another origin."""
    data = path.read_bytes()
    at = data.find(b"tEXt" + _KEY, 0, _HEAD + _SEARCHED)
    labels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    if at < 0 or labels is None:
        return False
    start = at + 4 + len(_KEY)
    return data[start:].startswith(_digest(np.asarray(labels, np.uint8)))


def _digest(labels: Labels) -> bytes:
    text = f"{labels.shape} {hashlib.sha256(np.ascontiguousarray(labels).tobytes()).hexdigest()}"
    return text.encode("ascii")
