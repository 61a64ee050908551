"""A stand-in for nodes/command.py with its exact signatures; tells a run frame by frame."""

from __future__ import annotations

import importlib.util
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any


class EngineError(Exception):
    def __init__(self, what: str, *, kind: str = "VfxmatteError", hint: str | None = None) -> None:
        super().__init__(what)
        self.what, self.kind, self.hint = what, kind, hint

    def __str__(self) -> str:
        return f"{self.what} [shot x]\n  {self.hint}" if self.hint else self.what


class Job:
    def __init__(self) -> None:
        self.cancelled, self.done = False, False
        self.error: EngineError | None = None
        self.stop = threading.Event()
        self._finished = threading.Event()
        self._totals: Any = None

    def cancel(self) -> None:
        self.cancelled = True
        self.stop.set()

    def wait(self, timeout: float | None = None) -> bool:
        return self._finished.wait(timeout)

    def result(self, timeout: float | None = None) -> Any:
        assert self._finished.wait(timeout or 10)
        if self.error is not None:
            raise self.error
        return self._totals

    def finish(self, totals: Any = None, error: EngineError | None = None) -> None:
        self._totals, self.error, self.done = totals, error, True
        self._finished.set()


class Engine:
    """jobs: what was asked for. `gate`: frames are solved only while it is set."""

    jobs: list[dict[str, Any]]
    gate: threading.Event
    failing: set[int]
    error: EngineError | None
    pixels: Callable[[dict[str, Any]], bytes]

    def __init__(
        self, command: Any = None, *, idle_seconds: int | None = None, serve: bool = True
    ) -> None:
        self.command = command

    def start_run(
        self,
        *,
        shot: Any = None,
        plate: Any = None,
        trimaps: Any = None,
        output: Any = None,
        frames: Any = None,
        colorspace: Any = None,
        ocio: Any = None,
        device: Any = None,
        mode: Any = None,
        precision: Any = None,
        weights: Any = None,
        settings: Any = None,
        overwrite: bool = False,
        on_event: Any = None,
        on_done: Any = None,
    ) -> Job:
        asked = {k: v for k, v in locals().items() if k not in ("self", "on_event", "on_done")}
        self.jobs.append({k: v for k, v in asked.items() if v is not None and v is not False})
        job = Job()
        first, _, last = str(frames).partition("-")
        numbers = range(int(first), int(last or first) + 1)
        work = threading.Thread(
            target=self._run, args=(job, Path(output), numbers, on_event), daemon=True
        )
        work.start()
        return job

    def _run(self, job: Job, output: Path, numbers: range, on_event: Any) -> None:
        if self.error is not None:
            job.finish(error=self.error)
            return
        on_event({"event": "start", "count": len(numbers), "frames": "…"})
        written = 0
        for number in numbers:
            while not self.gate.wait(0.005) and not job.stop.is_set():
                continue
            if job.stop.is_set():
                break
            failed = number in self.failing
            error = {"message": "this frame is damaged", "hint": "Look."} if failed else None
            path = None if failed else str(output / f"matte.{number:04d}.exr")
            status = "failed" if failed else "written"
            on_event(
                {"event": "frame", "frame": number, "status": status, "path": path, "error": error}
            )
            written += not failed
        totals = {"written": written, "kept": 0, "failed": len(self.failing), "skipped": 0}
        totals |= {"interrupted": job.stop.is_set(), "suggested_keyframe": 1012}
        totals |= {"suggested_confidence": 0.8}
        on_event({"event": "totals", **totals})
        job.finish(totals)

    def start_matte_pixels(
        self,
        *,
        image: Any,
        trimap: Any,
        width: int,
        height: int,
        image_type: str = "float32",
        trimap_type: str = "float32",
        colorspace: str = "sRGB - Texture",
        ocio: Any = None,
        device: Any = None,
        mode: Any = None,
        precision: Any = None,
        weights: Any = None,
        settings: Any = None,
        on_event: Any = None,
        on_done: Any = None,
    ) -> Job:
        asked = {k: v for k, v in locals().items() if k not in ("self", "on_event", "on_done")}
        self.jobs.append(asked)
        job = Job()
        if self.error is not None:
            job.finish(error=self.error)
        else:
            job.finish(type(self).pixels(asked))
        return job


def _real() -> Any:
    path = Path(__file__).parents[2] / "nodes" / "command.py"
    spec = importlib.util.spec_from_file_location("vfxmatte_real_command", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def engine_module() -> types.ModuleType:
    """A fresh module that looks like nodes/command.py."""
    fresh = type("Engine", (Engine,), {
        "jobs": [], "gate": threading.Event(), "failing": set(), "error": None,
        "pixels": staticmethod(lambda asked: bytes(asked["width"] * asked["height"] * 4)),
    })  # fmt: skip
    fresh.gate.set()
    module = types.ModuleType("vfxmatte_command")
    module.Engine, module.EngineError = fresh, EngineError  # type: ignore[attr-defined]
    module.tidy_path = _real().tidy_path  # type: ignore[attr-defined]
    module.settings_file = _real().settings_file  # type: ignore[attr-defined]
    return module
