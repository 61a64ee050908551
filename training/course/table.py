"""The course's table: mean absolute errors on the training and on the held-out pictures.

Every row solves the same pictures with the same trimaps. Errors are of the unknown region and of
the whole picture, where known pixels are those of the trimap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.course.batches import MattedBatches
from training.course.layout import MattedSet
from training.course.recipe import CourseTraining, course_recipe
from training.loop.checkpoint import averaged_network, read_checkpoint
from training.measure.samples import Sample
from vfxmatte.common.configuration import changed
from vfxmatte.engines.answers import solve_one
from vfxmatte.engines.protocol import EngineSettings, Task
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import TrainingError
from vfxmatte.network.dim import DeepImageMatting
from vfxmatte.review.metrics import force_known
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Trimap

_FIRST_SEED = 9_000_000

Solve = Callable[[Sample], FloatImage]
"""Solves a sample: alpha (H, W) float32 in [0, 1], known pixels as in the trimap."""


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Mean absolute errors of the unknown region and of the whole, averaged over the pictures."""

    unknown: float
    whole: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method's errors on both sides of the split."""

    method: str
    training: Errors
    test: Errors

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def samples_of(matted: MattedSet, config: CourseTraining) -> list[Sample]:
    """Load every picture with a trimap that is the same in every call.

    Raises:
        TrainingError: there are no pictures.
    """
    batches = MattedBatches(matted, config.matted, config.synthesis, torch.device("cpu"))
    return [_sample(batches, number) for number in range(len(batches))]


def _sample(batches: MattedBatches, number: int) -> Sample:
    batch = batches.plain([number], _FIRST_SEED + number)
    trimap = batch.trimap[0, 0].numpy()
    labels = np.select([trimap == 0, trimap == 1], [BACKGROUND, FOREGROUND], UNKNOWN)
    return Sample(
        name=batches.names[number],
        kind="picture",
        image=np.ascontiguousarray(batch.image[0].permute(1, 2, 0).numpy()),
        labels=labels.astype(np.uint8),
        truth=np.ascontiguousarray(batch.alpha[0, 0].numpy()),
    )


def row(method: str, solve: Solve, training: list[Sample], test: list[Sample]) -> Row:
    """Measure one method on both sides of the split."""
    return Row(method=method, training=errors(solve, training), test=errors(solve, test))


def errors(solve: Solve, samples: list[Sample]) -> Errors:
    """Average a method's errors; pictures without unknown pixels count for the whole alone."""
    unknown, whole = [], []
    for sample in samples:
        away = np.abs(solve(sample) - sample.truth)
        whole.append(float(away.mean()))
        if (sample.labels == UNKNOWN).any():
            unknown.append(float(away[sample.labels == UNKNOWN].mean()))
    return Errors(unknown=float(np.mean(unknown)), whole=float(np.mean(whole)))


def by_network(network: DeepImageMatting) -> Solve:
    """Create a solver that runs the network on the CPU, the whole picture at once."""
    network = network.eval().requires_grad_(False)

    def solve(sample: Sample) -> FloatImage:
        trimap = np.select([sample.labels == BACKGROUND, sample.labels == FOREGROUND], [0, 1], 0.5)
        stacked = np.dstack((sample.image, trimap.astype(np.float32)))
        picture = torch.from_numpy(stacked).permute(2, 0, 1)[None]
        with torch.inference_mode():
            alpha = network(picture).alpha[0, 0].numpy()
        return force_known(alpha, sample.labels)

    return solve


def by_engine(name: str) -> Solve:
    """Create a solver from an engine without a network; raises UsageError for an unknown name."""
    engine = open_engine(EngineSettings(name=name))

    def solve(sample: Sample) -> FloatImage:
        trimap = Trimap(number=0, labels=sample.labels, is_keyframe=True)
        return solve_one(engine, Task(image=sample.image, trimap=trimap)).alpha

    return solve


def load_run(folder: Path) -> tuple[CourseTraining, DeepImageMatting]:
    """Load the configuration and the last network of a run.

    Raises:
        TrainingError: there is no checkpoint, or it was not trained on photographs.
    """
    path = folder / "last.pt"
    if not path.is_file():
        raise TrainingError("there is no checkpoint of a run", path=path)
    state = read_checkpoint(path)
    if state["config"]["recipe"] != "course":
        raise TrainingError("this run was not trained on photographs with mattes", path=path)
    return _config(state["config"], path), averaged_network(path, state, refine=True).fold()


def _config(record: dict[str, Any], path: Path) -> CourseTraining:
    """Read the parts of a stored configuration that pictures and trimaps depend on."""
    parts = {
        part: {k: list(v) if isinstance(v, tuple) else v for k, v in record[part].items()}
        for part in ("matted", "synthesis")
    }
    return changed(course_recipe(), parts, path=path, error=TrainingError)
