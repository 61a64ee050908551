"""What one run over one shot costs, measured in this process: time, memory, waiting, idling."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.benchmarks.process import run_apart
from vfxmatte.common.process_memory import peak_gpu_bytes, peak_rss_bytes
from vfxmatte.engines.protocol import Engine, EngineSettings, Mode, Precision, Task
from vfxmatte.types import Failure, FrameResult, Matte

_STAGE_SUFFIX = "_ms"


@dataclass(frozen=True, kw_only=True)
class RunCost:
    """What one run took.

    seconds: the whole of it, loading the network included. ready_seconds: of those, until libraries
        and network were loaded. seconds_at_frame: since the start, when each frame was through.
    stages_ms: worker time of each stage, all frames; stages overlap.
    engine_seconds: from the engine's first wish for a frame to its last matte. waited_seconds: of
        those, what it waited for frames to be read and prepared.
    peak_rss_bytes: the most memory that the process held at once; None where the system does not
        tell. peak_gpu_bytes: of a GPU's memory.
    gpu_busy_seconds: None unless that was asked for and there was a GPU.
    unknown_share: of the frames' pixels, on average.
    """

    frames: int
    failed: int
    seconds: float
    peak_rss_bytes: int | None
    device: str
    ready_seconds: float = 0.0
    seconds_at_frame: tuple[float, ...] = ()
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    engine_seconds: float = 0.0
    waited_seconds: float = 0.0
    peak_gpu_bytes: int | None = None
    gpu_busy_seconds: float | None = None
    unknown_share: float | None = None

    @property
    def fps(self) -> float | None:
        """Frames a second, from the moment at which everything was loaded to the last frame.

        The first frame's way through all stages counts: a long shot is a little faster.
        """
        at = self.seconds_at_frame
        return len(at) / (at[-1] - self.ready_seconds) if at else None

    @property
    def waiting_share(self) -> float | None:
        """Share of the engine's time in which it waited for input."""
        return self.waited_seconds / self.engine_seconds if self.engine_seconds else None

    @property
    def gpu_idle_share(self) -> float | None:
        """Share of the engine's time in which no kernel ran."""
        if self.gpu_busy_seconds is None or not self.engine_seconds:
            return None
        return max(0.0, 1 - self.gpu_busy_seconds / self.engine_seconds)


class WatchedEngine:
    """An engine that is told how long it works, and how long it waits for its input."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.device = engine.device
        self.seconds = 0.0
        self.waited_seconds = 0.0

    def describe(self) -> Mapping[str, Any]:
        return self.engine.describe()

    def close(self) -> None:
        self.engine.close()

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte | Failure]:
        started = time.perf_counter()
        try:
            for matte in self.engine.mattes(self._watched(tasks)):
                self.seconds = time.perf_counter() - started
                yield matte
        finally:
            self.seconds = time.perf_counter() - started

    def _watched(self, tasks: Iterable[Task]) -> Iterator[Task]:
        asked = time.perf_counter()
        for task in tasks:
            self.waited_seconds += time.perf_counter() - asked
            yield task
            asked = time.perf_counter()
        self.waited_seconds += time.perf_counter() - asked


def measure_run(
    folder: Path,
    *,
    weights: Path | None = None,
    device: str = "auto",
    precision: Precision = "auto",
    mode: Mode = "exact",
    workers: int = 0,
    record_gpu: bool = False,
) -> RunCost:
    """Solve a shot in this process; everything that the process held before counts too.

    record_gpu: find out how long a GPU was busy, which costs some speed.
    """
    from vfxmatte.engines.registry import open_engine
    from vfxmatte.fitting.settings import FitSettings
    from vfxmatte.pipeline.run import Run
    from vfxmatte.pipeline.settings import RunSettings
    from vfxmatte.pipeline.shot import Shot

    started = time.perf_counter()
    told = EngineSettings(weights=weights, device=device, precision=precision, mode=mode)
    engine = WatchedEngine(open_engine(told))
    ready = time.perf_counter() - started
    results: list[FrameResult] = []
    at: list[float] = []
    with contextlib.ExitStack() as things:
        things.callback(engine.close)
        settings = RunSettings(engine=told, workers=workers, fit=FitSettings(when="off"))
        run = things.enter_context(Run(Shot.open(folder), settings, engine=engine))
        busy = _busy(things, engine.device) if record_gpu else None
        for result in run.frames():
            results.append(result)
            at.append(time.perf_counter() - started)
        peaks = peak_rss_bytes(), peak_gpu_bytes(engine.device)
    return RunCost(
        frames=len(results),
        failed=sum(result.status == "failed" for result in results),
        seconds=round(time.perf_counter() - started, 3),
        peak_rss_bytes=peaks[0],
        device=engine.device,
        ready_seconds=round(ready, 4),
        seconds_at_frame=tuple(round(second, 4) for second in at),
        stages_ms=_stages(results),
        engine_seconds=engine.seconds,
        waited_seconds=engine.waited_seconds,
        peak_gpu_bytes=peaks[1],
        gpu_busy_seconds=None if busy is None else busy.seconds,
        unknown_share=_mean([r.stats["unknown_share"] for r in results if r.stats]),
    )


def _busy(things: contextlib.ExitStack, device: str) -> Any:
    """A recording that ends with the run; None without a GPU."""
    from tests.benchmarks.busy import Busy

    return things.enter_context(Busy()) if device.startswith("cuda") else None


def _stages(results: Iterable[FrameResult]) -> dict[str, float]:
    total: dict[str, float] = {}
    for result in results:
        for name, value in result.stats.items():
            if name.endswith(_STAGE_SUFFIX):
                stage = name.removesuffix(_STAGE_SUFFIX)
                total[stage] = total.get(stage, 0.0) + value
    return total


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def measure_run_apart(folder: Path, **told: Any) -> RunCost:
    """`measure_run` in a process of its own. Raises VfxmatteError where it fails."""
    weights = told.get("weights")
    plain = {**told, "folder": str(folder), "weights": None if weights is None else str(weights)}
    found = run_apart("run", plain, shot=folder)
    return RunCost(**{**found, "seconds_at_frame": tuple(found["seconds_at_frame"])})


def cost_as_told(told: Mapping[str, Any]) -> dict[str, Any]:
    """The child's part of `measure_run_apart`."""
    weights = None if told["weights"] is None else Path(told["weights"])
    rest = {key: value for key, value in told.items() if key not in ("folder", "weights")}
    return asdict(measure_run(Path(told["folder"]), weights=weights, **rest))
