"""Deep Automatic Portrait Matting (Shen, Tao, Gao, Zhou, Jia, ECCV 2016): labels and matting layer.

The labelling network is an FCN-8s on VGG-16's convolutions: from the picture and a shape mask to
scores for foreground, background and unknown, summed over 1/8, 1/16 and 1/32 of its size. Their
softmax gives F and B of the matting layer, which gives alpha. The shape mask is fitted to the
result of a first pass without a mask (see `shape_mask`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vfxmatte.keyframes.matting_layer import MattingLayer
from vfxmatte.keyframes.shape_mask import MEAN_SIDE, fit, overlap, placed
from vfxmatte.keyframes.systems import SolverSettings
from vfxmatte.network.dim import STRIDE, DimConfig, Encoder
from vfxmatte.prior.laplacian import MattingLaplacian

FOREGROUND, BACKGROUND, UNKNOWN = 0, 1, 2
"""Channels of the scores."""


@dataclass(frozen=True, kw_only=True)
class PortraitConfig:
    """The network's shape."""

    architecture: ClassVar[str] = "portrait-fcn8s"

    width: float = 0.25
    """Factor on VGG-16's channels."""
    batch_norm: bool = False
    """In training only, see `fold`."""
    epsilon: float = 1e-4
    """Regularisation of the matting Laplacian."""
    side_px: int = 160
    """Longest side of the pictures in training."""

    def encoder(self) -> DimConfig:
        return DimConfig(width=self.width, fc6_kernel=3, batch_norm=self.batch_norm)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class LabelNetwork(nn.Module):
    """FCN-8s: network-encoded RGB (N, 3, H, W) and a shape mask (N, 1, H, W) to three scores."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: DimConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.score8 = nn.Conv2d(config.channels(256), 3, 1)
        self.score16 = nn.Conv2d(config.channels(512), 3, 1)
        self.score32 = nn.Conv2d(config.channels(config.fc6_channels), 3, 1)
        for score in (self.score8, self.score16):
            nn.init.zeros_(score.weight)  # finer scores start silent, as in the paper's FCN
            nn.init.zeros_(score.bias)  # type: ignore[arg-type]
        self.register_buffer("mean", torch.full((1, 4, 1, 1), 0.45), persistent=False)
        self.register_buffer("std", torch.full((1, 4, 1, 1), 0.225), persistent=False)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Score foreground, background and unknown, (N, 3, H, W); sides are multiples of 32."""
        if image.shape[2] % STRIDE or image.shape[3] % STRIDE:
            raise ValueError(f"sides must be multiples of {STRIDE}, found {tuple(image.shape)}")
        x = (torch.cat((image, mask), 1) - self.mean) / self.std
        coarse, blocks, _ = self.encoder(x)
        scores: Tensor = self.score32(coarse)
        scores = _twice(scores) + self.score16(F.max_pool2d(blocks[3], 2))
        scores = _twice(scores) + self.score8(F.max_pool2d(blocks[2], 2))
        return F.interpolate(scores, scale_factor=8, mode="bilinear", align_corners=False)


class PortraitMatting(nn.Module):
    """The labelling network, the matting layer and the mean matte of shape masks."""

    mean_matte: Tensor

    def __init__(self, config: PortraitConfig, settings: SolverSettings | None = None) -> None:
        super().__init__()
        self.config = config
        self.labels = LabelNetwork(config.encoder())
        self.layer = MattingLayer(weight=0.3, settings=settings)
        self.register_buffer("mean_matte", torch.zeros(1, 1, MEAN_SIDE, MEAN_SIDE))

    def forward(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores (N, 3, H, W) and alpha (N, 1, H, W), not clamped."""
        scores = self.labels(image, mask)
        return scores, self.alpha(image, scores.softmax(1))

    def alpha(self, image: Tensor, probabilities: Tensor) -> Tensor:
        """Solve alpha (N, 1, H, W) of pictures, with probabilities (N, 3, H, W) of their size."""
        laplacian = MattingLaplacian.of(image.clamp(0, 1), epsilon=self.config.epsilon)
        foreground = probabilities[:, FOREGROUND].contiguous()
        background = probabilities[:, BACKGROUND].contiguous()
        solved: Tensor = self.layer(foreground, background, laplacian)
        return solved[:, None]

    @torch.no_grad()
    def probabilities(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Label pictures whose shape masks are not known.

        A first pass has no mask, a second one the mask fitted to the first's foreground.

        Returns:
            Probabilities (N, 3, H, W), and (N,) how well the foreground agrees with the shape of a
            portrait, 0 to 1.
        """
        empty = torch.zeros_like(image[:, :1])
        first = self._mirrored_mean(image, empty)[:, FOREGROUND, None]
        mask = placed(self.mean_matte, fit(self.mean_matte, first), empty)
        second = self._mirrored_mean(image, mask)
        return second, overlap(mask, second[:, FOREGROUND, None])

    def _mirrored_mean(self, image: Tensor, mask: Tensor) -> Tensor:
        """Average the probabilities (N, 3, H, W) of pictures and their mirror images."""
        both = torch.cat((image, image.flip(3))), torch.cat((mask, mask.flip(3)))
        straight, mirrored = self.labels(*both).softmax(1).chunk(2)
        mean: Tensor = (straight + mirrored.flip(3)) / 2
        return mean

    def fold(self) -> PortraitMatting:
        """Fold every batch-norm into its convolution, in place; returns self in eval mode."""
        self.labels.encoder.fold()
        self.config = PortraitConfig(**{**self.config.as_dict(), "batch_norm": False})
        return self.eval()


def _twice(scores: Tensor) -> Tensor:
    return F.interpolate(scores, scale_factor=2, mode="bilinear", align_corners=False)
