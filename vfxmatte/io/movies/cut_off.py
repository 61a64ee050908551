"""Detect movie files that are shorter than their container states, such as interrupted copies.

Reads only the containers' lengths, never the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_MXF_PREFIX = b"\x06\x0e\x2b\x34"


def ends_early(path: Path) -> bool:
    """Return True if the file is shorter than it states; False if unknown."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(1024)
        for fits, ends in _CONTAINERS:
            if fits(head):
                file.seek(0)
                return any(end > size for end in ends(file, size))
    return False


def _chunk_ends(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield the ends of RIFF (AVI) chunks: the size follows the name."""
    position = 0
    while position + 8 <= size:
        file.seek(position + 4)
        position += 8 + int.from_bytes(file.read(4), "little")
        yield position
        position += position & 1


def _box_ends(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield the ends of MP4 and QuickTime boxes: the size comes first; 1 for a 64-bit one."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        length = int.from_bytes(file.read(4), "big")
        if length == 1:
            file.seek(position + 8)
            length = int.from_bytes(file.read(8), "big")
        if length < 8:  # 0: to the end of the file
            return
        position += length
        yield position


def _element_ends(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield the ends of Matroska elements; lengths of live recordings are unknown."""
    position = 0
    while position < size:
        file.seek(position)
        name, length = _ebml_number(file, keep_marker=True), _ebml_number(file, keep_marker=False)
        if name is None:
            return
        if length is not None:
            yield file.tell() + length
        if name == _SEGMENT:
            position = file.tell()  # into it
        elif length is None:
            return
        else:
            position = file.tell() + length


def _ebml_number(file: BinaryIO, *, keep_marker: bool) -> int | None:
    """Read a number of variable length; None at the end or if all its bits are set."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    rest = file.read(length - 1)
    value = int.from_bytes(first + rest, "big")
    if keep_marker:
        return value
    value &= (1 << 7 * length) - 1
    return None if value == (1 << 7 * length) - 1 else value


def _packet_ends(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield the end of MPEG transport packets, which have one size."""
    step = _packet_size(file.read(1024))
    yield -(-size // step) * step


def _packet_size(head: bytes) -> int:
    """Return 188, 192 (with time stamps), 204 (with checksums), or 0 for no transport stream."""
    for size, offset in ((188, 0), (192, 4), (204, 0)):
        sync = head[offset::size]
        if len(sync) >= 3 and set(sync) == {0x47}:
            return size
    return 0


def _triplet_ends(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield the ends of MXF triplets: a 16-byte key, a length, a value."""
    position = 0
    while position < size:
        file.seek(position + 16)
        first = (file.read(1) or b"\xff")[0]
        length = int.from_bytes(file.read(first & 127), "big") if first & 128 else first
        position = file.tell() + length
        yield position


def _last_page_ends(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield the end of the last Ogg page, which is flagged."""
    start = max(0, size - (1 << 17))
    file.seek(start)
    tail = file.read()
    at = tail.rfind(b"OggS")
    page = tail[at:]
    if at < 0 or len(page) < 27 or not page[5] & 4:
        yield size + 1
        return
    yield start + at + 27 + page[26] + sum(page[27 : 27 + page[26]])


def _trailer_ends(file: BinaryIO, size: int) -> Iterator[int]:
    """Yield an end beyond the file for a GIF without its final semicolon."""
    file.seek(size - 1)
    if file.read(1) != b";":
        yield size + 1


def _starts(*names: bytes, at: int = 0) -> Callable[[bytes], bool]:
    return lambda head: head[at:].startswith(names)


_CONTAINERS: tuple[
    tuple[Callable[[bytes], bool], Callable[[BinaryIO, int], Iterator[int]]], ...
] = (
    (_starts(b"RIFF"), _chunk_ends),
    (_starts(b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", at=4), _box_ends),
    (_starts(_EBML.to_bytes(4, "big")), _element_ends),
    (_starts(_MXF_PREFIX), _triplet_ends),
    (_starts(b"OggS"), _last_page_ends),
    (_starts(b"GIF8"), _trailer_ends),
    (lambda head: _packet_size(head) > 0, _packet_ends),
)
