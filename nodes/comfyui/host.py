"""What the nodes ask of ComfyUI while they work: the progress bar, and whether to stop.

`comfy.utils.ProgressBar` and `comfy.model_management.throw_exception_if_processing_interrupted` as
in https://github.com/comfyanonymous/ComfyUI; both belong on the thread that executes the node.
Outside of ComfyUI neither does anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

_STOPPING_SECONDS = 20.0
_POLL_SECONDS = 0.1


class Progress:
    """ComfyUI's progress bar for the node that is being executed."""

    def __init__(self, total: int) -> None:
        self._bar: Any = None
        with contextlib.suppress(ImportError):
            from comfy.utils import ProgressBar

            self._bar = ProgressBar(total)

    def show(self, done: int, total: int) -> None:
        if self._bar is not None:
            self._bar.update_absolute(done, total)


def raise_if_interrupted() -> None:
    """Raises ComfyUI's own exception when the artist has pressed Cancel."""
    try:
        from comfy.model_management import throw_exception_if_processing_interrupted
    except ImportError:
        return
    throw_exception_if_processing_interrupted()


def wait_for(job: Any, meanwhile: Callable[[], None] = lambda: None) -> Any:
    """The job's result; `meanwhile` is called several times a second on this thread.

    Cancels the job when ComfyUI interrupts, and lets ComfyUI's exception through.
    """
    try:
        while not job.wait(_POLL_SECONDS):
            meanwhile()
            raise_if_interrupted()
        meanwhile()
    except BaseException:
        job.cancel()
        job.wait(_STOPPING_SECONDS)
        raise
    return job.result()
