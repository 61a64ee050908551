"""K-means: the colours of each side as a few clusters; alpha from the distances to the nearest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfxmatte.engines.base import EngineSettings
from vfxmatte.engines.classical.framewise import FramewiseEngine, Solution
from vfxmatte.engines.classical.light import Colours
from vfxmatte.engines.classical.one_thread import one_thread
from vfxmatte.engines.classical.optional import check_installed, with_version
from vfxmatte.engines.classical.samples import SEED, colours_of, counts_to_try
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Labels

_MOST_CLUSTERS = 16
_NOISE = 1e-4  # variance that every cluster may have for nothing


def open_kmeans(settings: EngineSettings) -> FramewiseEngine:
    """Raises UsageError where scikit-learn is missing."""
    check_installed("kmeans")
    return FramewiseEngine("kmeans", KMeans(settings.classical.clusters), settings.classical.light)


@dataclass(frozen=True)
class KMeans:
    """clusters: on each side; None takes, for each, the number of the least BIC."""

    clusters: int | None

    def describe(self) -> Mapping[str, Any]:
        return {"clusters": self.clusters or "bic", "solver": with_version("scikit-learn")}

    def solve(self, picture: Colours, labels: Labels) -> Solution:
        """alpha = b / (f + b), with f and b the distances to the nearest centre of either side."""
        asked = picture[labels == UNKNOWN]
        with one_thread():
            centres = {
                label: _centres(colours_of(picture, labels, label), self.clusters)
                for label in (FOREGROUND, BACKGROUND)
            }
        foreground, background = (_distance(asked, centres[one]) for one in centres)
        total = foreground + background
        alpha = np.divide(background, total, out=np.full_like(total, 0.5), where=total > 0)
        stats = {
            "foreground_clusters": float(len(centres[FOREGROUND])),
            "background_clusters": float(len(centres[BACKGROUND])),
        }
        return Solution(alpha=alpha.astype(np.float32), stats=stats)


def _centres(colours: Colours, asked: int | None) -> Colours:
    """(k, 3)."""
    from sklearn.cluster import KMeans as Clustering

    models = [
        Clustering(count, n_init=2, random_state=SEED).fit(colours)
        for count in counts_to_try(colours, asked, _MOST_CLUSTERS)
    ]
    best = min(models, key=lambda model: _bic(model.inertia_, model.n_clusters, *colours.shape))
    centres: Colours = best.cluster_centers_
    return centres


def _bic(inertia: float, clusters: int, samples: int, channels: int) -> float:
    """Of round Gaussians of one width: n d log(variance) + (k d + 1) log n."""
    variance = inertia / (samples * channels) + _NOISE
    fit = samples * channels * math.log(variance)
    return fit + (clusters * channels + 1) * math.log(samples)


def _distance(asked: Colours, centres: Colours) -> NDArray[np.float64]:
    """(n,) to the nearest centre."""
    nearest = np.full(len(asked), np.inf)
    for centre in centres:
        np.minimum(nearest, np.square(asked - centre).sum(axis=1), out=nearest)
    distance: NDArray[np.float64] = np.sqrt(nearest)
    return distance
