"""Batches of photographs with mattes: resized once, some flipped or rotated, with drawn trimaps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from training.course.layout import MattedFile, MattedSet, read_matted
from training.course.settings import MattedConfig
from training.samples.bands import draw_trimap
from training.samples.compose import Batch
from training.samples.synthesis import SynthesisConfig
from vfxmatte.errors import TrainingError

_READERS = 4


class MattedBatches:
    """The pictures of a set on one device, (N, 4, H, W) uint8; the same seed gives the same batch.

    Raises:
        TrainingError, PlateError: a picture or matte cannot be used; the error names the file.
    """

    def __init__(
        self,
        matted: MattedSet,
        settings: MattedConfig,
        synthesis: SynthesisConfig,
        device: torch.device,
    ) -> None:
        if not matted.files:
            raise TrainingError("there are no pictures to learn from", path=matted.folder)
        self.settings, self.synthesis, self.device = settings, synthesis, device
        size = settings.size_px
        with ThreadPoolExecutor(_READERS) as readers:
            pictures = list(readers.map(lambda file: _resized(file, size), matted.files))
        self.names = [file.name for file in matted.files]
        self.pictures = torch.from_numpy(np.stack(pictures)).to(device)

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(
        self, count: int, seed: int, *, chosen: Sequence[tuple[int, int]] | None = None
    ) -> Batch:
        """Make a batch; its foreground and background are the picture, as there are no layers.

        Args:
            count: samples.
            seed: decides everything that is drawn.
            chosen: pairs that begin with each picture's number; None draws them.
        """
        rng = torch.Generator(self.device).manual_seed(seed)
        if chosen is None:
            host = torch.Generator().manual_seed(seed)
            numbers = torch.randint(len(self), (count,), generator=host).tolist()
        else:
            numbers = [number for number, _ in chosen]
        pictures = self.pictures[numbers].float() / 255
        return self._batch(augment(pictures, self.settings, rng), rng)

    def plain(self, numbers: Sequence[int], seed: int) -> Batch:
        """Make a batch of unaltered pictures with trimaps drawn by `seed`."""
        rng = torch.Generator(self.device).manual_seed(seed)
        return self._batch(self.pictures[list(numbers)].float() / 255, rng)

    def _batch(self, pictures: Tensor, rng: torch.Generator) -> Batch:
        image, alpha, bands = pictures[:, :3], pictures[:, 3:], self.synthesis
        trimap = draw_trimap(
            alpha, bands.band_px, wobble=bands.band_wobble,
            erode_foreground=bands.erode_foreground, rng=rng,
        )  # fmt: skip
        return Batch(image=image, trimap=trimap, alpha=alpha, foreground=image, background=image)


def _resized(file: MattedFile, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read a picture and its alpha as (4, H, W) of a size."""
    colour, alpha = read_matted(file)
    both = np.dstack((np.clip(colour, 0, 1), alpha))
    method = cv2.INTER_AREA if both.shape[0] > size[0] else cv2.INTER_LINEAR
    resized = cv2.resize(both, size[::-1], interpolation=method)
    return np.rint(np.clip(resized, 0, 1) * 255).astype(np.uint8).transpose(2, 0, 1)


def augment(pictures: Tensor, config: MattedConfig, rng: torch.Generator) -> Tensor:
    """Flip or rotate a share of pictures (N, C, H, W), each with equal probability."""
    drawn = torch.rand((3, len(pictures)), generator=rng, device=pictures.device)
    changed, flips = drawn[0] < config.augmented, drawn[1] < 0.5
    angles = math.radians(config.rotate_degrees) * (2 * drawn[2] - 1)
    out = pictures.clone()
    flipped, rotated = changed & flips, changed & ~flips
    out[flipped] = pictures[flipped].flip(-1)
    if bool(rotated.any()):
        out[rotated] = _rotated(pictures[rotated], angles[rotated])
    return out


def _rotated(pictures: Tensor, angles: Tensor) -> Tensor:
    """Rotate pictures by angles in radians, mirrored beyond their borders."""
    height, width = pictures.shape[-2:]
    cos, sin, zero = angles.cos(), angles.sin(), torch.zeros_like(angles)
    rows = (
        torch.stack((cos, -sin * height / width, zero), 1),
        torch.stack((sin * width / height, cos, zero), 1),
    )
    grid = F.affine_grid(torch.stack(rows, 1), list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
