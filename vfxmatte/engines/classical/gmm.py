"""Gaussian mixtures: one of each side's colours; alpha is the posterior of the foreground."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vfxmatte.engines.classical.framewise import FramewiseEngine, Solution
from vfxmatte.engines.classical.one_thread import one_thread
from vfxmatte.engines.classical.optional import check_installed, with_version
from vfxmatte.engines.classical.samples import SEED, colours_of, counts_to_try
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Floats, Labels

_NOISE = 1e-4
"""Added to every variance, so that a single colour has a width, like grain."""

_MOST_CLUSTERS = 8  # more fit the colours better, but give no better mattes
_STEPS = 50  # of expectation maximisation


def open_gmm(settings: EngineSettings) -> FramewiseEngine:
    """Open the engine. Raises UsageError if scikit-learn is missing."""
    check_installed("gmm")
    return FramewiseEngine("gmm", Mixtures(settings.classical.clusters), settings.classical.light)


@dataclass(frozen=True)
class Mixtures:
    """The method of Gaussian mixtures."""

    clusters: int | None
    """Clusters on each side; None: the number of the least BIC."""

    def describe(self) -> Mapping[str, Any]:
        return {"clusters": self.clusters or "bic", "solver": with_version("scikit-learn")}

    def solve(self, picture: Floats, labels: Labels) -> Solution:
        """Solve alpha = p(c|F) / (p(c|F) + p(c|B)); the prior of both sides is the same."""
        unknown = picture[labels == UNKNOWN]
        with one_thread():
            foreground, background = (
                _mixture(colours_of(picture, labels, label), self.clusters)
                for label in (FOREGROUND, BACKGROUND)
            )
            less = background.score_samples(unknown) - foreground.score_samples(unknown)
        alpha = 1.0 / (1.0 + np.exp(np.clip(less, -50.0, 50.0)))
        stats = {
            "foreground_clusters": float(foreground.n_components),
            "background_clusters": float(background.n_components),
        }
        return Solution(alpha=alpha.astype(np.float32), stats=stats)


def _mixture(colours: Floats, clusters: int | None) -> Any:
    """Fit a mixture of so many Gaussians, or of the number with the least BIC."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    if len(colours) < 2:  # scikit-learn requires two samples, even for one Gaussian
        colours = np.repeat(colours, 2, axis=0)
    models = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the best fit so far is good enough
        for count in counts_to_try(colours, clusters, _MOST_CLUSTERS):
            model = GaussianMixture(count, reg_covar=_NOISE, random_state=SEED, max_iter=_STEPS)
            models.append(model.fit(colours))
    return min(models, key=lambda model: float(model.bic(colours)))
