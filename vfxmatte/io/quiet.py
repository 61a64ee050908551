"""Suppress standard output in one thread.

The OpenEXR module prints a line where it should raise; standard output belongs to the command.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
_thread_state = threading.local()
_inside = 0


class _Filter:
    """A stream that drops what quiet threads write."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        return len(text) if getattr(_thread_state, "quiet", False) else self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def quiet_thread() -> Iterator[None]:
    """Drop what this thread prints inside the block; blocks of several threads may overlap."""
    _enter()
    _thread_state.quiet = True
    try:
        yield
    finally:
        _thread_state.quiet = False
        _leave()


def _enter() -> None:
    global _inside
    with _lock:
        _inside += 1
        if not isinstance(sys.stdout, _Filter):
            sys.stdout = _Filter(sys.stdout)


def _leave() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if _inside == 0 and isinstance(sys.stdout, _Filter):
            sys.stdout = sys.stdout.stream
