"""Errors of a predictor on samples, by kind of foreground."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from training.measure.samples import Sample
from vfxmatte.review.metrics import MatteErrors, matte_errors
from vfxmatte.types import FloatImage, Labels

MEAN = "mean"
"""The key of the mean over all pictures."""


def validate(
    predict: Callable[[FloatImage, Labels], FloatImage], samples: Iterable[Sample]
) -> dict[str, MatteErrors]:
    """Mean errors for each kind of foreground in the samples, and over all of them as `MEAN`.

    predict: (H, W, 3) float32 encoded RGB and (H, W) uint8 labels to (H, W) float32 alpha.
    """
    return by_kind(
        (
            sample.kind,
            matte_errors(predict(sample.image, sample.labels), sample.truth, sample.labels),
        )
        for sample in samples
    )


def by_kind(errors: Iterable[tuple[str, MatteErrors]]) -> dict[str, MatteErrors]:
    """Means by kind, kinds in alphabetical order, the mean over all pictures last."""
    kinds: dict[str, list[MatteErrors]] = defaultdict(list)
    for kind, error in errors:
        kinds[kind].append(error)
    means = {kind: MatteErrors.mean(kinds[kind]) for kind in sorted(kinds)}
    return means | {MEAN: MatteErrors.mean(e for found in kinds.values() for e in found)}
