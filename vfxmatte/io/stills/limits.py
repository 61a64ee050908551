"""Check the size that a header claims before anything is allocated."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from vfxmatte.errors import PlateError
from vfxmatte.types import Window

_GIB = 1 << 30
_LARGE = _GIB // 2  # decoded bytes (45 Mpx of RGB) from which the file size is checked too
_DENSEST = 200  # maximum ratio of stored values to file size of a genuine large picture
_COPIES = 4  # minimum number of copies of a picture in memory while a frame is solved


def check_size(path: Path, window: Window, channels: int, sample_bytes: int) -> None:
    """Raise PlateError for a picture too large for memory or for its file.

    Args:
        sample_bytes: bytes per value in the file.
    """
    values = window.width * window.height * channels
    too_much = too_large(values * 4)
    if too_much:
        raise PlateError(
            f"the picture is too large: {window.width}×{window.height} pixels {too_much}",
            path=path,
            hint="is its header damaged?",
        )
    if values * 4 > _LARGE and values * sample_bytes > _DENSEST * path.stat().st_size:
        raise PlateError(
            f"the file is too small for what it announces: {window.width}×{window.height} pixels "
            f"in {path.stat().st_size} bytes",
            path=path,
            hint="its header is damaged, or it was made to fill the memory",
        )


def too_large(picture_bytes: int) -> str:
    """Explain why a picture of so many bytes does not fit into memory; "" if it does."""
    if picture_bytes * _COPIES <= memory_bytes():
        return ""
    return (
        f"take {size_text(picture_bytes)}, {_COPIES} times while they are matted: this machine has "
        f"{size_text(memory_bytes())}"
    )


def size_text(count: int) -> str:
    """Format bytes for a message: `142 MiB`."""
    if count < _GIB:
        return f"{count / (1 << 20):.0f} MiB"
    return f"{count / _GIB:,.1f} GiB"


@cache
def memory_bytes() -> int:
    """Return the memory of the machine or container in bytes; 16 GiB if unknown."""
    limits = [16 * _GIB]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(file).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return min(limits)
