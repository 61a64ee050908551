"""Trimaps and mattes as grey PNG files that record whether somebody has painted over them since.

Every file written here carries a digest of its own pixel data. A file without it, or with other
data, was saved by another program: it is an artist's work and never overwritten.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEY = b"vfxmatte-mask\0"


def write_png(path: Path, values: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write (H, W) uint8 or uint16 values atomically."""
    (height, width), size = values.shape, values.itemsize
    pixels = np.ascontiguousarray(values, f">u{size}").view(np.uint8)
    # each row starts with its filter type, 0: none
    rows = np.zeros((height, width * size + 1), np.uint8)
    rows[:, 1:] = pixels.reshape(height, width * size)
    data = zlib.compress(rows.tobytes(), 6)
    chunks = (
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8 * size, 0, 0, 0, 0)),
        _chunk(b"tEXt", _KEY + _digest(data)),
        _chunk(b"IDAT", data),
        _chunk(b"IEND", b""),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(_SIGNATURE + b"".join(chunks))
    os.replace(temporary, path)


def is_untouched(path: Path) -> bool:
    """Return True if the file still holds the pixels that `write_png` wrote."""
    chunks = dict(_chunks(path.read_bytes()))
    mark = chunks.get(b"tEXt", b"")
    return mark == _KEY + _digest(chunks.get(b"IDAT", b""))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode("ascii")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (kind, body) of each complete chunk; nothing for a file that is not a PNG."""
    at = len(_SIGNATURE) if data.startswith(_SIGNATURE) else len(data)
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length
