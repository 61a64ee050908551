"""What the nodes ask of ComfyUI: its folders, the progress bar, and whether to stop.

`folder_paths`, `comfy.utils.ProgressBar` and
`comfy.model_management.throw_exception_if_processing_interrupted` as in
https://github.com/comfyanonymous/ComfyUI; the latter two belong on the thread that executes the
node. Outside of ComfyUI none does anything.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

log = logging.getLogger("vfxmatte")

_STOPPING_SECONDS = 0.5  # Cancel shall be done within a second
_POLL_SECONDS = 0.1


class Folders(NamedTuple):
    """ComfyUI's own folders; None outside of ComfyUI."""

    input: str | None = None
    output: str | None = None
    temp: str | None = None


def folders() -> Folders:
    """Asked each time: ComfyUI's command line sets them after nodes are loaded."""
    try:
        import folder_paths
    except ImportError:
        return Folders()
    return Folders(
        folder_paths.get_input_directory(),
        folder_paths.get_output_directory(),
        folder_paths.get_temp_directory(),
    )


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

    Cancels the job when ComfyUI interrupts, and lets ComfyUI's exception through at once: the
    engine may be in the middle of a frame, which the next job then waits for.
    """
    try:
        wait_until_over(job, meanwhile)
    except BaseException:
        job.cancel()
        job.wait(_STOPPING_SECONDS)
        raise
    return job.result()


def wait_until_over(job: Any, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Wait for the end of a job, however it ends; an interrupt is let through."""
    while not job.wait(_POLL_SECONDS):
        meanwhile()
        raise_if_interrupted()
    meanwhile()


def known_inputs(
    names: set[str], inputs: Mapping[str, Any], prompt: Any = None, node: Any = None
) -> dict[str, Any]:
    """The inputs that a node has; what a workflow names besides is left out, with a note.

    prompt, node: ComfyUI's PROMPT and UNIQUE_ID, because ComfyUI itself drops what it does not
    know, and nobody would learn that an old workflow's `command` counts for nothing.
    """
    asked = set(inputs)
    with contextlib.suppress(AttributeError, KeyError, TypeError):
        asked |= set(prompt[str(node)]["inputs"])
    _note_unknown(asked - names)
    return {name: value for name, value in inputs.items() if name in names}


def _note_unknown(names: set[str]) -> None:
    for name in sorted(names):
        log.warning(
            "the workflow's input %.80r is ignored%s",
            name,
            ": which program runs is set on the server, in command.txt or $VFXMATTE_COMMAND"
            if name == "command"
            else "",
        )
