"""The examples of a fit: keyframes with wider and wider trimaps, and random squares of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vfxmatte.engines.light_frame import Frame, averaged, reduced, stage1_reduction
from vfxmatte.network.light import PRIORS
from vfxmatte.network.nearness import nearness
from vfxmatte.prior.alpha_prior import alpha_priors
from vfxmatte.prior.samples import Samples
from vfxmatte.trimaps import grow
from vfxmatte.types import FOREGROUND, UNKNOWN, FloatImage, Labels, Mask

GROWTHS_PX = (0, 6, 12, 20, 30, 45)
"""Growths of the painted band, in px of the picture as stage 1 sees it: as painted too, as it is on
frames beside a keyframe."""

TRIAL_GROWTH_PX = 15
"""Growth for the trial: about as wide as what motion alone leaves between two keyframes."""

_ZOOM, _TURN_DEGREES, _GAMMA, _GAIN = 1.25, 8.0, 1.3, 0.08
_OFF_CENTRE = 0.3  # share of a square's side
_MISLED_SHARE = 0.3  # of the squares
_MOST_BLOBS, _LOG_RADII, _BLUR_PX = 3, (math.log(4), math.log(32)), (0.8, 3)
_NEARLY = 0.05  # as far from 0 or 1 is still empty or solid


@dataclass(frozen=True, kw_only=True, eq=False)
class Keyframe:
    """A keyframe and its matte.

    image: (H, W, 3) float32 network-encoded. labels: (H, W) uint8 as painted. alpha: (H, W)
    float32, exactly 0 and 1 where painted so.
    """

    number: int
    image: FloatImage
    labels: Labels
    alpha: FloatImage


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A keyframe under one trimap, as stage 1 sees it, and the alpha wanted of it.

    Packed, because all examples of a shot are held at once: priors where the trimap is unknown
    alone, and in eight bits as alpha is.
    """

    image: NDArray[np.float16]
    """(h, w, 3); examples of one keyframe share it."""
    alpha_8bit: NDArray[np.uint8]
    """(h, w) alpha times 255; shared too."""
    unknown: NDArray[np.uint8]
    """Packed bits of the trimap …"""
    foreground: NDArray[np.uint8]
    priors: NDArray[np.uint8]
    """(n, PRIORS), times 255."""

    @classmethod
    def of(cls, frame: Frame, alpha: FloatImage) -> Example:
        """Pack a frame as stage 1 sees it, and the alpha (h, w) wanted of it."""
        unknown = frame.labels == UNKNOWN
        return cls(
            image=frame.image.astype(np.float16),
            alpha_8bit=_packed(alpha),
            unknown=np.packbits(unknown),
            foreground=np.packbits(frame.labels == FOREGROUND),
            priors=_packed(frame.priors[unknown]),
        )

    @property
    def nbytes(self) -> int:
        """Number of bytes in memory, the shared ones included."""
        parts = (self.image, self.alpha_8bit, self.unknown, self.foreground, self.priors)
        return sum(part.nbytes for part in parts)

    @property
    def alpha(self) -> FloatImage:
        return np.asarray(self.alpha_8bit / np.float32(255), np.float32)

    @property
    def frame(self) -> Frame:
        unknown, foreground = self._mask(self.unknown), self._mask(self.foreground)
        labels = foreground * np.uint8(FOREGROUND)
        labels[unknown] = UNKNOWN
        priors = np.asarray(cv2.merge([foreground.astype(np.float32)] * PRIORS), np.float32)
        pixels = np.flatnonzero(unknown)
        priors.reshape(-1, PRIORS)[pixels] = self.priors / np.float32(255)
        return Frame(image=self.image.astype(np.float32), labels=labels, priors=priors)

    def _mask(self, packed: NDArray[np.uint8]) -> Mask:
        shape = self.alpha_8bit.shape
        return np.unpackbits(packed, count=self.alpha_8bit.size).reshape(shape).view(bool)


def _packed(values: FloatImage) -> NDArray[np.uint8]:
    return np.asarray(np.rint(values.clip(0, 1) * 255), np.uint8)


def example(key: Keyframe, labels: Labels, samples: Samples | None = None) -> Example:
    """Make the example of a keyframe under a trimap of its size; samples are other keyframes'."""
    priors = alpha_priors(key.image, labels, samples=samples)
    frame = Frame(image=key.image, labels=labels, priors=priors)
    factor = stage1_reduction(*labels.shape)
    return Example.of(reduced(frame, factor), averaged(key.alpha, factor))


def grown_examples(
    key: Keyframe, samples: Samples | None = None, check: Callable[[], None] = lambda: None
) -> list[Example]:
    """List the keyframe under its own trimap, grown by `GROWTHS_PX`.

    Args:
        samples: those of the other keyframes.
        check: called before each; what it raises ends this.
    """
    factor = stage1_reduction(*key.labels.shape)
    examples: list[Example] = []
    for px in GROWTHS_PX:
        check()
        one = example(key, grow(key.labels, px * factor), samples)
        examples.append(
            replace(one, image=examples[0].image, alpha_8bit=examples[0].alpha_8bit)
            if examples
            else one
        )
    return examples


