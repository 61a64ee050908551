"""Check a PNG's chunks before a library reads them: one that claims 4 GB is given 4 GB."""

from __future__ import annotations

import struct
from pathlib import Path

from vfxmatte.errors import PlateError

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHECKSUM_BYTES = 4


def check_png(path: Path) -> None:
    """Refuse a PNG with a chunk that is larger than the file; other files pass.

    A picture (IDAT) that is cut off passes too: its reader says what is missing.

    Raises:
        PlateError: naming the chunk.
    """
    try:
        problem = _chunk_problem(path)
    except OSError as error:
        raise PlateError(f"cannot read this image: {error.strerror}", path=path) from error
    if problem:
        raise PlateError(
            problem,
            path=path,
            hint="the file is damaged or incomplete: copy or render it again",
        )


def _chunk_problem(path: Path) -> str | None:
    """Describe the first chunk that is larger than the file; None if there is none."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            return None
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if length > size - file.tell() and kind != b"IDAT":
                name = kind.decode("latin-1")
                return f"the PNG's chunk {name!r} announces {length:,} bytes in a file of {size:,}"
            file.seek(length + _CHECKSUM_BYTES, 1)
    return None
