"""A synthetic shot on disk: EXR plate and keyframe trimaps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import UsageError
from vfxmatte.io.result_names import trimap_path
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.writers import write_labels
from vfxmatte.trimaps import from_matte
from vfxmatte.types import FloatImage, Trimap, Window

_RADIUS = 0.3  # of the disc, as a share of the frame's height


@dataclass(frozen=True, kw_only=True)
class MovingShot:
    """A soft, textured disc that crosses a textured background, scene-linear."""

    frames: int
    """Number of frames."""
    width: int = 480
    """Width of the frames, in px."""
    height: int = 270
    """Height of the frames, in px."""
    first: int = 1001
    """Number of the first frame."""
    keyframes: tuple[int, ...] = ()
    """Frame numbers of the trimaps; empty: the first and the last frame."""
    unknown_share: float | None = None
    """Share of unknown pixels in a keyframe; None: a narrow band of 1/48 of the height."""

    @property
    def numbers(self) -> range:
        """Frame numbers."""
        return range(self.first, self.first + self.frames)

    @property
    def window(self) -> Window:
        """Data and display window."""
        return Window.of_size(self.width, self.height)

    @property
    def _soft_px(self) -> float:
        return max(2.0, self.height / 24)

    def alpha(self, number: int) -> FloatImage:
        """Return (H, W) float32 exact coverage."""
        way = (number - self.first) / max(1, self.frames - 1)
        rows, columns = np.mgrid[0 : self.height, 0 : self.width].astype(np.float32)
        centre = self.width * (0.3 + 0.4 * way), self.height * 0.5
        distance = np.hypot(columns - centre[0], rows - centre[1])
        return np.asarray(
            np.clip((self.height * _RADIUS - distance) / self._soft_px, 0, 1), np.float32
        )

    def pixels(self, number: int) -> FloatImage:
        """Return (H, W, 3) float32 scene-linear colour; the texture moves with the disc."""
        ground, disc = _texture(1, self.height, self.width), _texture(2, self.height, self.width)
        way = (number - self.first) / max(1, self.frames - 1)
        moved = np.roll(disc, round(self.width * 0.4 * way), axis=1) * (3.0, 1.2, 0.3)
        alpha = self.alpha(number)[:, :, None]
        mixed = alpha * moved + (1 - alpha) * ground * (0.1, 0.3, 0.6)
        return np.asarray(mixed, np.float32)

    def band_px(self) -> float:
        """Return the width of the unknown band on either side of the soft edge, in px.

        Raises UsageError if the band does not fit around the disc.
        """
        if self.unknown_share is None:
            return max(2.0, self.height / 48)
        middle = self.height * _RADIUS - self._soft_px / 2
        half = self.unknown_share * self.width * self.height / (4 * math.pi * middle)
        if not self._soft_px / 2 <= half < middle:
            raise UsageError(
                f"{self.unknown_share:.0%} unknown does not fit around the made-up shot's disc "
                f"at {self.width}x{self.height}",
                hint="use a share between 0.05 and 0.3",
            )
        return half - self._soft_px / 2

    def trimap(self, number: int) -> Trimap:
        """Return the painted trimap of a frame."""
        band = self.band_px()
        labels = from_matte(self.alpha(number), erode_px=band, dilate_px=band)
        return Trimap(number=number, labels=labels, is_keyframe=True)

    def write(self, folder: Path) -> Path:
        """Write plate/ as half-float EXR and trimaps/; return the folder."""
        for number in self.numbers:
            pixels = self.pixels(number).astype(np.float16)
            planes = {name: pixels[:, :, i] for i, name in enumerate("RGB")}
            path = folder / "plate" / f"plate.{number:04d}.exr"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_exr(
                path,
                planes,
                data_window=self.window,
                display_window=self.window,
                attributes={"framesPerSecond": Fraction(24)},
            )
        for number in self.keyframes or (self.numbers[0], self.numbers[-1]):
            path = trimap_path(folder / "trimaps", number)
            write_labels(self.trimap(number), path, self.window)
        return folder


@lru_cache(maxsize=2)
def _texture(seed: int, height: int, width: int) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).random((height, width, 3), np.float32)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.5) * 2 - 0.5, np.float32).clip(0, None)
