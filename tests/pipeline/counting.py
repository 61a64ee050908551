"""An engine for tests of a run: fast, and it tells what it has solved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vfxmatte.common.configuration import changed
from vfxmatte.engines.protocol import Task
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import FOREGROUND, UNKNOWN, FrameResult, Labels, Matte


class Counting:
    """Alpha is the trimap; in the band, a picture that needs more than half precision."""

    device = "cpu"

    def __init__(self) -> None:
        self.solved: list[int] = []
        self.labels: dict[int, Labels] = {}

    def describe(self) -> Mapping[str, Any]:
        return {"engine": "counting"}

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte]:
        for task in tasks:
            labels = task.trimap.labels
            self.solved.append(task.number)
            self.labels[task.number] = labels
            band = (task.image[:, :, 0].clip(0, 1) + np.float32(0.1)) * np.float32(0.7777)
            alpha = np.where(labels == UNKNOWN, band.clip(0, 1), labels == FOREGROUND)
            yield Matte(number=task.number, alpha=alpha.astype(np.float32))

    def close(self) -> None:
        return


def run_counted(
    folder: Path | Shot, into: Path | None = None, *, overwrite: bool = False, chunk: bool = False,
    **settings: Any,
) -> tuple[dict[int, FrameResult], Counting]:  # fmt: skip
    """Run a shot with settings by name; returns the results by frame, and the engine.

    Frame by frame, unless `temporal` is among the settings: no neighbour is solved aside.
    """
    shot = folder if isinstance(folder, Shot) else Shot.open(folder, output=into)
    engine = Counting()
    chosen = changed(RunSettings(), {"temporal": {"strength": 0}, **settings})
    with Run(shot, chosen, overwrite=overwrite, engine=engine, chunk=chunk) as prepared:
        return {result.number: result for result in prepared.frames()}, engine
