"""The network's stage: each mode's time, memory and difference, by size and unknown share.

All modes solve the same frames in the same process, in turns, so that exactness, error and
speed-up come from one run. Needs no file and no image library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.benchmarks.footprint import measure_footprint
from tests.benchmarks.interleaving import interleaved, per
from tests.benchmarks.solver import MODES, PLAIN, Solver, SolverSettings, open_solver
from vfxmatte.bench.scene import Scene
from vfxmatte.bench.timing import Timing
from vfxmatte.engines.protocol import Precision
from vfxmatte.errors import UsageError, VfxmatteError
from vfxmatte.types import UNKNOWN, FloatImage

_GPU_FRAMES = 8
_USUAL_SHARE = 0.1
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """What is measured.

    sizes: (width, height). shares: of unknown pixels. frames: solved in one repeat; None is one on
    a CPU and several on a GPU, where tiles of several frames share a batch. memory: measure the
    peak memory for each "all" shares, for "one" (the one nearest to 0.1), or for "none".
    threads: of torch; None leaves them.
    """

    sizes: Sequence[tuple[int, int]]
    shares: Sequence[float]
    modes: Sequence[str] = ("dense", "exact", "fast", PLAIN)
    device: str = "auto"
    precision: Precision = "auto"
    weights: Path | None = None
    repeats: int = 5
    warmup: int = 1
    frames: int | None = None
    memory: str = "one"
    threads: int | None = None

    def __post_init__(self) -> None:
        unknown = [mode for mode in self.modes if mode not in MODES]
        if unknown or not self.modes:
            raise UsageError(f"no mode {', '.join(unknown)!r}", hint=f"use {', '.join(MODES)}")
        if self.memory not in ("all", "one", "none"):
            raise UsageError(f"no memory {self.memory!r}", hint="use all, one or none")

    def solver(self, mode: str) -> SolverSettings:
        return SolverSettings(
            mode=mode, device=self.device, precision=self.precision, weights=self.weights
        )

    @property
    def usual_share(self) -> float:
        """The share that stands for all of them: the one nearest to a typical plate's."""
        return min(self.shares, key=lambda share: abs(share - _USUAL_SHARE))


