"""A student project's network: four poolings behind an adapter to VGG-16's three channels.

VGG-16's last block works at 1/16 in place of the fourteenth convolution, its result is not pooled,
and the decoder lacks its first step. `training.course` trains it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from vfxmatte.network.dim import (
    DECODER_CHANNELS,
    ENCODER_BLOCKS,
    Decoder,
    DeepImageMatting,
    DimConfig,
    PoolingEncoder,
    vgg_blocks,
)


@dataclass(frozen=True, kw_only=True)
class CourseConfig(DimConfig):
    """The course network's shape; `fc6_kernel` is always 0, and `fc6_channels` is not used."""

    architecture: ClassVar[str] = "course"
    fc6_kernels: ClassVar[tuple[int, ...]] = (0,)

    fc6_kernel: int = 0
    refine: bool = False

    def build(self) -> CourseMatting:
        """Create a network of this shape with random weights."""
        return CourseMatting(self)

    def kernels(self) -> list[list[int]]:
        """Return the sides of the encoder's kernels, level by level, finest first."""
        first, *others = [[3] * len(block) for block in ENCODER_BLOCKS]
        return [[1, *first], *others]


class CourseEncoder(PoolingEncoder):
    """A 1×1 convolution from the input's channels to three, and VGG-16's five blocks."""

    def __init__(self, config: DimConfig) -> None:
        super().__init__()
        self.adapter = nn.Conv2d(4 + config.priors, 3, 1)
        self.blocks = vgg_blocks(config, 3)

    def levels(self) -> list[list[nn.Module]]:
        """Return the layers of each level, finest first."""
        first, *others = [list(block.children()) for block in self.blocks]
        return [[self.adapter, *first], *others]


class CourseMatting(DeepImageMatting):
    """Stage 1 with the course's encoder."""

    def _stage1(self, config: DimConfig) -> tuple[PoolingEncoder, Decoder]:
        lowest = config.channels(ENCODER_BLOCKS[-1][-1])
        return CourseEncoder(config), Decoder(config, lowest, DECODER_CHANNELS[1:])
