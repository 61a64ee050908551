"""A made-up shot for reviews: a textured disc with a soft edge moves over a textured ground."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.review.exact import exact_figures
from vfxmatte.review.figures import figures_of
from vfxmatte.review.flags import FrameReview, reviewed
from vfxmatte.review.footage import ReviewFrame
from vfxmatte.review.measures import measured
from vfxmatte.trimaps import from_matte

WIDTH, HEIGHT, COUNT, FIRST = 160, 120, 20, 1001
KEYFRAMES = (1001, 1020)

Spoil = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def with_hole(alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """A hole in the middle of what is solid."""
    rows, columns = np.nonzero(alpha >= 1)
    return cv2.circle(alpha.copy(), (int(columns.mean()), int(rows.mean())), 8, 0.0, -1)


def half(alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Half as opaque everywhere."""
    return alpha * np.float32(0.5)


def alpha_at(index: int) -> NDArray[np.float32]:
    """(120, 160) float32: a disc that moves by 2 px a frame."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    distance = np.hypot(x - (50 + 2 * index), y - 60)
    return np.clip((32 - distance) / 5, 0, 1).astype(np.float32)


def plate_at(index: int) -> NDArray[np.uint8]:
    texture = np.random.default_rng(3).random((HEIGHT, 2 * WIDTH, 3), np.float32)
    texture = cv2.GaussianBlur(texture, (0, 0), 2.0)
    texture = (texture - texture.min()) / np.ptp(texture)
    ground = texture[:, WIDTH:] * (0.2, 0.4, 0.9)
    disc = np.roll(texture, 2 * index, axis=1)[:, :WIDTH] * (1.0, 0.8, 0.3)
    alpha = alpha_at(index)[:, :, None]
    return np.asarray((alpha * disc + (1 - alpha) * ground) * 255, np.uint8)


def moving_matte(spoiled: Mapping[int, Spoil] | None = None) -> list[ReviewFrame]:
    """The shot with its exact mattes, and other ones on the frames that are named."""
    frames = []
    for index in range(COUNT):
        number = FIRST + index
        exact = alpha_at(index)
        alpha = (spoiled or {}).get(number, lambda same: same)(exact).astype(np.float32)
        labels = from_matte(exact, erode_px=4, dilate_px=4)
        frames.append(frame_of(number, index, alpha, labels))
    return frames


def frame_of(
    number: int, index: int, alpha: NDArray[np.float32], labels: NDArray[np.uint8] | None
) -> ReviewFrame:
    is_keyframe = number in KEYFRAMES
    return ReviewFrame(
        number=number,
        is_keyframe=is_keyframe,
        plate=plate_at(index),
        alpha=alpha,
        labels=labels,
        monitor=np.where(alpha <= 0, 0, np.where(alpha >= 1, 255, 128)).astype(np.uint8),
        confidence=1.0 if is_keyframe else 0.8,
        exact=exact_figures(alpha, labels),
    )


def without_matte(frame: ReviewFrame) -> ReviewFrame:
    return replace(
        frame, alpha=None, monitor=None, exact=None, problems=("no matte: none was written",)
    )


def review_of(frames: list[ReviewFrame]) -> dict[int, FrameReview]:
    """The frames' reviews by number."""
    figures = [figures_of(one.frame, one.measures) for one in measured(frames)]
    return {frame.number: frame for frame in reviewed(figures)}