def measure_network(settings: NetworkSettings, say: Say = lambda _: None) -> Iterator[list[Row]]:
    """The rows of one scene after the other, one for each mode.

    Raises DeviceError, WeightsError. A mode that lacks the memory has a row that says so.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    solvers = {mode: open_solver(settings.solver(mode)) for mode in settings.modes}
    reference = solvers.get("dense") or open_solver(settings.solver("dense"))
    try:
        for width, height in settings.sizes:
            for share in settings.shares:
                say(f"network, {width}x{height}, {share:.0%} unknown")
                scene = Scene(width=width, height=height, unknown_share=share)
                cell = _Cell(settings=settings, scene=scene, say=say)
                yield cell.measured(solvers, reference)
    finally:
        for solver in {id(s): s for s in (*solvers.values(), reference)}.values():
            solver.close()


Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class _Cell:
    """One size and one share."""

    settings: NetworkSettings
    scene: Scene
    say: Say

    def measured(self, solvers: dict[str, Solver], reference: Solver) -> list[Row]:
        rows = {mode: self._begun(mode, solver) for mode, solver in solvers.items()}
        if self._with_memory():
            for mode, row in rows.items():
                self._add_memory(mode, row)
        able = {mode: solvers[mode] for mode, row in rows.items() if row["failure"] is None}
        self._compare(able, rows, reference)
        able = {mode: solver for mode, solver in able.items() if rows[mode]["failure"] is None}
        self._add_times(able, rows)
        return list(rows.values())

    def _begun(self, mode: str, solver: Solver) -> Row:
        scene = self.scene
        return {
            "width": scene.width,
            "height": scene.height,
            "asked_share": scene.unknown_share,
            "unknown_px": scene.unknown_px,
            "unknown_share": scene.unknown_px / (scene.width * scene.height),
            "mode": mode,
            "device": solver.device,
            "engine": dict(solver.describe()),
            "frames": self._frames(solver),
            "failure": None,
            "seconds_per_frame": None,
            "unknown_mpx_per_s": None,
            "speed_up": {},
            "difference": None,
            "memory": None,
            "flops": None,
        }

    def _frames(self, solver: Solver) -> int:
        return self.settings.frames or (_GPU_FRAMES if solver.device.startswith("cuda") else 1)

    def _with_memory(self) -> bool:
        wanted = self.settings.memory
        usual = self.scene.unknown_share == self.settings.usual_share
        return wanted == "all" or (wanted == "one" and usual)

    def _add_memory(self, mode: str, row: Row) -> None:
        self.say(f"  memory, {mode}")
        settings = self.settings
        try:
            found = measure_footprint(
                self.scene,
                settings.solver(mode),
                frames=row["frames"],
                threads=settings.threads,
            )
        except VfxmatteError as error:
            row["failure"] = error.what
            return
        row["flops"] = found.pop("flops")
        row["memory"] = found

    def _compare(self, solvers: dict[str, Solver], rows: dict[str, Row], reference: Solver) -> None:
        """Each mode's alpha against the dense pass; the first pass of each, which is not timed."""
        self.say("  difference from the dense pass")
        task, unknown = self.scene.task(), self.scene.labels == UNKNOWN
        expected = reference([task])[0][unknown]
        for mode, solver in solvers.items():
            if solver is reference:
                rows[mode]["difference"] = difference(expected, expected)
                continue
            try:
                found = solver([task])[0][unknown]
            except (RuntimeError, VfxmatteError) as error:
                if isinstance(error, RuntimeError) and not _out_of_memory(error):
                    raise
                rows[mode]["failure"] = str(error).splitlines()[0]
                continue
            rows[mode]["difference"] = difference(found, expected)

    def _add_times(self, solvers: dict[str, Solver], rows: dict[str, Row]) -> None:
        settings = self.settings
        self.say(f"  time, {', '.join(solvers)} in turns")
        tasks = {
            mode: [self.scene.task(1001 + i) for i in range(rows[mode]["frames"])]
            for mode in solvers
        }
        work = {mode: _work(solver, tasks[mode]) for mode, solver in solvers.items()}
        taken = interleaved(work, repeats=settings.repeats, warmup=settings.warmup)
        times = {mode: per(timing, rows[mode]["frames"]) for mode, timing in taken.items()}
        for mode, timing in times.items():
            rows[mode]["seconds_per_frame"] = timing.as_dict()
            rows[mode]["unknown_mpx_per_s"] = self.scene.unknown_px / 1e6 / timing.median
            rows[mode]["speed_up"] = _speed_ups(timing, times)


def _work(solver: Solver, tasks: Sequence[Any]) -> Callable[[], object]:
    return lambda: solver(tasks)


def _speed_ups(timing: Timing, times: dict[str, Timing]) -> dict[str, float]:
    """How many times faster than dense and plain, as far as those were measured."""
    over = {mode: times[mode] for mode in ("dense", PLAIN) if mode in times}
    return {mode: other.median / timing.median for mode, other in over.items()}


def difference(found: FloatImage, expected: FloatImage) -> dict[str, float]:
    """Of alphas of any one shape, 0 to 1.

    maximum, p999 (the 99.9th percentile), mean, and the share of the pixels within 1/255.
    """
    apart = np.abs(np.clip(found, 0, 1).astype(np.float64) - np.clip(expected, 0, 1))
    return {
        "maximum": float(apart.max()),
        "p999": float(np.quantile(apart, 0.999)),
        "mean": float(apart.mean()),
        "within_1_255": float(np.mean(apart <= 1 / 255)),
    }


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
