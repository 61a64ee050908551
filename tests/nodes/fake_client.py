"""A client whose server is faked: the real calls and jobs, but frames are solved by the test."""

from __future__ import annotations

import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nodes.vfxmatte_client import Client, ClientError, Job, settings_file, tidy_path
from nodes.vfxmatte_client.pixels import PixelFile


class FakeClient(Client):
    """The real client in front of a fake server. Each test has a subclass of its own."""

    requests: list[dict[str, Any]]
    """Options of each job, without those that are None or False."""
    gate: threading.Event
    """Frames are solved only while it is set."""
    failing: set[int]
    """Frames that fail."""
    fit_steps: list[tuple[int, int]]
    """Step and steps of a fit to the shot, before the frames."""
    subjects: list[str]
    """The subjects of the shot; those that a job names are solved, else all."""
    error: ClientError | None
    """Ends every job."""
    pixels: Callable[[dict[str, Any]], bytes]
    """The alpha for the options of `start_matte_pixels`."""

    def start_run(self, **options: Any) -> Job:
        self._record(options)
        return super().start_run(**options)

    def start_matte_pixels(self, **options: Any) -> Job:
        self._record(options)
        return super().start_matte_pixels(**options)

    def _record(self, options: dict[str, Any]) -> None:
        callbacks = ("on_event", "on_done")
        given = {name: v for name, v in options.items() if name not in callbacks}
        self.requests.append({n: v for n, v in given.items() if v is not None and v is not False})

    def _run(self, job: Job, params: dict[str, Any]) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        stop = threading.Event()
        job.stop_with(stop.set)
        first, _, last = str(params["settings"]["frames"]).partition("-")
        numbers = range(int(first), int(last or first) + 1)
        job.report({"event": "start", "count": len(numbers), "frames": "…"})
        for step, steps in self.fit_steps:
            job.report({"event": "fit", "step": step, "steps": steps, "error": 0.05})
        written = 0
        subjects = params.get("subject") or self.subjects or [None]
        for number, subject in ((n, name) for n in numbers for name in subjects):
            while not self.gate.wait(0.005) and not stop.is_set():
                continue
            if stop.is_set():
                break
            job.report(self._frame(number, subject, Path(params["output"])))
            written += number not in self.failing
        totals = {"written": written, "kept": 0, "failed": len(self.failing), "skipped": 0}
        totals |= {"interrupted": stop.is_set(), "suggested_keyframe": 1012}
        totals |= {"suggested_confidence": 0.8}
        job.report({"event": "totals", **totals})
        return totals

    def _frame(self, number: int, subject: str | None, output: Path) -> dict[str, Any]:
        frame: dict[str, Any] = {"event": "frame", "frame": number, "subject": subject}
        if number in self.failing:
            error = {"message": "this frame is damaged", "hint": "Look."}
            return {**frame, "status": "failed", "path": None, "error": error}
        path = str(output / (subject or "") / f"matte.{number:04d}.exr")
        return {**frame, "status": "written", "path": path, "error": None}

    def _pixels(self, job: Job, params: dict[str, Any], **arrays: Any) -> bytes:
        if self.error is not None:
            raise self.error
        with PixelFile(**arrays):  # which checks sizes and types
            height, width = arrays["trimap"].shape
        values = {name: array.values for name, array in arrays.items()}
        return type(self).pixels({**values, "width": width, "height": height})


def fake_package() -> Any:
    """Make a fresh module with the names of `vfxmatte_client` that hosts use."""
    fresh = type("FreshClient", (FakeClient,), {
        "requests": [], "gate": threading.Event(), "failing": set(), "fit_steps": [],
        "subjects": [], "error": None,
        "pixels": staticmethod(lambda arrays: bytes(arrays["width"] * arrays["height"] * 4)),
    })  # fmt: skip
    fresh.gate.set()
    shared = fresh()
    package: Any = types.ModuleType("vfxmatte_client")
    package.Client, package.ClientError, package.shared_client = fresh, ClientError, lambda: shared
    package.tidy_path, package.settings_file = tidy_path, settings_file
    return package
