"""Checks of a library's elements: which of them are unusable or doubtful, and why.

Colour is judged in linear light, as it would be composited: near the edge it is divided by the
solid colour around it, where 1 is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from training.elements.extend_colour import extend_colour
from training.elements.library import ElementFile
from training.elements.read_element import RawElement, read_raw, straight_linear_colour
from vfxmatte.colour import decode_srgb
from vfxmatte.errors import VfxmatteError
from vfxmatte.trimaps import SOFT_HIGH, SOFT_LOW
from vfxmatte.types import FloatImage

Trouble = Literal[
    "unreadable",
    "no alpha",
    "all opaque",
    "all empty",
    "no soft edge",
    "hard edge",
    "clipped alpha",
    "few alpha levels",
    "never opaque",
    "colour missing",
    "premultiplied",
    "not premultiplied",
    "too small",
    "duplicate",
]

SMALLEST_SIDE_PX = 32
"""Elements whose covered part is smaller than this cannot be used; below four times, doubtful."""

_HARD_EDGE = 0.3  # soft pixels per pixel of contour; an anti-aliased edge has about one
_FEWEST_LEVELS = 16  # different alphas between empty and opaque
_FEWEST_PIXELS = 60  # fewer are too few for statistics
_CUT_PIXELS, _CUT_SHARE = (
    500,
    0.005,
)  # common neighbours of a range of alphas, and rare alphas in it
_DARK_FRINGE, _BRIGHT_FRINGE = 0.45, 2.2  # median edge colour over solid colour
_FRINGE_RANK = 0.3  # rank correlation of that with alpha, from which it is a premultiplication
_MISSING_SHARE = 0.5  # of the edge's pixels that are black


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One fault of one element."""

    trouble: Trouble
    what: str
    """A sentence for the user."""
    unusable: bool
    """False if the element is only doubtful."""


def check_element(element: ElementFile) -> tuple[list[Finding], RawElement | None]:
    """Read and check an element; returns its findings, and its pictures if they could be read."""
    try:
        raw = read_raw(element)
    except VfxmatteError as error:
        return [Finding(trouble="unreadable", what=error.what, unusable=True)], None
    return findings(raw), raw


def findings(raw: RawElement) -> list[Finding]:
    """List the faults of an element, the worst first; empty if it is good."""
    if raw.alpha is None:
        return [_unusable("no alpha", "there is no alpha channel")]
    alpha = np.clip(np.nan_to_num(raw.alpha), 0, 1).astype(np.float32)
    if (alpha >= SOFT_HIGH).all():
        return [_unusable("all opaque", "alpha is 1 everywhere")]
    if (alpha <= SOFT_LOW).all():
        return [_unusable("all empty", "alpha is 0 everywhere")]
    faults = [*_edge(alpha), *_levels(raw.alpha, alpha), *_size(alpha), *_colour(raw, alpha)]
    return sorted(faults, key=lambda finding: not finding.unusable)


def _unusable(trouble: Trouble, what: str) -> Finding:
    return Finding(trouble=trouble, what=what, unusable=True)


def _doubtful(trouble: Trouble, what: str) -> Finding:
    return Finding(trouble=trouble, what=what, unusable=False)


def _edge(alpha: FloatImage) -> list[Finding]:
    soft = int(np.count_nonzero((alpha > SOFT_LOW) & (alpha < SOFT_HIGH)))
    if soft == 0:
        return [_unusable("no soft edge", "every pixel is either opaque or empty")]
    solid = alpha > 0.5
    contour = int((solid[1:] != solid[:-1]).sum() + (solid[:, 1:] != solid[:, :-1]).sum())
    if soft < _HARD_EDGE * contour:
        return [_doubtful("hard edge", f"{soft} soft pixels on a contour of {contour}")]
    return []


