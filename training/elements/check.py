"""What is wrong with the elements of a library, and which of them cannot be used.

A finding is a word for the kind of trouble, a sentence for a person, and whether the element is
unusable or only doubtful. Colour is judged in linear light, as it would be composited: near the
edge it is compared with the solid colour around, where 1 means that nothing happens to it.
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
_FEWEST_LEVELS = 16
_FEWEST_PIXELS = 60  # fewer say nothing about a population
_CUT_PIXELS, _CUT_SHARE = 500, 0.005
_DARK_FRINGE, _BRIGHT_FRINGE = 0.45, 2.2
_MISSING_SHARE = 0.5


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong with one element."""

    trouble: Trouble
    what: str
    unusable: bool


def check_element(element: ElementFile) -> tuple[list[Finding], RawElement | None]:
    """The findings for one element, and its pictures where they could be read."""
    try:
        raw = read_raw(element)
    except VfxmatteError as error:
        return [Finding(trouble="unreadable", what=error.what, unusable=True)], None
    return findings(raw), raw


def findings(raw: RawElement) -> list[Finding]:
    """Everything that is wrong with an element, the worst first; empty where all is well."""
    if raw.alpha is None:
        return [_unusable("no alpha", "there is no alpha channel")]
    alpha = np.clip(np.nan_to_num(raw.alpha), 0, 1).astype(np.float32)
    if (alpha >= SOFT_HIGH).all():
        return [_unusable("all opaque", "alpha is 1 everywhere")]
    if (alpha <= SOFT_LOW).all():
        return [_unusable("all empty", "alpha is 0 everywhere")]
    found = [*_edge(alpha), *_levels(raw.alpha, alpha), *_size(alpha), *_colour(raw, alpha)]
    return sorted(found, key=lambda finding: not finding.unusable)


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
    found = []
    below, above = float(np.nanmin(stored)), float(np.nanmax(stored))
    if not np.isfinite(stored).all():
        found.append(_doubtful("clipped alpha", "alpha has NaN or infinite pixels"))
    elif below < -0.01 or above > 1.01:
        found.append(_doubtful("clipped alpha", f"alpha goes from {below:.2f} to {above:.2f}"))
    if alpha.max() < SOFT_HIGH:
        return [*found, _doubtful("never opaque", f"alpha never exceeds {alpha.max():.2f}")]
    soft = alpha[(alpha > 0.004) & (alpha < 0.996)]
    if soft.size < _FEWEST_PIXELS:
        return found
    levels = len(np.unique(np.round(soft * 255)))
    if levels < _FEWEST_LEVELS:
        found.append(_doubtful("few alpha levels", f"only {levels} between empty and opaque"))
    elif cut := _cut_end(soft):
        found.append(_doubtful("clipped alpha", f"the {cut} part of alpha has been cut off"))
    return found


def _cut_end(soft: FloatImage) -> str | None:
    """`low` or `high` where values near 0 or 1 are absent though their neighbours are common."""
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
    """Colour near the edge against the solid colour around it."""
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
    """Whether colour falls or rises with alpha as a wrong premultiplication would make it."""
    middle = float(np.median(ratio))
    rank = _rank_correlation(ratio, alpha)
    if middle < _DARK_FRINGE and rank > 0.3:
        what = f"colour falls to {middle:.2f} of the solid colour with alpha: a dark fringe"
        twice = "premultiplied twice" if is_linear else "premultiplied, but this format is straight"
        return [_doubtful("premultiplied", f"{what} ({twice})")]
    if middle > _BRIGHT_FRINGE and rank < -0.3:
        what = f"colour rises to {middle:.1f} times the solid colour as alpha falls"
        hint = "straight, but EXR is premultiplied" if is_linear else "a bright fringe"
        return [_doubtful("not premultiplied", f"{what} ({hint})")]
    return []


def _rank_correlation(one: FloatImage, other: FloatImage) -> float:
    from scipy.stats import spearmanr

    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)
