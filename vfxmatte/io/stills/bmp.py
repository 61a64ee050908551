"""Refuse BMP files that OpenImageIO silently reads with wrong colours."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from vfxmatte.errors import PlateError

_MASKS = {16: {(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F)}, 32: {(0xFF0000, 0xFF00, 0xFF)}}
_RUN_LENGTHS, _BIT_FIELDS = (1, 2), (3, 6)


def check_bmp(path: Path) -> None:
    """Raise PlateError if the file is of a kind that OpenImageIO misreads."""
    with path.open("rb") as file:
        data = file.read(70)
    if len(data) < 70:
        return  # OpenImageIO reports the problem
    place, header_size, _, height, _, bits, packing = struct.unpack_from("<IIiiHHI", data, 10)
    if header_size < 40:
        return
    problem = ""
    if packing in _BIT_FIELDS and struct.unpack_from("<3I", data, 54) not in _MASKS.get(bits, ()):
        problem = "its colours are packed in an unusual way (bit fields)"
    elif packing in _RUN_LENGTHS and height < 0:
        problem = "it is compressed, and upside down"
    elif bits <= 8:
        (colours,) = struct.unpack_from("<I", data, 46)
        problem = _palette_problem(path, place, 14 + header_size, colours or 1 << bits, bits)
    if problem:
        raise PlateError(f"this BMP cannot be read: {problem}", path=path, hint="write it as PNG")


def _palette_problem(path: Path, place: int, palette: int, colours: int, bits: int) -> str:
    if place < palette + 4 * colours:
        return "its palette and its picture overlap"
    if bits == 8 and colours < 256:
        indices = np.fromfile(path, np.uint8, offset=place)
        if indices.size and int(indices.max()) >= colours and not _is_packed(path):
            return "its picture uses colours that its palette lacks"
    return ""


def _is_packed(path: Path) -> bool:
    with path.open("rb") as file:
        return bool(struct.unpack("<30xI", file.read(34))[0])
