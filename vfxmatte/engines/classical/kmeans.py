"""K-means: the colours of each side as a few clusters; alpha from the distances to the nearest."""

from __future__ import annotations

import math
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

_MOST_CLUSTERS = 16
_NOISE = 1e-4  # variance of every cluster, like grain


def open_kmeans(settings: EngineSettings) -> FramewiseEngine:
    """Open the engine. Raises UsageError if scikit-learn is missing."""
    check_installed("kmeans")
    return FramewiseEngine("kmeans", KMeans(settings.classical.clusters), settings.classical.light)


@dataclass(frozen=True)
class KMeans:
    """The method of k-means clusters."""

    clusters: int | None
    """Clusters on each side; None: the number of the least BIC."""

    def describe(self) -> Mapping[str, Any]:
        return {"clusters": self.clusters or "bic", "solver": with_version("scikit-learn")}

    def solve(self, picture: Floats, labels: Labels) -> Solution:
        """Solve alpha = b / (f + b), with f and b the distances to each side's nearest centre."""
        unknown = picture[labels == UNKNOWN]
        with one_thread():
            centres = {
                label: _centres(colours_of(picture, labels, label), self.clusters)
                for label in (FOREGROUND, BACKGROUND)
            }
        foreground, background = (_distance(unknown, centres[one]) for one in centres)
        total = foreground + background
        alpha = np.divide(background, total, out=np.full_like(total, 0.5), where=total > 0)
        stats = {
            "foreground_clusters": float(len(centres[FOREGROUND])),
            "background_clusters": float(len(centres[BACKGROUND])),
        }
        return Solution(alpha=alpha.astype(np.float32), stats=stats)


def _centres(colours: Floats, clusters: int | None) -> Floats:
    """Cluster (n, 3) colours; return the (k, 3) centres."""
    from sklearn.cluster import KMeans as Clustering

    models = [
        Clustering(count, n_init=2, random_state=SEED).fit(colours)
        for count in counts_to_try(colours, clusters, _MOST_CLUSTERS)
    ]
    best = min(models, key=lambda model: _bic(model.inertia_, model.n_clusters, *colours.shape))
    centres: Floats = best.cluster_centers_
    return centres


def _bic(inertia: float, clusters: int, samples: int, channels: int) -> float:
    """Return the BIC of round Gaussians of one width: n d log(variance) + (k d + 1) log n."""
    variance = inertia / (samples * channels) + _NOISE
    fit = samples * channels * math.log(variance)
    return fit + (clusters * channels + 1) * math.log(samples)


def _distance(colours: Floats, centres: Floats) -> Floats:
    """Measure the distance (n,) of each colour to the nearest centre."""
    nearest = np.full(len(colours), np.inf)
    for centre in centres:
        np.minimum(nearest, np.square(colours - centre).sum(axis=1), out=nearest)
    distance: Floats = np.sqrt(nearest)
    return distance