def _levels(stored: FloatImage, alpha: FloatImage) -> list[Finding]:
    faults = []
    below, above = float(np.nanmin(stored)), float(np.nanmax(stored))
    if not np.isfinite(stored).all():
        faults.append(_doubtful("clipped alpha", "alpha has NaN or infinite pixels"))
    elif below < -0.01 or above > 1.01:
        faults.append(_doubtful("clipped alpha", f"alpha goes from {below:.2f} to {above:.2f}"))
    if alpha.max() < SOFT_HIGH:
        return [*faults, _doubtful("never opaque", f"alpha never exceeds {alpha.max():.2f}")]
    soft = alpha[(alpha > 0.004) & (alpha < 0.996)]
    if soft.size < _FEWEST_PIXELS:
        return faults
    levels = len(np.unique(np.round(soft * 255)))
    if levels < _FEWEST_LEVELS:
        faults.append(_doubtful("few alpha levels", f"only {levels} between empty and opaque"))
    elif cut := _cut_end(soft):
        faults.append(_doubtful("clipped alpha", f"the {cut} part of alpha has been cut off"))
    return faults


def _cut_end(soft: FloatImage) -> str | None:
    """Return `low` or `high` if alphas near 0 or 1 are absent and their neighbours common."""
    low, above_low, below_high, high = np.histogram(soft, (0, 0.06, 0.2, 0.8, 0.94, 1))[0][
        [0, 1, 3, 4]
    ]
    if above_low >= _CUT_PIXELS and low < _CUT_SHARE * above_low:
        return "low"
    if below_high >= _CUT_PIXELS and high < _CUT_SHARE * below_high:
        return "high"
    return None


def _size(alpha: FloatImage) -> list[Finding]:
    rows = np.flatnonzero((alpha > SOFT_LOW).any(axis=1))
    columns = np.flatnonzero((alpha > SOFT_LOW).any(axis=0))
    height, width = int(rows[-1] - rows[0] + 1), int(columns[-1] - columns[0] + 1)
    what = f"the covered part is {width}x{height} px"
    if max(width, height) < SMALLEST_SIDE_PX:
        return [_unusable("too small", what)]
    return [_doubtful("too small", what)] if max(width, height) < 4 * SMALLEST_SIDE_PX else []


def _colour(raw: RawElement, alpha: FloatImage) -> list[Finding]:
    """Compare colour near the edge with the solid colour around it."""
    edge = (alpha > 0.06) & (alpha < 0.35)
    solid = alpha > 0.9
    if min(np.count_nonzero(edge), np.count_nonzero(solid)) < _FEWEST_PIXELS:
        return []
    straight = straight_linear_colour(raw, alpha) if raw.is_linear else decode_srgb(raw.colour)
    straight = np.nan_to_num(straight).astype(np.float32)
    brightness = straight.mean(axis=2)
    expected = extend_colour(straight, alpha, trusted_alpha=0.9).mean(axis=2)
    visible = edge & (expected > 1e-3)
    if np.count_nonzero(visible) < _FEWEST_PIXELS:
        return []
    if np.mean(brightness[visible] < 1e-4) > _MISSING_SHARE:
        return [_doubtful("colour missing", "colour is black under the soft edge")]
    return _fringe(raw.is_linear, brightness[visible] / expected[visible], alpha[visible])


def _fringe(is_linear: bool, ratio: FloatImage, alpha: FloatImage) -> list[Finding]:
    """Detect colour that falls or rises with alpha as after a wrong premultiplication."""
    middle = float(np.median(ratio))
    rank = _rank_correlation(ratio, alpha)
    if middle < _DARK_FRINGE and rank > _FRINGE_RANK:
        what = f"colour falls to {middle:.2f} of the solid colour with alpha: a dark fringe"
        twice = "premultiplied twice" if is_linear else "premultiplied, but this format is straight"
        return [_doubtful("premultiplied", f"{what} ({twice})")]
    if middle > _BRIGHT_FRINGE and rank < -_FRINGE_RANK:
        what = f"colour rises to {middle:.1f} times the solid colour as alpha falls"
        hint = "straight, but EXR is premultiplied" if is_linear else "a bright fringe"
        return [_doubtful("not premultiplied", f"{what} ({hint})")]
    return []


def _rank_correlation(one: FloatImage, other: FloatImage) -> float:
    from scipy.stats import spearmanr

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)
