"""Ctrl-C, once and twice, and what else asks a process to end."""

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
"""Signals within this time are one press, which shells and wrappers may send twice."""
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")  # the last one where there are terminals


@contextmanager
def twice_ends_at_once() -> Iterator[None]:
    """Let the first Ctrl-C raise KeyboardInterrupt, and the next one end the process at once.

    What is written is written whole or not at all, so nothing is lost; but threads that still work
    could not be waited for, and would abort the process. A farm's request to end, and a closed
    terminal, count like Ctrl-C. A signal that is handled or ignored already stays so; outside the
    main thread all do.
    """
    ours: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        numbers = (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name))
        before = {number: signal.getsignal(number) for number in numbers}
        unhandled = (signal.default_int_handler, signal.SIG_DFL)
        ours = {number: handler for number, handler in before.items() if handler in unhandled}
    pressed: list[float] = []

    def end(*_: Any) -> None:
        now = time.monotonic()
        if not pressed:
            pressed.append(now)
            raise KeyboardInterrupt
        if now - pressed[0] > _ONE_PRESS_S:
            os.write(2, b"\nstopped at once\n")
            os._exit(INTERRUPTED)

    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        if not pressed:  # else it may be pressed once more while the interpreter ends
            for number, handler in ours.items():
                if signal.getsignal(number) is end:  # a command may have set its own
                    signal.signal(number, handler)
