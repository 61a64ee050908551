"""Errors of mattes: one implementation for training, evaluation and tests.

Only the unknown region counts; outside it the prediction is replaced by the trimap. Stills: SAD,
MSE, MAD, Grad, Conn (Rhemann et al. 2009, "A perceptually motivated online benchmark for image
matting"). Moving pictures: SSDA, dtSSD, MESSDdt (Erofeev et al. 2015, "Perceptually motivated
benchmark for video matting").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.types import FOREGROUND, UNKNOWN, FloatImage, Labels

_GRADIENT_SIGMA = 1.4
_GRADIENT_CUTOFF = 1e-2  # the kernel ends where the Gaussian falls below this
_CONN_STEPS = 10  # thresholds
_CONN_THETA = np.float32(0.15)  # of Rhemann et al.

Flow = Callable[[int], FloatImage]
"""Takes the index of a frame; returns (H, W, 2) float32 x and y displacement in px to the next."""


@dataclass(frozen=True, kw_only=True)
class MatteErrors:
    """Errors of one matte, or means over several; 0 is perfect."""

    sad: float
    """Sum of absolute differences over the unknown pixels, divided by 1000."""
    mse: float
    """Mean squared error over the unknown pixels."""
    mad: float
    """Mean absolute difference over the unknown pixels."""
    grad: float
    """Sum of squared gradient differences over the unknown pixels, divided by 1000."""
    conn: float
    """Sum of connectivity differences over the unknown pixels, divided by 1000."""
    unknown_px: float
    """Number of unknown pixels."""

    @classmethod
    def mean(cls, errors: Iterable[MatteErrors]) -> MatteErrors:
        """Average the errors with equal weights; raises ValueError without any."""
        rows = list(errors)
        if not rows:
            raise ValueError("no errors to average")
        names = cls.__dataclass_fields__
        return cls(**{n: float(np.mean([getattr(row, n) for row in rows])) for n in names})


@dataclass(frozen=True, kw_only=True)
class SequenceErrors:
    """Mean errors of a moving matte; sums are over the unknown pixels of the earlier frame."""

    ssda: float
    """√Σ(α−g)²."""
    dtssd: float
    """√Σ((αₜ−αₜ₊₁)−(gₜ−gₜ₊₁))²."""
    messddt: float | None
    """Σ|(αₜ−gₜ)²−(αₜ₊₁−gₜ₊₁)²|/1000, the later frame along the optical flow; None without flow."""
    frames: int
    """Number of frames."""


def force_known(prediction: FloatImage, labels: Labels) -> FloatImage:
    """Clip `prediction` (H, W) float32 to [0, 1] and set it to 0 or 1 where the trimap is certain.

    Raises ValueError if the shape differs from the labels', or for values that are not finite.
    """
    if prediction.shape != labels.shape:
        raise ValueError(f"prediction is {prediction.shape}, labels are {labels.shape}")
    if not np.isfinite(prediction).all():
        raise ValueError("prediction has values that are not finite")
    known = (labels == FOREGROUND).astype(np.float32)
    return np.where(labels == UNKNOWN, np.clip(prediction, 0, 1), known).astype(np.float32)


def matte_errors(prediction: FloatImage, truth: FloatImage, labels: Labels) -> MatteErrors:
    """Measure all errors of one matte.

    Args:
        prediction, truth: (H, W) float32 alpha in [0, 1].
        labels: (H, W) uint8 trimap of 0, 128, 255.
    """
    prediction, truth = force_known(prediction, labels), _checked(truth, labels)
    unknown = labels == UNKNOWN
    count = int(np.count_nonzero(unknown))
    difference = (prediction - truth)[unknown].astype(np.float64)
    absolute, squared = np.abs(difference).sum(), np.square(difference).sum()
    return MatteErrors(
        sad=float(absolute / 1000),
        mse=float(squared / max(count, 1)),
        mad=float(absolute / max(count, 1)),
        grad=_gradient_error(prediction, truth, unknown),
        conn=_connectivity_error(prediction, truth, unknown),
        unknown_px=count,
    )


def _checked(truth: FloatImage, labels: Labels) -> FloatImage:
    if truth.shape != labels.shape:
        raise ValueError(f"truth is {truth.shape}, labels are {labels.shape}")
    return truth.astype(np.float32, copy=False)


def _gradient_kernel() -> NDArray[np.float64]:
    """Return the derivative of a Gaussian along x, of unit Frobenius norm; (9, 9) for σ = 1.4."""
    s = _GRADIENT_SIGMA
    half = math.ceil(s * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * s * _GRADIENT_CUTOFF)))
    x = np.arange(-half, half + 1, dtype=np.float64)
    gaussian = np.exp(-(x**2) / (2 * s**2)) / (s * math.sqrt(2 * math.pi))
    kernel = np.outer(gaussian, -x * gaussian / s**2)
    return np.asarray(kernel / np.linalg.norm(kernel))


def _gradient_magnitude(alpha: FloatImage) -> NDArray[np.float64]:
    kernel, image = _gradient_kernel(), alpha.astype(np.float64)
    along_x = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    along_y = cv2.filter2D(image, -1, kernel.T, borderType=cv2.BORDER_REPLICATE)
    return np.hypot(along_x, along_y)


def _gradient_error(prediction: FloatImage, truth: FloatImage, unknown: NDArray[np.bool_]) -> float:
    difference = _gradient_magnitude(prediction) - _gradient_magnitude(truth)
    return float(np.square(difference[unknown]).sum() / 1000)


def _largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest 4-connected component; all False where there is none."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=4, ltype=cv2.CV_32S
    )
    if count < 2:
        return np.zeros_like(mask)
    return np.asarray(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def _connected_level(prediction: FloatImage, truth: FloatImage) -> FloatImage:
    """Return the highest threshold at which each pixel is connected to the solid part of both."""
    level = np.ones(truth.shape, np.float32)
    connected = np.ones(truth.shape, bool)
    for step in range(1, _CONN_STEPS + 1):
        threshold = np.float32(step / _CONN_STEPS)
        source = _largest_component((prediction >= threshold) & (truth >= threshold))
        level[connected & ~source] = np.float32((step - 1) / _CONN_STEPS)
        connected &= source
    return level


def _connectivity_error(
    prediction: FloatImage, truth: FloatImage, unknown: NDArray[np.bool_]
) -> float:
    level = _connected_level(prediction, truth)

    def connectedness(alpha: FloatImage) -> FloatImage:
        above = alpha - level
        return np.asarray(1 - above * (above >= _CONN_THETA))

    difference = np.abs(connectedness(prediction) - connectedness(truth))
    return float(difference[unknown].sum(dtype=np.float64) / 1000)


def ssda(prediction: FloatImage, truth: FloatImage, labels: Labels) -> float:
    """Return √Σ(α−g)² over the unknown pixels of one frame."""
    error = (force_known(prediction, labels) - _checked(truth, labels))[labels == UNKNOWN]
    return float(np.sqrt(np.square(error.astype(np.float64)).sum()))


def dtssd(
    predictions: tuple[FloatImage, FloatImage],
    truths: tuple[FloatImage, FloatImage],
    labels: tuple[Labels, Labels],
) -> float:
    """Return √Σ((αₜ−αₜ₊₁)−(gₜ−gₜ₊₁))² over the pixels unknown in the earlier of two frames."""
    now, after = _errors_of_pair(predictions, truths, labels)
    change = (now - after)[labels[0] == UNKNOWN].astype(np.float64)
    return float(np.sqrt(np.square(change).sum()))


def messddt(
    predictions: tuple[FloatImage, FloatImage],
    truths: tuple[FloatImage, FloatImage],
    labels: tuple[Labels, Labels],
    flow: FloatImage,
) -> float:
    """Return Σ|(αₜ−gₜ)²−(αₜ₊₁−gₜ₊₁)²|/1000, the later frame sampled bilinearly along `flow`.

    `flow` is (H, W, 2) float32, x and y displacement in px from the earlier frame to the later.
    Pixels that leave the frame do not count.
    """
    if flow.shape != (*labels[0].shape, 2):
        raise ValueError(f"flow is {flow.shape}, labels are {labels[0].shape}")
    now, after = _errors_of_pair(predictions, truths, labels)
    height, width = now.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x + flow[..., 0], y + flow[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    followed = cv2.remap(after, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    change = np.abs(np.square(now.astype(np.float64)) - np.square(followed.astype(np.float64)))
    return float(change[(labels[0] == UNKNOWN) & inside].sum() / 1000)


def _errors_of_pair(
    predictions: tuple[FloatImage, FloatImage],
    truths: tuple[FloatImage, FloatImage],
    labels: tuple[Labels, Labels],
) -> tuple[FloatImage, FloatImage]:
    if labels[0].shape != labels[1].shape:
        raise ValueError(f"the frames differ in size: {labels[0].shape}, {labels[1].shape}")
    now, after = (
        force_known(p, m) - _checked(t, m)
        for p, t, m in zip(predictions, truths, labels, strict=True)
    )
    return now, after


def sequence_errors(
    frames: Iterable[tuple[FloatImage, FloatImage, Labels]], flow: Flow | None = None
) -> SequenceErrors:
    """Measure a moving matte, with two frames in memory at a time.

    Args:
        frames: (prediction, truth, labels) of consecutive frames, in order.
        flow: returns the flow from a frame, by its index, to the next; None: no MESSDdt.
    """
    single: list[float] = []
    pairs: list[float] = []
    followed: list[float] = []
    before: tuple[FloatImage, FloatImage, Labels] | None = None
    for index, frame in enumerate(frames):
        single.append(ssda(*frame))
        if before is not None:
            alphas, truths = (before[0], frame[0]), (before[1], frame[1])
            labels = before[2], frame[2]
            pairs.append(dtssd(alphas, truths, labels))
            if flow is not None:
                followed.append(messddt(alphas, truths, labels, flow(index - 1)))
        before = frame
    if not single:
        raise ValueError("no frames to measure")
    return SequenceErrors(
        ssda=float(np.mean(single)),
        dtssd=float(np.mean(pairs)) if pairs else 0.0,
        messddt=float(np.mean(followed)) if followed else None,
        frames=len(single),
    )
