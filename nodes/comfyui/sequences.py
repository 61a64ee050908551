"""The sequence node: paths in, a folder of mattes out."""

from __future__ import annotations

import queue
from typing import Any

from . import client, host

_SHOWN_FAILURES = 5


def run(
    *,
    plate: str,
    trimaps: str,
    output: str,
    frames: str = "",
    colorspace: str = "",
    overwrite: bool = False,
    device: str = "auto",
    mode: str = "exact",
    command: str = "",
) -> tuple[str, int]:
    """Matte a shot on disk.

    Returns the folder and how many frames of the range have a matte. Raises RuntimeError with what
    to do where nothing can be done or a frame failed; the other frames are there then.
    """
    paths = {"plate": plate.strip(), "trimaps": trimaps.strip(), "output": output.strip()}
    empty = [name for name, value in paths.items() if not value]
    if empty:
        raise RuntimeError(f"{' and '.join(empty)} is empty: give a path")
    watch = _Watch()
    totals = _totals(
        client.engine(command.strip()).start_run(
            **paths,
            frames=frames.strip() or None,
            colorspace=colorspace.strip() or None,
            overwrite=overwrite,
            device=device,
            mode=mode,
            on_event=watch.events.put,
        ),
        watch,
    )
    watch.refuse_failures(paths["output"])
    return paths["output"], int(totals["written"]) + int(totals["kept"])


def _totals(job: Any, watch: _Watch) -> dict[str, Any]:
    try:
        totals: dict[str, Any] = host.wait_for(job, watch.drain)
    except client.command_module().EngineError as error:
        raise RuntimeError(str(error)) from error
    if totals.get("interrupted"):
        host.raise_if_interrupted()
        raise RuntimeError("the run was stopped; queue it again to go on")
    return totals


class _Watch:
    """What a run tells, brought from the client's thread to the node's."""

    def __init__(self) -> None:
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._failures: dict[int, str] = {}
        self._progress: host.Progress | None = None
        self._count = self._done = 0

    def drain(self) -> None:
        """Take in what has come; shows the progress."""
        while not self.events.empty():
            self._take(self.events.get())
        if self._progress is not None:
            self._progress.show(self._done, self._count)

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "start":
            self._count = int(event["count"])
            self._progress = host.Progress(self._count)
        elif event["event"] == "frame":
            self._done += 1
            error = event.get("error")
            if error:
                self._failures[int(event["frame"])] = str(error["message"])

    def refuse_failures(self, output: str) -> None:
        if not self._failures:
            return
        shown = sorted(self._failures)[:_SHOWN_FAILURES]
        listed = "\n".join(f"frame {number}: {self._failures[number]}" for number in shown)
        raise RuntimeError(
            f"{len(self._failures)} of {self._count} frames failed; the others are in {output}\n"
            f"{listed}"
        )
