"""The numbers of the alpha prior, in one place: both ways to compute it have the same ones."""

from __future__ import annotations

import math

LEAST_REDUCTION, MOST_PX = 2, 140_000
"""How many pixels become one along each axis, at least, and how many these are at most: a prior
costs much the same for any frame size."""

DISTANT_WEIGHTS = (3e-5, 1e-4, 1e-3)
"""Of an affinity between distant pixels, for each prior, ascending."""

PRIORS = len(DISTANT_WEIGHTS)
"""Number of alpha priors: channels that a network with priors takes beside picture and trimap."""

IN_LIGHT = (True, False, True)
"""Whether the colours that mix are squared first, for each prior: nearly linear light, in which a
lens mixes them; others are taken as displayed, in which photographs are often altered."""

NEIGHBOURS = ((20, 1e-3), (10, 0.0))
"""How many pixels most like it a pixel is joined to, and what a pixel's distance counts as a
difference of colour."""

NEAR_PX = 24
"""Known pixels take part that lie so near an unknown one, along either axis."""

LAPLACIAN_EPSILON = 1e-6
"""Regularisation of the matting Laplacian."""

TOLERANCE, ITERATIONS = 3e-4, 500
"""Where the solver ends: its residual as a share of that of 0.5 everywhere, and at most."""

MODEL_RADIUS_PX, MODEL_EPSILON = 2, 1e-5
"""Of the local linear models."""


def usual_reduction(height: int, width: int) -> int:
    """The smallest number from 2 on with which the picture has at most `MOST_PX` pixels."""
    return max(LEAST_REDUCTION, math.ceil(math.sqrt(height * width / MOST_PX)))
