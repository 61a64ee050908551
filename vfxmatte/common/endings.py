"""Finishing work at the end of a block, however the block ends."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def ended_by(finish: Callable[[], None]) -> Iterator[None]:
    """Call `finish` when the block ends; if the block fails, its error is the one to report."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):
            finish()
        raise
    finish()
