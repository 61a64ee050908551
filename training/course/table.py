"""The course's table: mean absolute errors on the pictures that were trained on and on the others.

Every row solves the same pictures with the same trimaps. Two regions count: the unknown one, and
the whole picture, in which known pixels are what the trimap says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.course.batches import MattedBatches
from training.course.layout import MattedSet
from training.course.recipe import CourseTraining, course_recipe
from training.measure.samples import Sample
from vfxmatte.common.configuration import changed
from vfxmatte.engines.base import EngineSettings, Task, open_engine
from vfxmatte.errors import TrainingError
from vfxmatte.network.dim import DeepImageMatting
from vfxmatte.review.metrics import force_known
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Trimap

_FIRST_SEED = 9_000_000

Solve = Callable[[Sample], FloatImage]
"""A sample to its alpha, (H, W) float32 in [0, 1], known pixels as the trimap has them."""


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Mean absolute errors, means over the pictures: of the unknown region, of the whole."""

    unknown: float
    whole: float


@dataclass(frozen=True, kw_only=True)
class Row:
    """How one method does on both sides of the split."""

    method: str
    training: Errors
    test: Errors

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def samples_of(matted: MattedSet, config: CourseTraining) -> list[Sample]:
    """Every picture as it is, with a trimap of its own that is always the same.

    Raises TrainingError where there are none.
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
    return Row(method=method, training=errors(solve, training), test=errors(solve, test))


def errors(solve: Solve, samples: list[Sample]) -> Errors:
    """Pictures without an unknown pixel count for the whole alone."""
    unknown, whole = [], []
    for sample in samples:
        away = np.abs(solve(sample) - sample.truth)
        whole.append(float(away.mean()))
        if (sample.labels == UNKNOWN).any():
            unknown.append(float(away[sample.labels == UNKNOWN].mean()))
    return Errors(unknown=float(np.mean(unknown)), whole=float(np.mean(whole)))


def by_network(network: DeepImageMatting) -> Solve:
    """The network as it stands, on the CPU, the whole picture at once."""
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
    """An engine without a network, `kmeans` say. Raises UsageError where there is none such."""
    engine = open_engine(EngineSettings(name=name))

    def solve(sample: Sample) -> FloatImage:
        trimap = Trimap(number=0, labels=sample.labels, is_keyframe=True)
        return next(_alphas(engine.mattes([Task(image=sample.image, trimap=trimap)])))

    return solve


def _alphas(mattes: Iterator[Any]) -> Iterator[FloatImage]:
    for matte in mattes:
        yield matte.alpha


def load_run(folder: Path) -> tuple[CourseTraining, DeepImageMatting]:
    """The configuration and the last network of a run.

    Raises TrainingError where there is no checkpoint, or it was not trained on photographs.
    """
    from training.loop.train_command import averaged_network

    path = folder / "last.pt"
    if not path.is_file():
        raise TrainingError("there is no checkpoint of a run", path=path)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for damaged files
        raise TrainingError(f"the checkpoint cannot be read: {error}", path=path) from error
    if state["config"]["recipe"] != "course":
        raise TrainingError("this run was not trained on photographs with mattes", path=path)
    return config_from(state["config"], path), averaged_network(state, refine=True).fold()


def config_from(record: dict[str, Any], path: Path) -> CourseTraining:
    """A stored configuration, of which the phases say nothing here."""
    wanted = {key: record[key] for key in ("matted", "synthesis")}
    plain = {
        part: {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}
        for part, values in wanted.items()
    }
    return changed(course_recipe(), plain, path=path, error=TrainingError)