def trial_labels(key: Keyframe) -> Labels:
    """Grow the keyframe's trimap to what a fit is tried on."""
    return grow(key.labels, TRIAL_GROWTH_PX * stage1_reduction(*key.labels.shape))


@dataclass(frozen=True, kw_only=True, eq=False)
class Square:
    """A square of an example, (1, n, side, side) each: stage 1's input, the wanted alpha, and 1
    where the trimap is unknown."""

    input: Tensor
    alpha: Tensor
    unknown: Tensor


def square(examples: Sequence[Example], side: int, random: np.random.Generator) -> Square:
    """Draw a square around an unknown pixel: zoomed, turned, mirrored, of other brightness, some
    with priors that mislead."""
    chosen = examples[int(random.integers(len(examples)))]
    frame = chosen.frame
    pixels = np.flatnonzero(frame.labels == UNKNOWN)
    row, column = divmod(int(pixels[random.integers(len(pixels))]), frame.labels.shape[1])
    centre = np.array((column, row)) + random.uniform(-1, 1, 2) * side * _OFF_CENTRE
    way = _way(centre, side, random)

    def cut(values: FloatImage | Labels, interpolation: int = cv2.INTER_LINEAR) -> FloatImage:
        border = cv2.BORDER_REFLECT_101
        size = (side, side)
        moved = cv2.warpAffine(values, way, size, flags=interpolation, borderMode=border)
        return cast(FloatImage, moved)

    labels = cast(Labels, cut(frame.labels, cv2.INTER_NEAREST))
    image = np.clip(cut(frame.image), 0, 1) ** _spread(random, _GAMMA)
    image = image * (1 + random.uniform(-_GAIN, _GAIN, 3)).astype(np.float32)
    trimap = np.where(labels == UNKNOWN, np.float32(0.5), labels / np.float32(255))
    priors, alpha, unknown = cut(frame.priors), cut(chosen.alpha), labels == UNKNOWN
    if unknown.any() and random.random() < _MISLED_SHARE:
        priors = misleading(priors, alpha, unknown, random)
    planes = (image, trimap[:, :, None], priors, nearness(labels))
    return Square(
        input=_tensor(np.concatenate(planes, axis=2)),
        alpha=_tensor(alpha[:, :, None]),
        unknown=_tensor(unknown[:, :, None]),
    )


def misleading(
    priors: FloatImage, alpha: FloatImage, unknown: Mask, random: np.random.Generator
) -> FloatImage:
    """Make all priors wrong in a few blobs, as colours do where they occur on both sides.

    So the network learns that a hole in solid fur is filled, and a patch in empty air is nothing.
    Soft edges, where priors are at their best, stay.

    Args:
        priors: (h, w, n) float32. alpha: (h, w) float32. unknown: (h, w) bool, at least one pixel.
    """
    rows, columns = np.nonzero(unknown)
    wrong = np.zeros(alpha.shape, np.float32)
    for _ in range(int(random.integers(1, _MOST_BLOBS + 1))):
        at = int(random.integers(len(rows)))
        radii = [int(math.exp(random.uniform(*_LOG_RADII))) for _ in range(2)]
        turn, blur = random.uniform(0, 180), random.uniform(*_BLUR_PX)
        blob = np.zeros_like(wrong)
        cv2.ellipse(blob, (int(columns[at]), int(rows[at])), radii, turn, 0, 360, 1, -1)
        wrong = np.maximum(wrong, cv2.GaussianBlur(blob, (0, 0), blur))
    wrong *= unknown & ((alpha < _NEARLY) | (alpha > 1 - _NEARLY))
    opposite, share = (1 - alpha)[:, :, None], wrong[:, :, None]
    return np.asarray((1 - share) * priors + share * opposite, np.float32).clip(0, 1)


def _way(centre: NDArray[Any], side: int, random: np.random.Generator) -> NDArray[Any]:
    """(2, 3): how the surroundings of (x, y) come into the square."""
    turn = random.uniform(-_TURN_DEGREES, _TURN_DEGREES)
    way = cv2.getRotationMatrix2D(tuple(map(float, centre)), turn, _spread(random, _ZOOM))
    way[:, 2] = way[:, 2] + side / 2 - centre
    if random.random() < 0.5:
        way[0] *= -1
        way[0, 2] += side - 1
    return way


def _spread(random: np.random.Generator, factor: float) -> float:
    """Draw a factor between 1 / factor and factor, log-uniformly."""
    return math.exp(random.uniform(-math.log(factor), math.log(factor)))


def _tensor(planes: FloatImage) -> Tensor:
    whole = np.ascontiguousarray(planes.transpose(2, 0, 1), dtype=np.float32)
    return torch.from_numpy(whole)[None]
