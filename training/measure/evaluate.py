"""Measurement of predictors on test sets: errors of pictures, means by kind, errors of motion."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from training.measure.predictors import Predictor
from training.measure.samples import Sample
from training.measure.test_sets import TestSet
from vfxmatte.propagation.flow import dense_flow, grey
from vfxmatte.review.metrics import MatteErrors, SequenceErrors, matte_errors, sequence_errors
from vfxmatte.types import FloatImage, Labels

MEAN = "mean"
"""The key of the mean over all pictures."""


@dataclass(frozen=True, kw_only=True)
class PictureResult:
    """One predictor's errors on one picture."""

    name: str
    kind: str
    errors: MatteErrors
    elapsed_s: float
    """Seconds to solve it, or to read a cached result."""


@dataclass(frozen=True, kw_only=True)
class SetResult:
    """One predictor's errors on one set."""

    set_name: str
    predictor: str
    pictures: tuple[PictureResult, ...]
    moving: SequenceErrors | None = None
    """Errors of motion, if the set is a shot."""

    @property
    def means(self) -> dict[str, MatteErrors]:
        """Means by kind, and over all pictures as `MEAN`."""
        return by_kind((picture.kind, picture.errors) for picture in self.pictures)

    def count(self, kind: str) -> int:
        """Return the number of pictures of a kind; all of them for `MEAN`."""
        return sum(p.kind == kind for p in self.pictures) or len(self.pictures)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
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
    """A predictor and its errors so far."""

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


def by_kind(errors: Iterable[tuple[str, MatteErrors]]) -> dict[str, MatteErrors]:
    """Average by kind, kinds in alphabetical order, the mean over all pictures last."""
    kinds: dict[str, list[MatteErrors]] = defaultdict(list)
    for kind, error in errors:
        kinds[kind].append(error)
    means = {kind: MatteErrors.mean(kinds[kind]) for kind in sorted(kinds)}
    return means | {MEAN: MatteErrors.mean(error for each in kinds.values() for error in each)}


def evaluate(test_set: TestSet, predict: Predictor, *, watch: Watch | None = None) -> SetResult:
    """Measure a predictor on every picture of a set, and on a shot's frames as a sequence."""
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
