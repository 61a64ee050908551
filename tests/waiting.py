"""Waiting for something that other threads or processes bring about."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_SECONDS = 60.0
"""How long a test waits before it fails."""


def until(condition: Callable[[], bool], missing: str = "it did not come") -> None:
    """Wait until a condition holds; fails with what is missing when patience ends."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, missing
        time.sleep(0.01)
