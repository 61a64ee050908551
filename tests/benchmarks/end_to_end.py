"""End to end: EXR in, EXR out, on a made-up shot with keyframes; each run a process of its own."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.run_cost import RunCost, measure_run_apart
from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.engines.protocol import Mode, Precision
from vfxmatte.errors import UsageError
from vfxmatte.pipeline.shot_folder import MATTE_FOLDER


@dataclass(frozen=True, kw_only=True)
class EndToEndSettings:
    """How a shot is solved. runs: each a process of its own. unknown_share: of its keyframes.

    keyframe_every: frames from one keyframe to the next; the last frame is one too.
    workers: 0 is what `vfxmatte run` takes by itself. folder: where shots are made; None takes the
    system's temporary folder.
    """

    frames: int = 24
    unknown_share: float = 0.1
    keyframe_every: int = 12
    runs: int = 3
    mode: Mode = "exact"
    device: str = "auto"
    precision: Precision = "auto"
    weights: Path | None = None
    workers: int = 0
    folder: Path | None = None

    def __post_init__(self) -> None:
        if self.frames < 4 or self.runs < 1 or self.keyframe_every < 1:
            raise UsageError(
                "end to end takes 4 frames, 1 run and 1 frame between keyframes or more, found "
                f"{self.frames}, {self.runs} and {self.keyframe_every}"
            )

    def shot(self, width: int, height: int) -> MovingShot:
        """The made-up shot of this size."""
        first, last = MovingShot.first, MovingShot.first + self.frames - 1
        return MovingShot(
            frames=self.frames,
            width=width,
            height=height,
            keyframes=tuple(sorted({*range(first, last, self.keyframe_every), last})),
            unknown_share=self.unknown_share,
        )


def measure_end_to_end(
    width: int,
    height: int,
    settings: EndToEndSettings,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """One row: medians of the runs, and every run.

    Raises UsageError (no such band fits), VfxmatteError (a run failed).
    """
    say(f"end to end, {width}x{height}: making {settings.frames} frames")
    with tempfile.TemporaryDirectory(prefix="vfxmatte-bench-", dir=settings.folder) as name:
        folder = settings.shot(width, height).write(Path(name))
        output = folder / MATTE_FOLDER
        costs = []
        for turn in range(settings.runs):
            say(f"  run {turn + 1} of {settings.runs}")
            costs.append(_run(folder, output, settings))
        stored = {"plate": _bytes(folder / "plate"), "results": _bytes(output)}
        recorded = None
        if costs[0].device.startswith("cuda"):
            say("  recording how long the GPU is busy")
            recorded = _run(folder, output, settings, record_gpu=True)
    per_frame = {f"{name}_bytes_per_frame": n / settings.frames for name, n in stored.items()}
    return {**_row(width, height, settings, costs, recorded), **per_frame}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


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
        "keyframe_every": settings.keyframe_every,
        "fps": _median([cost.fps for cost in costs]),
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
