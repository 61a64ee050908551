"""PNG chunks that announce more than the file holds."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

from vfxmatte.errors import PlateError
from vfxmatte.io.stills.reading import read_image


def write_png(path: Path) -> bytes:
    writer = oiio.ImageOutput.create(str(path))
    writer.open(str(path), oiio.ImageSpec(9, 6, 3, "uint8"))
    writer.write_image(np.full((6, 9, 3), 120, np.uint8))
    writer.close()
    return path.read_bytes()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize("kind", [b"tEXt", b"iCCP", b"eXIf", b"abCd"])
def test_a_chunk_of_four_gigabytes_is_refused_unread(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "a.png"
    data = write_png(path)
    lie = struct.pack(">I", 0xFF000020) + kind
    path.write_bytes(data[:33] + lie + data[33:])
    with pytest.raises(PlateError, match=f"chunk '{kind.decode()}' announces 4,278,190,112 bytes"):
        read_image(path)


def test_honest_chunks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    data = write_png(path)
    path.write_bytes(data[:33] + chunk(b"tEXt", b"Author\0somebody") + data[33:])
    assert read_image(path).colour.shape == (6, 9, 3)
