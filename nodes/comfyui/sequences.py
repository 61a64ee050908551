"""The sequence node: paths in, a folder of mattes out."""

from __future__ import annotations

import os
import queue
from typing import Any

from . import client, host, places

_MAX_FAILURES = 5  # listed in the error
_FIT_STEPS_A_LINE = 20
_last_jobs: dict[str, Any] = {}  # by output folder; a cancelled one may still be running


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
    subject: str = "",
    foreground: str = "none",
    layers: str = "",
    subject_layers: bool = False,
    fit: str = "auto",
    garbage: str = "",
    core: str = "",
    clean_plate: str = "",
) -> tuple[str, int]:
    """Matte a shot on disk; see the node's inputs in `specs`, and `places` for the paths.

    Returns:
        The output folder (of one subject that was named: its own in it), and how many mattes of
        the range are there.

    Raises:
        RuntimeError: nothing could be done, or a frame failed; the other frames are finished then.
    """
    controls = _controls(garbage=garbage, core=core, cleanplate=clean_plate)
    paths = _paths(plate, trimaps, output)
    folder, name = paths["output"], subject.strip()
    _wait_for_last(folder)
    watch = _Watch()
    job = (
        client.package()
        .shared_client()
        .start_run(
            **paths,
            **controls,
            frames=frames.strip() or None,
            colorspace=colorspace.strip() or None,
            overwrite=overwrite,
            device=device,
            mode=mode,
            subject=name or None,
            subject_layers=subject_layers or None,
            **_colours(foreground, layers),
            fit=None if fit.strip() in ("", "auto") else fit.strip(),
            on_event=watch.events.put,
        )
    )
    _last_jobs[folder] = job
    totals = _totals(job, watch)
    watch.refuse_failures(folder)
    mattes = os.path.join(folder, name) if name else folder
    return mattes, int(totals["written"]) + int(totals["kept"])


def _colours(foreground: str, layers: str) -> dict[str, str]:
    chosen = {"foreground": "" if foreground == "none" else foreground, "layers": layers.strip()}
    return {name: value for name, value in chosen.items() if value}


def _paths(plate: str, trimaps: str, output: str) -> dict[str, str]:
    tidy = client.package().tidy_path
    sources = {"plate": tidy(plate), "trimaps": tidy(trimaps)}
    empty = [name for name, value in sources.items() if not value]
    if empty:
        raise RuntimeError(f"{' and '.join(empty)} is empty: give a path")
    inputs = {name: places.input_path(name, value) for name, value in sources.items()}
    return {**inputs, "output": places.output_path(tidy(output), **inputs)}


def _controls(**texts: str) -> dict[str, str]:
    """Return the paths of garbage and core mattes and of clean plates that are given."""
    tidy = client.package().tidy_path
    paths = {name: tidy(text) for name, text in texts.items()}
    return {
        name: places.input_path("clean_plate" if name == "cleanplate" else name, text)
        for name, text in paths.items()
        if text
    }


def _wait_for_last(folder: str) -> None:
    """Wait for a cancelled run into the folder, which it locks until its frame is done."""
    for key, job in list(_last_jobs.items()):
        if key == folder:
            host.wait_until_over(job)
        if job.wait(0):
            _last_jobs.pop(key, None)


def _totals(job: Any, watch: _Watch) -> dict[str, Any]:
    try:
        totals: dict[str, Any] = host.wait_for(job, watch.drain)
    except client.package().ClientError as error:
        raise RuntimeError(str(error)) from error
    if totals.get("interrupted"):
        host.raise_if_interrupted()
        raise RuntimeError("the run was stopped; queue it again to go on")
    return totals


class _Watch:
    """The events of a run, passed from the client's thread to the node's."""

    def __init__(self) -> None:
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self._failures: dict[tuple[int, str], str] = {}  # by frame and subject
        self._progress: host.Progress | None = None
        self._count = self._done = 0
        self._fit: tuple[int, int] | None = None

    def drain(self) -> None:
        """Process the events that have arrived, and show the progress."""
        while not self.events.empty():
            self._take(self.events.get())
        if self._progress is not None:
            self._progress.show(*(self._fit or (self._done, self._count)))

    def _take(self, event: dict[str, Any]) -> None:
        if event["event"] == "start":
            self._count = int(event["count"])
            self._progress = host.Progress(self._count)
        elif event["event"] == "fit":
            self._fit = int(event["step"]), int(event["steps"])
            if event["step"] % _FIT_STEPS_A_LINE == 0:
                host.log.info("fitting to the shot: step %d of %d", *self._fit)
        elif event["event"] == "frame":
            self._done, self._fit = self._done + 1, None
            error = event.get("error")
            if error:
                subject = str(event.get("subject") or "")
                self._failures[int(event["frame"]), subject] = str(error["message"])

    def refuse_failures(self, output: str) -> None:
        """Raise RuntimeError if frames failed; the others are in the folder `output`."""
        if not self._failures:
            return
        first = sorted(self._failures)[:_MAX_FAILURES]
        names = {key: " ".join(filter(None, (str(key[0]), key[1]))) for key in first}
        listed = "\n".join(f"frame {names[key]}: {self._failures[key]}" for key in first)
        raise RuntimeError(
            f"{len(self._failures)} of {self._count} frames failed; the others are in {output}\n"
            f"{listed}"
        )
