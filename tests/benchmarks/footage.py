"""How far each mode's alpha is from the dense pass on the painted frames of real shots.

The made-up scene says what a mode costs; whether a small error stays small on hair and fur, only
pictures of hair and fur can say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.network import NetworkSettings, difference
from tests.benchmarks.solver import Solver, open_solver
from vfxmatte.colour import ColourConfig, to_network
from vfxmatte.engines.protocol import Task
from vfxmatte.pipeline.keyframes import Keyframes, keyframes_in
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import UNKNOWN, FloatImage


def measure_footage(
    shots: Sequence[Path],
    settings: NetworkSettings,
    say: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """One row for each shot and mode but dense: the difference over all its keyframes' unknown.

    Raises ShotError, PlateError, TrimapError (a shot cannot be read), DeviceError, WeightsError.
    """
    modes = [mode for mode in settings.modes if mode != "dense"]
    solvers = {mode: open_solver(settings.solver(mode)) for mode in ("dense", *modes)}
    rows = []
    try:
        for folder in shots:
            say(f"difference from the dense pass on {folder.name}")
            found = _alphas(list(_tasks(folder)), solvers)
            for mode in modes:
                rows.append({
                    "shot": folder.resolve().name,
                    "mode": mode,
                    "device": solvers[mode].device,
                    "unknown_px": found[mode].size,
                    "difference": difference(found[mode], found["dense"]),
                })  # fmt: skip
    finally:
        for solver in solvers.values():
            solver.close()
    return rows


def _tasks(folder: Path) -> Iterator[Task]:
    """The shot's keyframes, as its own settings have them read."""
    shot = Shot.open(folder)
    settings = shot.settings
    colours = ColourConfig.load(settings.ocio)
    with shot.open_plate(colours) as plate:
        inside = keyframes_in(shot.keyframes, plate.info)
        for number, trimap in Keyframes(inside, plate.info, settings.keyframe_growth).items():
            yield Task(image=to_network(plate.read(number), colours), trimap=trimap)


def _alphas(tasks: Sequence[Task], solvers: Mapping[str, Solver]) -> dict[str, FloatImage]:
    """By mode the alphas of all unknown pixels, in one row."""
    masks = [task.trimap.labels == UNKNOWN for task in tasks]
    found = {}
    for mode, solve in solvers.items():
        alphas = [alpha[mask] for alpha, mask in zip(solve(tasks), masks, strict=True)]
        found[mode] = np.concatenate(alphas)
    return found
