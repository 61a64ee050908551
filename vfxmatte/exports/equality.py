"""A comparison of an exported model with the engine, on the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.colour import encode_for_network
from vfxmatte.engines.answers import solve_one
from vfxmatte.engines.protocol import EngineSettings, Task
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import ExportError
from vfxmatte.exports.working_space import NAMES, WorkingSpace, colours
from vfxmatte.prior.alpha_prior import alpha_priors
from vfxmatte.trimaps import labels_from_values
from vfxmatte.types import UNKNOWN, FloatImage, Labels, Trimap

Model = Callable[[FloatImage], NDArray[np.floating]]
"""Converts (1, channels, H, W) float32 to alpha (1, 1, H, W)."""

Priors = Literal["inside", "given", "none"]
"""The source of the alpha priors: the model, further input channels, or none."""


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """The allowed difference of alpha from the engine.

    Rounding can move the maximum of a pooling to a nearly equal neighbour, which changes a few
    pixels; an error in the model changes the mean.
    """

    largest: float
    """Largest difference of a pixel."""
    mean: float
    """Mean difference of the unknown pixels."""


FLOAT_TOLERANCE = Tolerance(largest=2e-2, mean=1e-4)
ONNX_TOLERANCE = Tolerance(largest=5e-2, mean=2e-3)
"""Tolerance for alpha priors made by another solver, that goes on until it is nearer to the end."""
HALF_TOLERANCE = Tolerance(largest=1e-1, mean=1e-2)
"""Tolerance for weights and activations with 11 bits of mantissa."""

_SIZES = ((1, 1), (9, 17), (64, 96), (75, 130), (224, 320))


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """A picture with its trimap."""

    picture: FloatImage
    """(H, W, 3) float32 in a working space."""
    painted: FloatImage
    """(H, W) float32 trimap."""

    def as_input(self) -> FloatImage:
        """Stack both to (1, 4, H, W) float32, contiguous."""
        stacked = np.concatenate((self.picture, self.painted[:, :, None]), 2)
        return np.ascontiguousarray(stacked.transpose(2, 0, 1)[np.newaxis])


def sample(height: int, width: int, *, highest: float = 1.0, seed: int = 0) -> Sample:
    """Create a soft random texture from just below 0 to `highest`, with a slanting unknown band.

    The trimap has values near 0, 0.5 and 1.
    """
    generator = np.random.default_rng(seed)
    noise = generator.random((height, width, 3), np.float32)
    texture = cv2.GaussianBlur(noise, (0, 0), 2) + 0.3 * (noise - 0.5)
    picture = (texture.reshape(height, width, 3) ** 3 * 4 * highest - 0.02).astype(np.float32)
    y, x = np.mgrid[0:height, 0:width]
    ramp = (x - width / 2 + (y - height / 2) / 2) / max(1, width / 8)
    painted = np.clip(np.round(ramp), -1, 1) / 2 + 0.5
    painted = np.clip(painted + generator.uniform(-0.04, 0.04, painted.shape), 0, 1)
    return Sample(picture=picture, painted=painted.astype(np.float32))


def samples(space: WorkingSpace) -> Iterator[Sample]:
    """Yield pictures of several sizes, larger and smaller than the network's stride."""
    highest = 1.0 if space is WorkingSpace.SRGB else 6.0
    for seed, (height, width) in enumerate(_SIZES):
        yield sample(height, width, highest=highest, seed=seed)


def check_equal(
    model: Model,
    weights: Path,
    space: WorkingSpace,
    tolerance: Tolerance = FLOAT_TOLERANCE,
    *,
    priors: Priors = "inside",
) -> float:
    """Return the largest difference of alpha between the model and the float32 engine on the CPU.

    Raises ExportError if it exceeds the tolerance, or a known pixel is not exactly 0 or 1.
    """
    largest = 0.0
    engine = open_engine(
        EngineSettings(weights=weights, device="cpu", precision="float32", prior=priors != "none")
    )
    for one in samples(space):
        labels = labels_from_values(one.painted)
        task = _task(one, labels, space)
        solved = solve_one(engine, task)
        channels = one.as_input()
        if priors == "given":
            added = alpha_priors(task.image, labels).transpose(2, 0, 1)[np.newaxis]
            channels = np.ascontiguousarray(np.concatenate((channels, added), 1))
        alpha = model(channels)[0, 0].astype(np.float32)
        size = f"{labels.shape[1]}x{labels.shape[0]}, {NAMES[space]}"
        largest = max(largest, _difference(alpha, solved.alpha, labels, tolerance, size))
    return largest


def _difference(
    alpha: FloatImage, expected: FloatImage, labels: Labels, tolerance: Tolerance, size: str
) -> float:
    """Return the largest difference in one picture; raises ExportError if it is too large."""
    known, unknown = labels != UNKNOWN, labels == UNKNOWN
    if alpha.shape != labels.shape or (alpha[known] != expected[known]).any():
        raise ExportError(f"the exported model alters known pixels ({size})")
    if not unknown.any():
        return 0.0
    difference = np.abs(alpha - expected)[unknown]
    largest, mean = float(difference.max()), float(difference.mean())
    if not (largest <= tolerance.largest and mean <= tolerance.mean):
        raise ExportError(
            f"the exported model differs from the engine by up to {largest:.2g}, {mean:.2g} on "
            f"the mean ({size}); allowed is {tolerance.largest:g} and {tolerance.mean:g}",
            hint="nothing was written; weights that have hardly learned differ as much; please "
            "report others with their sidecar",
        )
    return largest


def _task(one: Sample, labels: Labels, space: WorkingSpace) -> Task:
    linear = colours().to_linear_rec709(one.picture, space.ocio_name)
    image = encode_for_network(linear).astype(np.float32)
    return Task(image=image, trimap=Trimap(number=0, labels=labels, is_keyframe=True))
