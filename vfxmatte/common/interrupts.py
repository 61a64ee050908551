"""Ctrl-C, once and twice."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vfxmatte.common.exit_codes import INTERRUPTED

_ONE_PRESS_S = 0.5
"""Interrupts within this time are one press, which shells and wrappers may send twice."""


@contextmanager
def twice_ends_at_once() -> Iterator[None]:
    """Let the first Ctrl-C raise KeyboardInterrupt, and the next one end the process at once.

    What is written is written whole or not at all, so nothing is lost; but threads that still work
    could not be waited for, and would abort the process. Does nothing where Ctrl-C is handled
    already, or outside the main thread.
    """
    before = signal.getsignal(signal.SIGINT)
    is_ours = before is signal.default_int_handler
    if not is_ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[float] = []

    def interrupt(*_: Any) -> None:
        now = time.monotonic()
        if not pressed:
            pressed.append(now)
            raise KeyboardInterrupt
        if now - pressed[0] > _ONE_PRESS_S:
            os.write(2, b"\nstopped at once\n")
            os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if not pressed:  # else it may still be pressed while the interpreter ends
            signal.signal(signal.SIGINT, before)
