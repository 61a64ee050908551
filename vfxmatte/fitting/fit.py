"""A fit: learned without one keyframe and tried on it, then, if it helps, learned with all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vfxmatte.engines.light_frame import Frame, Solved, solved
from vfxmatte.fitting.doubt import doubted, widened
from vfxmatte.fitting.examples import Example, Keyframe
from vfxmatte.fitting.learning import learn
from vfxmatte.fitting.settings import FitSettings
from vfxmatte.fitting.tightening import calibrated, painted_margin, tightened
from vfxmatte.network.light import LightMatting
from vfxmatte.prior.alpha_prior import alpha_priors
from vfxmatte.prior.samples import Samples
from vfxmatte.types import UNKNOWN, FloatImage, Labels

_BETTER = 1.0  # times the usual error: below that a fit is used


@dataclass(frozen=True, kw_only=True)
class FitProgress:
    """The progress of a fit."""

    step: int
    steps: int
    error: float
    """Mean absolute error of alpha in the unknown region, on this step's squares."""
    subject: str = ""
    """Whose fit it is, where a shot has several subjects."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """A keyframe that the first steps do not see.

    labels: (H, W) uint8, its trimap as wide as a carried one. usual: (H, W) float32, the alpha that
    the run's engine gives for them. samples: those of the other keyframes.
    """

    key: Keyframe
    labels: Labels
    usual: FloatImage
    samples: Samples | None = None


@dataclass(frozen=True, kw_only=True)
class FitRecord:
    """The outcome of a fit."""

    used: bool
    withheld: int
    """The keyframe that it was tried on."""
    error_before: float
    """Mean absolute error of the run's engine there, where a wider trimap is unknown and the artist
    certain …"""
    error_after: float
    """… and of the network after the steps that had not seen it."""
    sure: float
    """See `tightening.tightened`."""
    margin: int
    """See `tightening.painted_margin`."""
    doubts: bool
    """Whether the network may doubt what is certain (`doubt.doubted`): if it was never wrong to."""
    steps: int
    """Number of steps of the whole fit."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def fit(
    base: LightMatting,
    examples: Mapping[int, Sequence[Example]],
    trial: Trial,
    settings: FitSettings,
    on_fit: Callable[[FitProgress], None],
) -> tuple[LightMatting, FitRecord]:
    """Fit a folded light network to keyframes; returns the network, in eval mode, and the record.

    Args:
        base: stays as it is.
        examples: by keyframe, the trial's included; two keyframes or more.
        on_fit: receives the progress; what it raises ends the fit.
    """
    others = [number for number in examples if number != trial.key.number]
    first = settings.first_steps
    steps = first + settings.further_steps(_error(trial, trial.usual))

    def learned(
        network: LightMatting, numbers: Iterable[int], begun: int, count: int
    ) -> LightMatting:
        def step_done(step: int, error: float) -> None:
            on_fit(FitProgress(step=begun + step, steps=steps, error=error))

        chosen = [one for number in numbers for one in examples[number]]
        return learn(network, chosen, settings, steps=count, on_step=step_done)

    network = learned(base, others, 0, first)
    record = _tried(network, trial, steps)
    if record.used:
        network = learned(network, examples, first, steps - first)
    return network, record


def _tried(network: LightMatting, trial: Trial, steps: int) -> FitRecord:
    image, truth = trial.key.image, trial.key.alpha

    def seen(labels: Labels) -> Solved:
        priors = alpha_priors(image, labels, samples=trial.samples)
        frame = Frame(image=image, labels=labels, priors=priors)
        return solved(network, frame, refine=False, coarse=False)

    result = seen(trial.labels)
    margin = painted_margin(trial.key.labels, truth)
    sure = calibrated(result, trial.labels, truth, margin)
    after = tightened(result, trial.labels, sure, margin)
    errors = [_error(trial, alpha) for alpha in (trial.usual, after.alpha)]
    doubt = doubted(seen(widened(trial.labels)).alpha, trial.labels) != trial.labels
    return FitRecord(
        used=errors[1] < errors[0] * _BETTER, withheld=trial.key.number, sure=sure, margin=margin,
        error_before=errors[0], error_after=errors[1], steps=steps, doubts=not doubt.any(),
    )  # fmt: skip


def _error(trial: Trial, alpha: FloatImage) -> float:
    """Return the mean absolute error where the artist is certain and the wider trimap is not."""
    judged = (trial.labels == UNKNOWN) & (trial.key.labels != UNKNOWN)
    return float(np.abs(alpha - trial.key.alpha)[judged].mean()) if judged.any() else 0.0
