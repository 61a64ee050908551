"""Measure predictors on test sets: errors of every picture, means by kind, errors of motion."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from training.measure.predictors import Predictor
from training.measure.samples import Sample
from training.measure.test_sets import TestSet
from training.measure.validation import by_kind
from vfxmatte.propagation.flow import dense_flow, grey
from vfxmatte.review.metrics import MatteErrors, SequenceErrors, matte_errors, sequence_errors
from vfxmatte.types import FloatImage, Labels


@dataclass(frozen=True, kw_only=True)
class PictureResult:
    """How one predictor did on one picture. elapsed_s: what solving it took (or recalling it)."""

    name: str
    kind: str
    errors: MatteErrors
    elapsed_s: float


@dataclass(frozen=True, kw_only=True)
class SetResult:
    """How one predictor did on one set; `moving` where the set is a shot."""

    set_name: str
    predictor: str
    pictures: tuple[PictureResult, ...]
    moving: SequenceErrors | None = None

    @property
    def means(self) -> dict[str, MatteErrors]:
        """Means by kind, and over all pictures as `mean`."""
        return by_kind((picture.kind, picture.errors) for picture in self.pictures)

    def count(self, kind: str) -> int:
        """Pictures of a kind; all of them where no picture is of it (the mean)."""
        return sum(p.kind == kind for p in self.pictures) or len(self.pictures)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: plain values only."""
        return {
            "set": self.set_name,
            "predictor": self.predictor,
            "moving": None if self.moving is None else asdict(self.moving),
            "means": {
                kind: {"pictures": self.count(kind), **asdict(errors)}
                for kind, errors in self.means.items()
            },
            "pictures": [asdict(picture) for picture in self.pictures],
        }


Watch = Callable[[Sample, FloatImage], None]
"""Called with every sample and the alpha (H, W) float32 that was predicted for it."""


@dataclass(eq=False)
class _Tally:
    """Solves sample after sample and keeps the errors."""

    predict: Predictor
    watch: Watch | None
    pictures: list[PictureResult] = field(default_factory=list)

    def solve(self, sample: Sample) -> tuple[FloatImage, FloatImage, Labels]:
        began = time.perf_counter()
        alpha = self.predict(sample.image, sample.labels)
        elapsed_s = time.perf_counter() - began
        errors = matte_errors(alpha, sample.truth, sample.labels)
        self.pictures.append(
            PictureResult(name=sample.name, kind=sample.kind, errors=errors, elapsed_s=elapsed_s)
        )
        if self.watch is not None:
            self.watch(sample, alpha)
        return alpha, sample.truth, sample.labels


def evaluate(test_set: TestSet, predict: Predictor, *, watch: Watch | None = None) -> SetResult:
    """Solve every picture of a set with one predictor; a shot's frames also as a sequence."""
    tally = _Tally(predict, watch)
    moving = None
    if test_set.moving:
        moving = _evaluate_moving(test_set, tally)
    else:
        for sample in test_set.samples():
            tally.solve(sample)
    return SetResult(
        set_name=test_set.name,
        predictor=predict.name,
        pictures=tuple(tally.pictures),
        moving=moving,
    )


def _evaluate_moving(test_set: TestSet, tally: _Tally) -> SequenceErrors:
    flow: list[FloatImage] = []  # to the newest frame from the one before it

    def solved() -> Iterator[tuple[FloatImage, FloatImage, Labels]]:
        before = None
        for sample in test_set.samples():
            picture = grey(np.clip(sample.image * 255, 0, 255).astype(np.uint8))
            if before is not None:
                flow[:] = [dense_flow(before, picture)]
            before = picture
            yield tally.solve(sample)

    return sequence_errors(solved(), lambda _: flow[0])
