"""A disc that moves over a still ground, with gaps in its mattes."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from vfxmatte.temporal.moment import Moment, Neighbour, flows_between, picture_of
from vfxmatte.types import FloatImage

HEIGHT, WIDTH, STEP = 120, 160, 3
NOW = 0
GAP = (60, 80)  # on this frame, (row, column); it moves with the subject


def solid(frame: int) -> FloatImage:
    """A disc that moves to the right."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    distance = np.hypot(rows - 60, columns - 80 - STEP * frame)
    return np.clip((40 - distance) / 4, 0, 1).astype(np.float32)


def shown(frame: int) -> FloatImage:
    noise = np.random.default_rng(5).random((HEIGHT, 2 * WIDTH, 3), np.float32)
    texture = cv2.GaussianBlur(noise, (0, 0), 2) * 2 - 0.5
    ground, disc = (
        texture[:, :WIDTH] * (0.3, 0.6, 0.9),
        np.roll(texture[:, WIDTH:], STEP * frame, 1),
    )
    alpha = solid(frame)[..., None]
    return np.clip(alpha * disc + (1 - alpha) * ground, 0, 1).astype(np.float32)


def gap(frame: int) -> FloatImage:
    """How much of alpha is missing."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    distance = np.hypot(rows - GAP[0], columns - GAP[1] - STEP * frame)
    return (0.7 * np.exp(-np.square(distance / 8))).astype(np.float32)


def moments(gaps: Mapping[int, float]) -> dict[int, Moment]:
    """Frames -2 to 2, with gaps of these strengths."""
    return {
        frame: Moment(
            alpha=solid(frame) * (1 - gaps.get(frame, 0) * gap(frame)),
            picture=picture_of(shown(frame)),
        )
        for frame in range(-2, 3)
    }


def chain(around: Mapping[int, Moment], step: int, frame: int = NOW) -> Neighbour | None:
    if frame + step not in around:
        return None
    flows = flows_between(around[frame].picture, around[frame + step].picture)
    beyond = chain(around, step, frame + step)
    return Neighbour(moment=around[frame + step], flows=flows, beyond=beyond)
