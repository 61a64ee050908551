"""Freed memory stays with the process, for programs that allocate as much for every frame."""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of malloc.h
_LARGEST = 2**31 - 1


def keep_freed_memory() -> None:
    """Keep freed memory for the next frame, in one heap for all threads.

    The GNU C library maps each large array anew, whose pages the kernel has to clear, and gives
    every thread a heap. It holds for the whole process, so a program calls it, and no library. It
    does nothing with other C libraries, nor where a variable MALLOC_… of that library is set.
    """
    if not sys.platform.startswith("linux") or any(n.startswith("MALLOC_") for n in os.environ):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_ARENA_MAX, 1)
        mallopt(_MMAP_THRESHOLD, _LARGEST // 2)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
