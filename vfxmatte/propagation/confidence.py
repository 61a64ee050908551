"""Rate propagated trimaps and their mattes, and suggest where another keyframe would help most.

Against a true alpha: `missed` (soft pixels labelled certain, which the network can never repair)
and `area` (unknown area against the area needed). Without one: each frame's confidence, unknown
share and distance to the nearest keyframe. Once a frame is solved, its matte tells more than its
trimap does: where the picture does not say what is subject, alpha is neither 0 nor 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from vfxmatte.trimaps import SOFT_HIGH, SOFT_LOW
from vfxmatte.types import UNKNOWN, FloatImage, Labels, Trimap

WEAK = 0.5
"""Frames with less confidence are weak."""

_USUALLY_SOFT = 0.12
"""How soft the matte of a painted keyframe is, as a share of its unknown area: 0.10 to 0.13 on each
of eleven shots of hair, fur, leaves, people and animals."""


_JUMPS_COUNT = 2.0  # times as much as softness


@dataclass(frozen=True, kw_only=True)
class TrimapStats:
    """One frame's trimap in numbers."""

    number: int
    confidence: float
    """0 to 1."""
    unknown_share: float
    """Share of all pixels, 0 to 1."""
    keyframe_distance: int
    """Frames to the nearest keyframe; 0 for a keyframe."""


@dataclass(frozen=True, kw_only=True)
class TrimapScore:
    """One propagated frame against the truth: `missed` 0 to 1, `area` 1 for a perfect band."""

    number: int
    missed: float
    area: float
    confidence: float


def missed_share(labels: Labels, true_alpha: FloatImage) -> float:
    """Share of the truly soft pixels (0.02 < alpha < 0.98) labelled certain, 0 to 1.

    Args:
        labels: (H, W) uint8.
        true_alpha: (H, W) float32; 0 is returned where nothing is soft.
    """
    soft = (true_alpha > SOFT_LOW) & (true_alpha < SOFT_HIGH)
    count = int(np.count_nonzero(soft))
    return float(np.count_nonzero(soft & (labels != UNKNOWN)) / count) if count else 0.0


def area_ratio(labels: Labels, reference_labels: Labels) -> float:
    """Unknown area over the reference's; infinity if only the reference has none, 1 if both."""
    area = int(np.count_nonzero(labels == UNKNOWN))
    reference = int(np.count_nonzero(reference_labels == UNKNOWN))
    if reference == 0:
        return 1.0 if area == 0 else float("inf")
    return area / reference


def softness_px(alpha: FloatImage) -> float:
    """Sum how far (H, W) float32 alpha is from 0 or 1, in px."""
    return float(np.minimum(alpha, 1 - alpha).sum(dtype=np.float64))


def doubtful_px(alpha: FloatImage, jumped_px: float) -> float:
    """Sum what is soft, and twice what jumps (see `temporal.jumps`), in px."""
    return softness_px(alpha) + _JUMPS_COUNT * jumped_px


def matte_confidence(doubtful_px: float, painted_px: float) -> float:
    """Rate a frame by how soft its matte is and how far it jumps from its neighbours'.

    Without a jump it is 0.8 where the matte is as soft as a painted keyframe's usually is, 0.5
    where it is twice as soft.

    Args:
        doubtful_px: see the function of this name.
        painted_px: unknown area of the shot's keyframes, a mean, above 0.
    """
    return 1 / (1 + (doubtful_px / (2 * _USUALLY_SOFT * painted_px)) ** 2)


def trimap_stats(trimap: Trimap, keyframe_numbers: Iterable[int]) -> TrimapStats:
    """Collect the statistics of one frame; raises ValueError without any keyframe number."""
    return TrimapStats(
        number=trimap.number,
        confidence=trimap.confidence,
        unknown_share=trimap.unknown_share,
        keyframe_distance=min(abs(trimap.number - key) for key in keyframe_numbers),
    )


def suggest_keyframe(stats: Iterable[TrimapStats]) -> int | None:
    """Return the frame where another keyframe would help most; None if every frame is one.

    A keyframe improves its whole neighbourhood. So the loss (1 - confidence) is summed over every
    run of frames between keyframes, and the frame that halves the worst run's loss is returned.
    """
    run: list[TrimapStats] = []
    worst: list[TrimapStats] = []
    ordered = sorted(stats, key=lambda one: one.number)
    for one in ordered:
        if one.keyframe_distance > 0:
            run.append(one)
        else:
            worst, run = max(worst, run, key=_loss), []
    worst = max(worst, run, key=_loss)
    return _middle_of_loss(worst) if worst else None


def suggestion_text(number: int, confidence: float, subject: str | None = None) -> str:
    """Format the suggestion of a keyframe.

    Args:
        confidence: of the trimap on that frame.
        subject: whose keyframe it is, if there are several.
    """
    of = f" of {subject}" if subject else ""
    return (
        f"a further keyframe{of} would help most on frame {number} "
        f"(confidence there {confidence:.2f})"
    )


def _loss(run: Sequence[TrimapStats]) -> tuple[float, int]:
    return sum(1.0 - one.confidence for one in run), len(run)


def _middle_of_loss(run: Sequence[TrimapStats]) -> int:
    losses = np.cumsum([1.0 - one.confidence + 1e-6 for one in run])
    return run[int(np.searchsorted(losses, losses[-1] / 2))].number
