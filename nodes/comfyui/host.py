"""Calls into ComfyUI: its folders, the progress bar, and interruption.

`folder_paths`, `comfy.utils.ProgressBar` and
`comfy.model_management.throw_exception_if_processing_interrupted` as in
https://github.com/comfyanonymous/ComfyUI; call the latter two on the thread that executes the node.
Outside of ComfyUI none does anything.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

log = logging.getLogger("vfxmatte")

_STOPPING_SECONDS = 0.5  # Cancel must take effect within a second
_POLL_SECONDS = 0.1


class Folders(NamedTuple):
    """ComfyUI's own folders, as absolute paths; None outside of ComfyUI."""

    input: str | None = None
    output: str | None = None
    temp: str | None = None


def folders() -> Folders:
    """Return the folders at this moment: ComfyUI sets them after it has loaded the nodes."""
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
    """Raise ComfyUI's own exception if the artist has pressed Cancel."""
    try:
        from comfy.model_management import throw_exception_if_processing_interrupted
    except ImportError:
        return
    throw_exception_if_processing_interrupted()


def wait_for(job: Any, meanwhile: Callable[[], None] = lambda: None) -> Any:
    """Return a job's result, calling `meanwhile` several times a second on this thread.

    When ComfyUI interrupts, cancels the job and raises ComfyUI's exception at once: the server may
    be in the middle of a frame, which the next job then waits for.
    """
    try:
        wait_until_over(job, meanwhile)
    except BaseException:
        job.cancel()
        job.wait(_STOPPING_SECONDS)
        raise
    return job.result()


def wait_until_over(job: Any, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Wait for the end of a job, however it ends; raises ComfyUI's exception if interrupted."""
    while not job.wait(_POLL_SECONDS):
        meanwhile()
        raise_if_interrupted()
    meanwhile()


def known_inputs(
    names: set[str], inputs: Mapping[str, Any], prompt: Any = None, node: Any = None
) -> dict[str, Any]:
    """Return the inputs that a node has; others that a workflow names are ignored with a warning.

    Args:
        names: the node's inputs.
        inputs: values by name.
        prompt, node: ComfyUI's PROMPT and UNIQUE_ID. ComfyUI itself drops unknown inputs silently,
            so that an old workflow's `command` is found only there.
    """
    workflow = set(inputs)
    with contextlib.suppress(AttributeError, KeyError, TypeError):
        workflow |= set(prompt[str(node)]["inputs"])
    _warn_of_unknown(workflow - names)
    return {name: value for name, value in inputs.items() if name in names}


def _warn_of_unknown(names: set[str]) -> None:
    for name in sorted(names):
        log.warning(
            "the workflow's input %.80r is ignored%s",
            name,
            ": which program runs is set on the server, in command.txt or $VFXMATTE_COMMAND"
            if name == "command"
            else "",
        )
