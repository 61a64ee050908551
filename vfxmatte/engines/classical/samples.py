"""Samples of the known colours beside the unknown region, and cluster counts to try."""

from __future__ import annotations

import numpy as np

from vfxmatte.trimaps import dilate
from vfxmatte.types import UNKNOWN, Floats, Labels

NEAR_PX = 32.0
"""Known pixels further than this from the unknown ones are ignored, unless none is nearer."""

MOST_SAMPLES = 5_000
_COUNTS = (1, 2, 3, 4, 6, 8, 12, 16)
SEED = 0


def colours_of(picture: Floats, labels: Labels, label: int) -> Floats:
    """Sample (n, 3) colours of one side near the unknown region, at most `MOST_SAMPLES`.

    The same frame always gives the same samples. The label must occur."""
    side = labels == label
    near = side & dilate(labels == UNKNOWN, NEAR_PX)
    colours: Floats = picture[near if near.any() else side]
    if len(colours) <= MOST_SAMPLES:
        return colours
    chosen = np.random.default_rng(SEED).choice(len(colours), MOST_SAMPLES, replace=False)
    return colours[np.sort(chosen)]


def counts_to_try(colours: Floats, configured: int | None, most: int) -> list[int]:
    """Return the cluster counts to try, none above the number of different colours.

    Args:
        configured: the only count to try; None tries several.
        most: the highest of these.
    """
    different = len(np.unique(np.round(colours, 4), axis=0))
    if configured is not None:
        return [min(configured, different)]
    return [count for count in _COUNTS if count <= min(different, most)]
