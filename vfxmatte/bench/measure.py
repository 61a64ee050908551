"""Benchmarks: the engine alone on one frame, and a whole run from EXR to EXR."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.bench.scene import Scene
from vfxmatte.bench.timing import Timing, timed
from vfxmatte.common.process_memory import peak_gpu_bytes, peak_rss_bytes
from vfxmatte.engines.protocol import Engine, EngineSettings
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import UsageError
from vfxmatte.fitting.settings import FitSettings
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.reporting.pace import Pace

SHORTEST_SHOT = 4
"""Frames of the shortest shot that is timed from end to end."""


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """Settings of a benchmark."""

    width: int = 1920
    """Width of the frames, in px."""
    height: int = 1080
    """Height of the frames, in px."""
    unknown_share: float = 0.1
    """Share of the pixels that the trimap leaves unknown, above 0 and at most 0.5."""
    frames: int = 12
    """Length of the shot; 0 skips the run."""
    repeats: int = 3
    """Timed repeats of the engine on one frame, after one for warm-up."""

    def __post_init__(self) -> None:
        if self.repeats < 1:
            raise UsageError(f"repeats must be 1 or more, found {self.repeats}")
        if self.frames and self.frames < SHORTEST_SHOT:
            raise UsageError(f"frames must be 0, or {SHORTEST_SHOT} or more, found {self.frames}")


@dataclass(frozen=True, kw_only=True)
class EngineCost:
    """The time of the engine (alpha prior and network) on one frame in memory."""

    device: str
    """The engine's device."""
    engine: dict[str, Any]
    """The engine's description of itself: name, weights, precision."""
    seconds_per_frame: Timing
    """Every repeat, in seconds."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "seconds_per_frame": self.seconds_per_frame.as_dict()}


@dataclass(frozen=True, kw_only=True)
class ShotCost:
    """The time of a whole run without a fit to the shot: read, propagate, matte, write."""

    frames: int
    """Number of frames."""
    seconds: float
    """Wall-clock time from the first byte read to the last byte written."""
    cpu_seconds: float
    """Time of this process on all processors meanwhile."""
    slowest_stage: str | None
    """The stage that the others wait for."""

    @property
    def fps(self) -> float:
        """Frames per second."""
        return self.frames / self.seconds

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "fps": self.fps}


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The results of a benchmark."""

    engine: EngineCost
    """The engine alone."""
    shot: ShotCost | None
    """The whole run; None if it was skipped."""
    peak_rss_bytes: int | None
    """Peak memory of this process; None where the system does not report it."""
    peak_gpu_bytes: int | None
    """Peak GPU memory of torch; None without a GPU."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "engine": self.engine.as_dict(),
            "shot": None if self.shot is None else self.shot.as_dict(),
            "peak_rss_bytes": self.peak_rss_bytes,
            "peak_gpu_bytes": self.peak_gpu_bytes,
        }


def measure(settings: BenchSettings, engine_settings: EngineSettings) -> Costs:
    """Measure the engine, then a run with the same engine, in this process.

    Raises:
        UsageError: an unknown share that fits no band. DeviceError, WeightsError: from the engine.
    """
    engine = open_engine(engine_settings)
    try:
        alone = _engine_cost(settings, engine)
        shot = _shot_cost(settings, engine, engine_settings) if settings.frames else None
        return Costs(
            engine=alone,
            shot=shot,
            peak_rss_bytes=peak_rss_bytes(),
            peak_gpu_bytes=peak_gpu_bytes(engine.device),
        )
    finally:
        engine.close()


def _engine_cost(settings: BenchSettings, engine: Engine) -> EngineCost:
    scene = Scene(
        width=settings.width, height=settings.height, unknown_share=settings.unknown_share
    )
    task = scene.task()
    taken = timed(lambda: list(engine.mattes([task])), repeats=settings.repeats, warmup=1)
    return EngineCost(device=engine.device, engine=dict(engine.describe()), seconds_per_frame=taken)


def _shot_cost(settings: BenchSettings, engine: Engine, own: EngineSettings) -> ShotCost:
    shot = MovingShot(
        frames=settings.frames,
        width=settings.width,
        height=settings.height,
        unknown_share=settings.unknown_share,
    )
    pace = Pace()
    with tempfile.TemporaryDirectory(prefix="vfxmatte-bench-") as name:
        opened = Shot.open(shot.write(Path(name)))
        started, cpu_started = time.perf_counter(), time.process_time()
        plain = RunSettings(engine=own, fit=FitSettings(when="off"))
        with Run(opened, plain, engine=engine) as run:
            for result in run.frames():
                if result.error is not None:
                    raise result.error
                pace.add(result)
        seconds = time.perf_counter() - started
        cpu_seconds = time.process_time() - cpu_started
    return ShotCost(
        frames=settings.frames, seconds=seconds, cpu_seconds=cpu_seconds,
        slowest_stage=pace.slowest_stage,
    )  # fmt: skip
