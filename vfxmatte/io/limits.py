"""How much a picture may take: what a header claims is checked before anything is allocated."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from vfxmatte.errors import PlateError
from vfxmatte.types import Window

_GIB = 1 << 30
_LARGE = _GIB // 2  # decoded: 45 million pixels of RGB; larger ones must not be mere claims
_DENSEST = 200  # decoded bytes a byte of file, for a large picture that is one
_COPIES = 4  # of a picture that are held at the least while a frame is solved


def check_size(path: Path, window: Window, channels: int, sample_bytes: int) -> None:
    """Refuse a picture that does not fit into memory, or that its file cannot hold.

    sample_bytes: of a value in the file. Raises PlateError.
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
    """Why a picture of so many bytes cannot be worked on, for a message; "" where it can."""
    if picture_bytes * _COPIES <= memory_bytes():
        return ""
    return (
        f"take {size_text(picture_bytes)}, {_COPIES} times while they are matted: this machine has "
        f"{size_text(memory_bytes())}"
    )


def size_text(count: int) -> str:
    """Bytes for a message: `142 MiB`."""
    if count < _GIB:
        return f"{count / (1 << 20):.0f} MiB"
    return f"{count / _GIB:,.1f} GiB"


@cache
def memory_bytes() -> int:
    """The machine's memory, or what its container may use of it; 16 GiB where nobody says."""
    import os

    found = [16 * _GIB]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            found.append(int(Path(limit).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return min(found)
