"""Garbage and core mattes that contradict what keyframes paint: most likely they are inverted."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress

import numpy as np

from vfxmatte.errors import VfxmatteError
from vfxmatte.pipeline.limits import Kind, Limits
from vfxmatte.pipeline.plan import RunPlan
from vfxmatte.types import BACKGROUND, FOREGROUND, Labels, Mask

MOST_SHARE = 0.5
"""Largest share of painted foreground that garbage removes, or of background that a core makes
solid, without a word."""


def limit_doubts(
    plan: RunPlan, keyframes: Collection[int], read: Callable[[int], Labels]
) -> list[str]:
    """Compare garbage and core mattes with what the first and the last keyframe paint.

    What cannot be read is left out: it is told, or fails, where it is needed.

    Args:
        keyframes: the numbers of those to choose from.
        read: returns a keyframe's labels, (H, W) uint8 over the canvas.

    Returns:
        A sentence for each kind of matte that contradicts one of them.
    """
    if not plan.limits or not any(n not in plan.finished for n in plan.numbers):
        return []
    doubts: dict[Kind, str] = {}
    for number in _compared(plan, keyframes):
        with suppress(VfxmatteError):
            for kind, text in _contradictions(plan.limits.read(number), number, read).items():
                doubts.setdefault(kind, text)
    return list(doubts.values())


def _compared(plan: RunPlan, keyframes: Collection[int]) -> list[int]:
    """Return the first and the last keyframe, if possible painted ones on frames to solve."""
    every = sorted(keyframes)
    painted = [n for n in every if n not in plan.finished] or every
    solved = [n for n in painted if n in plan.numbers] or painted
    return sorted({solved[0], solved[-1]}) if solved else []


def _contradictions(limits: Limits, number: int, read: Callable[[int], Labels]) -> dict[Kind, str]:
    labels, texts = read(number), dict[Kind, str]()
    removed = _share(limits.outside, labels == FOREGROUND)
    if removed > MOST_SHARE:
        texts["garbage"] = (
            f"the garbage matte removes {100 * removed:.0f}% of what keyframe {number} paints as "
            "foreground: is it inverted? It removes what is black, and keeps what is white"
        )
    filled = _share(limits.inside, labels == BACKGROUND)
    if filled > MOST_SHARE:
        texts["core"] = (
            f"the core matte makes solid {100 * filled:.0f}% of what keyframe {number} paints as "
            "background: is it inverted? It makes solid what is white"
        )
    return texts


def _share(mask: Mask | None, painted: Mask) -> float:
    """Return the share of what is painted that lies in a mask; 0 if nothing is painted."""
    if mask is None or not painted.any():
        return 0.0
    return float(np.mean(mask[painted]))
