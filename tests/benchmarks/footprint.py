"""Memory and arithmetic of one pass of a solver, in a process of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.process import run_apart
from tests.benchmarks.solver import SolverSettings, open_solver
from vfxmatte.bench.scene import Scene
from vfxmatte.common.process_memory import peak_gpu_bytes, peak_rss_bytes
from vfxmatte.engines.protocol import Task
from vfxmatte.types import Trimap


def measure_footprint(
    scene: Scene, settings: SolverSettings, *, frames: int = 1, threads: int | None = None
) -> dict[str, Any]:
    """`peak_rss_bytes`, `rss_before_bytes`, `peak_gpu_bytes` and `flops` of a frame.

    `rss_before_bytes` is what libraries, weights and the picture took before the pass.
    Raises VfxmatteError where the process fails, or is killed for its memory.
    """
    with tempfile.TemporaryDirectory(prefix="vfxmatte-bench-") as folder:
        path = Path(folder) / "scene.npz"
        np.savez(path, image=scene.image, labels=scene.labels)
        told = {
            "scene": str(path),
            "mode": settings.mode,
            "device": settings.device,
            "precision": settings.precision,
            "weights": None if settings.weights is None else str(settings.weights),
            "frames": frames,
            "threads": threads,
        }
        return run_apart("network", told)


def footprint_as_told(told: Mapping[str, Any]) -> dict[str, Any]:
    """The child's part of `measure_footprint`."""
    import torch

    from tests.benchmarks.arithmetic import solver_flops

    if told["threads"]:
        torch.set_num_threads(told["threads"])
    with np.load(told["scene"]) as scene:
        image, labels = scene["image"], scene["labels"]
    trimaps = [Trimap(number=n + 1, labels=labels, is_keyframe=True) for n in range(told["frames"])]
    tasks = [Task(image=image, trimap=trimap) for trimap in trimaps]
    weights = None if told["weights"] is None else Path(told["weights"])
    solve = open_solver(
        SolverSettings(
            mode=told["mode"],
            device=told["device"],
            precision=told["precision"],
            weights=weights,
        )
    )
    before = peak_rss_bytes()
    solve(tasks)
    found = {
        "rss_before_bytes": before,
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_gpu_bytes": peak_gpu_bytes(solve.device),
    }
    try:
        flops = solver_flops(solve, tasks[:1])
    except RuntimeError:  # a compiled network may not let itself be counted; the memory is known
        flops = None
    return {**found, "flops": flops}
