"""A synthetic picture with its trimap, in memory.

It is made with numpy alone, and deterministic: equal size, share and seed give equal pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from vfxmatte.colour import encode_by_table
from vfxmatte.engines.protocol import Task
from vfxmatte.errors import UsageError
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Trimap

MAX_SHARE = 0.5
"""Unknown share beyond which the band would cover the subject."""

_HALF_HEIGHT, _HALF_WIDTH = 0.36, 0.27  # as a share of the shorter side
_WOBBLES = range(2, 10)  # numbers of lobes around the outline
_ANGLES = 8192


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One frame: an ellipse of 0.72 × 0.54 of the frame's shorter side, with a wavy outline.

    The unknown region is a band along its outline, in which alpha runs from 1 to 0 along a frayed
    edge. Subject and background have textures, in scene-linear light with highlights well above 1.
    """

    width: int
    """Width in px, 32 or more."""
    height: int
    """Height in px, 32 or more."""
    unknown_share: float
    """Share of unknown pixels, above 0 and at most `MAX_SHARE`; exact to a pixel or two."""
    seed: int = 1
    """Seed of outline and textures."""

    def __post_init__(self) -> None:
        if self.width < 32 or self.height < 32:
            raise UsageError(f"a scene is 32x32 px or more, not {self.width}x{self.height}")
        if not 0 < self.unknown_share <= MAX_SHARE:
            raise UsageError(
                f"an unknown share is above 0 and at most {MAX_SHARE}, found {self.unknown_share}"
            )

    @cached_property
    def distance(self) -> FloatImage:
        """(H, W) float32 distance to the outline in px, to first order; negative inside."""
        rows = np.arange(self.height, dtype=np.float32)[:, None] - (self.height - 1) / 2
        columns = np.arange(self.width, dtype=np.float32)[None, :] - (self.width - 1) / 2
        angle = np.arctan2(rows, columns).astype(np.float32)
        index = ((angle / (2 * np.pi)) % 1.0 * _ANGLES).astype(np.intp) % _ANGLES
        radius, steepness = self._outline()
        away = np.hypot(rows, columns).astype(np.float32) - radius[index]
        return np.asarray(away / steepness[index], np.float32)

    def _outline(self) -> tuple[FloatImage, FloatImage]:
        """Return by angle the radius in px, and the ratio of radial to true distance."""
        angle = np.arange(_ANGLES) * (2 * np.pi / _ANGLES)
        side = min(self.width, self.height)
        ellipse = 1 / np.hypot(np.cos(angle) / _HALF_WIDTH, np.sin(angle) / _HALF_HEIGHT)
        random = np.random.default_rng(self.seed)
        waves = sum(
            0.1 / np.sqrt(count) * random.uniform(0.5, 1) * np.cos(count * angle + phase)
            for count, phase in zip(_WOBBLES, random.uniform(0, 2 * np.pi, 8), strict=True)
        )
        radius = side * ellipse * (1 + waves)
        slope = np.gradient(radius, angle)
        steepness = np.hypot(1, slope / radius)
        return radius.astype(np.float32), steepness.astype(np.float32)

    @cached_property
    def half_band_px(self) -> float:
        """Width of the unknown region on either side of the outline, in px."""
        count = max(1, round(self.unknown_share * self.width * self.height))
        return float(np.partition(np.abs(self.distance), count - 1, axis=None)[count - 1])

    @cached_property
    def labels(self) -> Labels:
        """(H, W) uint8: 0 background, 128 unknown, 255 foreground."""
        labels = np.where(self.distance < 0, FOREGROUND, BACKGROUND).astype(np.uint8)
        labels[np.abs(self.distance) <= self.half_band_px] = UNKNOWN
        return labels

    @property
    def unknown_px(self) -> int:
        """Number of unknown pixels."""
        return int(np.count_nonzero(self.labels == UNKNOWN))

    @cached_property
    def alpha(self) -> FloatImage:
        """(H, W) float32 in [0, 1]: soft and frayed inside the band, 0 or 1 outside of it."""
        fray = 0.4 * self._texture(31, (24, 6))
        edge = self.distance / np.float32(max(self.half_band_px, 0.5)) + fray
        return np.clip(0.5 - edge / 0.9, 0, 1).astype(np.float32)

    @cached_property
    def linear(self) -> FloatImage:
        """(H, W, 3) float32 scene-linear Rec.709, the subject over its background."""
        alpha = self.alpha
        ground = 0.12 * np.exp2(2.5 * self._texture(11, (160, 40, 10)))
        subject = 0.35 * np.exp2(5.0 * self._texture(21, (96, 24, 6)))
        picture = np.empty((self.height, self.width, 3), np.float32)
        tints = zip((1.5, 1.0, 0.6), (0.5, 0.9, 1.6), strict=True)
        for channel, (warm, cool) in enumerate(tints):
            picture[:, :, channel] = alpha * subject * warm + (1 - alpha) * ground * cool
        picture *= 1 + 0.04 * self._random(41).standard_normal(picture.shape, np.float32)
        return picture

    @cached_property
    def image(self) -> FloatImage:
        """(H, W, 3) float32 in the network's encoding."""
        encoded = np.empty_like(self.linear)
        encode_by_table(self.linear, encoded)
        return encoded

    def task(self, number: int = 1001) -> Task:
        """Return the scene as a task for an engine."""
        trimap = Trimap(number=number, labels=self.labels, is_keyframe=True)
        return Task(image=self.image, trimap=trimap)

    def _texture(self, salt: int, cells_px: tuple[int, ...]) -> FloatImage:
        """Return (H, W) float32 noise from -1 to 1, coarse cells strongest."""
        random = self._random(salt)
        strengths = [0.5**i for i in range(len(cells_px))]
        shape = self.height, self.width
        total = np.zeros(shape, np.float32)
        for cell, strength in zip(cells_px, strengths, strict=True):
            counts = [length // cell + 3 for length in shape]
            grid = random.uniform(-strength, strength, counts).astype(np.float32)
            total += _stretched(_stretched(grid, cell, shape[0]).T, cell, shape[1]).T
        return total / np.float32(sum(strengths))

    def _random(self, salt: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, salt])


def _stretched(grid: FloatImage, cell: int, length: int) -> NDArray[np.float32]:
    """Interpolate the grid's rows, `cell` px apart, linearly to `length` rows."""
    place = np.arange(length, dtype=np.float32) / cell
    index = place.astype(np.intp)
    weight = (place - index)[:, None].astype(np.float32)
    return np.asarray(grid[index] * (1 - weight) + grid[index + 1] * weight, np.float32)
