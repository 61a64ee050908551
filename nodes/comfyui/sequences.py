"""The sequence node: paths in, a folder of mattes out."""

from __future__ import annotations

import queue
from typing import Any

from . import client, host, places

_SHOWN_FAILURES = 5
_stopping: dict[str, Any] = {}  # jobs that were cancelled and may not be over, by output folder


def run(
    *,
    plate: str = "",
    trimaps: str = "",
    output: str = "",
    frames: str = "",
    colorspace: str = "",
    overwrite: bool = False,
    device: str = "auto",
    mode: str = "exact",
) -> tuple[str, int]:
    """Matte a shot on disk.

    Paths are a workflow's: see `places`. Returns the folder and how many frames of the range have
    a matte. Raises RuntimeError with what to do where nothing can be done or a frame failed; the
    other frames are there then.
    """
    paths = _paths(plate, trimaps, output)
    folder = paths["output"]
    _wait_for_last(folder)
    watch = _Watch()
    job = client.engine().start_run(
        **paths,
        frames=frames.strip() or None,
        colorspace=colorspace.strip() or None,
        overwrite=overwrite,
        device=device,
        mode=mode,
        on_event=watch.events.put,
    )
    _stopping[folder] = job
    totals = _totals(job, watch)
    watch.refuse_failures(folder)
    return folder, int(totals["written"]) + int(totals["kept"])


def _paths(plate: str, trimaps: str, output: str) -> dict[str, str]:
    tidy = client.command_module().tidy_path
    sources = {"plate": tidy(plate), "trimaps": tidy(trimaps)}
    empty = [name for name, value in sources.items() if not value]
    if empty:
        raise RuntimeError(f"{' and '.join(empty)} is empty: give a path")
    found = {name: places.input_path(name, value) for name, value in sources.items()}
    return {**found, "output": places.output_path(tidy(output), **found)}


def _wait_for_last(folder: str) -> None:
    """A run that was cancelled holds its folder until its frame is done."""
    for key, job in list(_stopping.items()):
        if key == folder:
            host.wait_until_over(job)
        if job.wait(0):
            _stopping.pop(key, None)


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
