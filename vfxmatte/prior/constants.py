"""Constants of the alpha prior, shared by both implementations."""

from __future__ import annotations

import math

LEAST_REDUCTION, MOST_PX = 2, 140_000
"""The least reduction along each axis, and the most pixels of the reduced picture, so that a prior
costs much the same at any frame size."""

DISTANT_WEIGHTS = (1.2e-4, 4e-4, 4e-3)
"""Weight of the affinities between distant pixels, for each prior, ascending."""

PRIORS = len(DISTANT_WEIGHTS)
"""Number of alpha priors: channels that a network with priors takes beside picture and trimap."""

IN_LIGHT = (True, False, True)
"""Whether colours are squared, for each prior: nearly linear light, in which a lens mixes them.
Otherwise they mix as displayed, as in retouched photographs."""

NEIGHBOURS = ((10, 1e-3), (5, 0.0))
"""How many of the pixels most like it a pixel is joined to, and the weight of a px of distance
against the difference of colour. Only every other pixel, as on a chessboard, joins and is joined:
nearly the same as twice as many neighbours among all, at a quarter of the weight."""

NEAR_PX = 24
"""Known pixels up to so far from an unknown one, along either axis, take part."""

LAPLACIAN_EPSILON = 1e-6
"""Regularisation of the matting Laplacian."""

TOLERANCE, ITERATIONS = 1.5e-3, 500
"""Residual at which the solver ends, as a share of that of 0.5 everywhere, and its most steps."""

BLOCK_PX, MOST_BLOCKS = 8, 700
"""Side of the blocks of `colour_blocks`; doubled until there are at most so many."""

PLAIN_TOLERANCE = 1e-4
"""The residual without the corrections of `colour_blocks`, as in ONNX: what is left then is smooth,
and hardly shows in the residual."""

MODEL_RADIUS_PX, MODEL_EPSILON = 2, 1e-5
"""Window and regularisation of the local linear models."""


def usual_reduction(height: int, width: int) -> int:
    """Return the smallest reduction that leaves at most `MOST_PX` pixels, at least 2."""
    return max(LEAST_REDUCTION, math.ceil(math.sqrt(height * width / MOST_PX)))
