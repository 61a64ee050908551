"""End to end: EXR in, EXR out, on a made-up shot with keyframes; each run a process of its own."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.bench.run_cost import RunCost, measure_run_apart
from vfxmatte.engines.base import Mode, Precision
from vfxmatte.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class EndToEndSettings:
    """How a shot is solved. runs: after one that does not count. unknown_share: of its keyframes.

    workers: 0 is what `vfxmatte run` takes by itself. folder: where shots are made; None takes the
    system's temporary folder.
    """

    frames: int = 24
    unknown_share: float = 0.1
    runs: int = 3
    warmup: int = 1
    mode: Mode = "exact"
    device: str = "auto"
    precision: Precision = "auto"
    weights: Path | None = None
    workers: int = 0
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.frames < 3 or self.runs < 1:
            raise UsageError(
                f"end to end takes 3 frames and 1 run or more, found {self.frames} and {self.runs}"
            )


def measure_end_to_end(
    width: int,
    height: int,
    settings: EndToEndSettings,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """One row; the first and the last frame are keyframes.

    Raises UsageError (no such band fits), VfxmatteError (a run failed).
    """
    say(f"end to end, {width}x{height}: making {settings.frames} frames")
    shot = MovingShot(
        frames=settings.frames, width=width, height=height, unknown_share=settings.unknown_share
    )
    with tempfile.TemporaryDirectory(prefix="vfxmatte-bench-", dir=settings.folder) as name:
        folder = shot.write(Path(name))
        costs = []
        for turn in range(-settings.warmup, settings.runs):
            say(f"  run {turn + 1} of {settings.runs}" if turn >= 0 else "  warm-up")
            cost = _run(folder, Path(name) / "matte", settings)
            costs += [cost] if turn >= 0 else []
        recorded = None
        if costs[0].device.startswith("cuda"):
            say("  recording how long the GPU is busy")
            recorded = _run(folder, Path(name) / "matte", settings, record_gpu=True)
    return _row(width, height, settings, costs, recorded)


def _run(
    folder: Path, output: Path, settings: EndToEndSettings, *, record_gpu: bool = False
) -> RunCost:
    _empty(output)
    return measure_run_apart(
        folder,
        weights=settings.weights,
        device=settings.device,
        precision=settings.precision,
        mode=settings.mode,
        workers=settings.workers,
        record_gpu=record_gpu,
    )


def _empty(output: Path) -> None:
    """Forget the run before, which would be kept."""
    if output.exists():
        shutil.rmtree(output)


def _row(
    width: int,
    height: int,
    settings: EndToEndSettings,
    costs: list[RunCost],
    recorded: RunCost | None,
) -> dict[str, Any]:
    return {
        "width": width,
        "height": height,
        "asked_share": settings.unknown_share,
        "mode": settings.mode,
        "device": costs[0].device,
        "frames": settings.frames,
        "unknown_share": costs[0].unknown_share,
        "failed": sum(cost.failed for cost in costs),
        "fps": statistics.median(cost.frames / cost.seconds for cost in costs),
        "steady_fps": _median([cost.steady_fps for cost in costs]),
        "stages_ms_per_frame": _stages_per_frame(costs),
        "waiting_share": _median([cost.waiting_share for cost in costs]),
        "gpu_idle_share": None if recorded is None else recorded.gpu_idle_share,
        "peak_rss_bytes": _most([cost.peak_rss_bytes for cost in costs]),
        "peak_gpu_bytes": _most([cost.peak_gpu_bytes for cost in costs]),
        "runs": [asdict(cost) for cost in costs],
        "recorded": None if recorded is None else asdict(recorded),
    }


def _stages_per_frame(costs: list[RunCost]) -> dict[str, float]:
    """By stage the median of the runs, in ms of worker time a frame."""
    names = dict.fromkeys(name for cost in costs for name in cost.stages_ms)
    return {
        name: statistics.median(cost.stages_ms.get(name, 0.0) / cost.frames for cost in costs)
        for name in names
    }


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _most(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None
