"""Known colours beside the unknown region, and how many clusters describe them."""

from __future__ import annotations

import numpy as np

from vfxmatte.trimaps import dilate
from vfxmatte.types import UNKNOWN, Floats, Labels

NEAR_PX = 32.0
"""Known pixels further than that from the unknown ones do not count, unless none is nearer."""

MOST_SAMPLES = 5_000
_COUNTS = (1, 2, 3, 4, 6, 8, 12, 16)
SEED = 0


def colours_of(picture: Floats, labels: Labels, label: int) -> Floats:
    """(n, 3) colours of the known pixels of one side near the unknown region, at most
    `MOST_SAMPLES`: always the same ones of the same frame. The label must occur."""
    side = labels == label
    near = side & dilate(labels == UNKNOWN, NEAR_PX)
    colours: Floats = picture[near if near.any() else side]
    if len(colours) <= MOST_SAMPLES:
        return colours
    chosen = np.random.default_rng(SEED).choice(len(colours), MOST_SAMPLES, replace=False)
    return colours[np.sort(chosen)]


def counts_to_try(colours: Floats, asked: int | None, most: int) -> list[int]:
    """How many clusters are possible: never more than there are different colours.

    asked: so many, if that can be. most: else, at the most.
    """
    different = len(np.unique(np.round(colours, 4), axis=0))
    if asked is not None:
        return [min(asked, different)]
    return [count for count in _COUNTS if count <= min(different, most)]
