"""Deep Image Matting (Xu, Price, Cohen, Huang, CVPR 2017): the two-stage network, no I/O.

Stage 1 is an encoder-decoder: VGG-16's thirteen 3×3 convolutions in five blocks, each followed by
a max-pooling whose indices are kept, a fourteenth convolution (fc6 as a convolution), and a
decoder of a 1×1 convolution and five steps of unpooling with the encoder's indices and a 5×5
convolution, then a 5×5 convolution to alpha. Stage 2 refines: four 3×3 convolutions at full
resolution over the picture and the stage-1 alpha, whose output is added to that alpha.

Beyond the paper, by configuration: a width factor, the size of the fourteenth layer (1×1, 3×3 or
the paper's 7×7×4096), batch-normalisation for training from scratch (folded away for inference)
additive skips after each unpooling, and alpha priors (`vfxmatte.prior`): further input channels of
both stages; stage 1 mixes them, pixel by pixel, and adds to that.

Alpha is linear at the output and clamped to [0, 1] by the caller (`DimOutput.alpha`): clamping
inside would stop the gradient where the prediction overshoots.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vfxmatte.network.reach import Reach, exact_reach
from vfxmatte.prior.constants import PRIORS

ENCODER_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
DECODER_CHANNELS = (512, 256, 128, 64, 64)
STRIDE = 32
"""Sides of the input must be multiples of this: five poolings halve them."""

_RGB_MEAN = (0.485, 0.456, 0.406)  # VGG-16's own, so that its weights can be loaded
_RGB_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class DimConfig:
    """The network's shape. The paper's is `fc6_kernel=7, fc6_channels=4096`, all else off."""

    architecture: ClassVar[str] = "dim"
    """The name that sidecars give, see `architectures`."""
    fc6_kernels: ClassVar[tuple[int, ...]] = (1, 3, 5, 7)
    """Values that `fc6_kernel` may have."""

    width: float = 1.0
    """Factor on every channel count but the input's and alpha's."""
    fc6_kernel: int = 1
    """Side of the fourteenth convolution's kernel."""
    fc6_channels: int = 512
    """Its channels, before `width` is applied."""
    skips: bool = False
    """Add the encoder's last activation of each block after unpooling."""
    batch_norm: bool = False
    """Normalise after every convolution of stage 1; training only, see `fold`."""
    refine: bool = True
    """Whether there is a stage 2."""
    prior: bool = False
    """Whether alpha priors are further channels of the input, which stage 1 mixes and adds to."""

    def __post_init__(self) -> None:
        if not 0.05 <= self.width <= 4:
            raise ValueError(f"width must be within 0.05 and 4, found {self.width}")
        if self.fc6_kernel not in self.fc6_kernels:
            allowed = ", ".join(str(kernel) for kernel in self.fc6_kernels)
            raise ValueError(f"fc6_kernel must be one of {allowed}, found {self.fc6_kernel}")
        if type(self.fc6_channels) is not int or not 1 <= self.fc6_channels <= 8192:
            raise ValueError(f"fc6_channels must be within 1 and 8192, found {self.fc6_channels}")
        for name in ("skips", "batch_norm", "refine", "prior"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} must be true or false, found {getattr(self, name)!r:.80}")

    def build(self) -> DeepImageMatting:
        """Create a network of this shape with random weights."""
        return DeepImageMatting(self)

    @property
    def priors(self) -> int:
        """Number of input channels beyond RGB and trimap."""
        return PRIORS if self.prior else 0

    def channels(self, count: int) -> int:
        """Return a channel count scaled by `width`, at least 4."""
        return max(4, round(count * self.width))

    def kernels(self) -> list[list[int]]:
        """Return the sides of the encoder's kernels, level by level, finest first."""
        return [*([3] * len(block) for block in ENCODER_BLOCKS), [self.fc6_kernel]]

    def reach(self) -> Reach:
        """Return how far each layer's dense result at a pixel depends on other pixels."""
        return exact_reach(self.kernels(), refinement_layers=4 if self.refine else 0)

    def halo_px(self) -> int:
        """Return the receptive field's radius in px, rounded up to a multiple of the stride.

        It is 189 px with a 1×1 fourteenth layer, of which 31 px are the poolings' alignment and
        4 px the refinement, and 32 px more for each step of that layer: 192, 224, 256 or 288.
        Zero-padding at a window's border therefore never reaches a core that lies so far inside.
        """
        furthest = self.reach().levels[0].encoder_in
        return -(-furthest // STRIDE) * STRIDE

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class DimOutput:
    """The unclamped alphas, each (N, 1, H, W), of stage 1 and, if it ran, of stage 2."""

    stage1: Tensor
    stage2: Tensor | None = None

    @property
    def raw(self) -> Tensor:
        return self.stage1 if self.stage2 is None else self.stage2

    @property
    def alpha(self) -> Tensor:
        """The best prediction, clamped to [0, 1]."""
        return self.raw.clamp(0.0, 1.0)


class ConvReLU(nn.Module):
    """A same-size convolution, optional batch-norm, ReLU."""

    def __init__(self, fan_in: int, fan_out: int, kernel: int, batch_norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(fan_in, fan_out, kernel, padding=kernel // 2, bias=not batch_norm)
        self.bn: nn.BatchNorm2d | None = nn.BatchNorm2d(fan_out) if batch_norm else None
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        if self.conv.bias is not None:
            nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        return F.relu(x, inplace=True)

    def fold(self) -> None:
        """Merge the batch-norm into the convolution; same result in eval mode."""
        if self.bn is None:
            return
        self.conv = nn.utils.fusion.fuse_conv_bn_eval(self.conv.eval(), self.bn.eval())
        self.bn = None


def vgg_blocks(config: DimConfig, fan_in: int) -> nn.ModuleList:
    """Create VGG-16's five blocks of 3×3 convolutions for an input of `fan_in` channels."""
    blocks = nn.ModuleList()
    for counts in ENCODER_BLOCKS:
        block = nn.Sequential()
        for count in counts:
            fan_out = config.channels(count)
            block.append(ConvReLU(fan_in, fan_out, 3, config.batch_norm))
            fan_in = fan_out
        blocks.append(block)
    return blocks


class PoolingEncoder(nn.Module):
    """Convolutions on several levels with a max-pooling between each two."""

    def levels(self) -> list[list[nn.Module]]:
        """Return the layers of each level, finest first.

        Layers are `ConvReLU`, or a bare `nn.Conv2d` where no ReLU follows.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """Encode the normalised input.

        Args:
            x: (N, 4 + priors, H, W).

        Returns:
            The lowest level's activations, and for each pooled level, finest first, the
            activations before its pooling and the pooling's indices.
        """
        *pooled, lowest = self.levels()
        skips, indices = [], []
        for layers in pooled:
            for layer in layers:
                x = layer(x)
            skips.append(x)
            x, index = F.max_pool2d(x, 2, return_indices=True)
            indices.append(index)
        for layer in lowest:
            x = layer(x)
        return x, skips, indices

    def fold(self) -> None:
        """Merge every batch-norm into its convolution, in place."""
        for module in self.modules():
            if isinstance(module, ConvReLU):
                module.fold()


class Encoder(PoolingEncoder):
    """VGG-16's convolutions with four input channels (and the priors), and the fourteenth."""

    def __init__(self, config: DimConfig) -> None:
        super().__init__()
        self.blocks = vgg_blocks(config, 4 + config.priors)
        lowest, fc6 = config.channels(ENCODER_BLOCKS[-1][-1]), config.channels(config.fc6_channels)
        self.fc6 = ConvReLU(lowest, fc6, config.fc6_kernel, config.batch_norm)

    def levels(self) -> list[list[nn.Module]]:
        """Return the layers of each level, finest first."""
        return [*(list(block.children()) for block in self.blocks), [self.fc6]]


class Decoder(nn.Module):
    """1×1, {unpool, 5×5} for each pooling, and 5×5 to alpha and the priors' shares of it."""

    def __init__(self, config: DimConfig, fan_in: int, steps: Sequence[int]) -> None:
        """Create a decoder.

        Args:
            config: the network's shape.
            fan_in: channels of the encoder's lowest level.
            steps: output channels of each step, lowest level first, before `width` is applied.
        """
        super().__init__()
        channels = config.channels
        self.use_skips = config.skips
        self.entry = ConvReLU(fan_in, channels(512), 1, config.batch_norm)
        self.steps = nn.ModuleList()
        fan_in = channels(512)
        for count in steps:
            self.steps.append(ConvReLU(fan_in, channels(count), 5, config.batch_norm))
            fan_in = channels(count)
        self.alpha = nn.Conv2d(fan_in, 1 + config.priors, 5, padding=2)

    def forward(self, x: Tensor, skips: list[Tensor], indices: list[Tensor]) -> Tensor:
        x = self.entry(x)
        for step, skip, index in zip(self.steps, reversed(skips), reversed(indices), strict=True):
            x = F.max_unpool2d(x, index, [2, 2], output_size=skip.shape[-2:])
            if self.use_skips:
                x = x + skip
            x = step(x)
        alpha: Tensor = self.alpha(x)
        return alpha


class Refinement(nn.Module):
    """Stage 2: RGB, stage-1 alpha and the priors in, a residual on that alpha out."""

    def __init__(self, config: DimConfig) -> None:
        super().__init__()
        count = config.channels(64)
        self.layers = nn.Sequential(
            ConvReLU(4 + config.priors, count, 3, False),
            ConvReLU(count, count, 3, False),
            ConvReLU(count, count, 3, False),
        )
        self.residual = nn.Conv2d(count, 1, 3, padding=1)
        nn.init.zeros_(self.residual.weight)  # starts as the identity
        nn.init.zeros_(self.residual.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, stage1: Tensor) -> Tensor:
        """Refine stage 1's unclamped alpha; x is the network's normalised input."""
        alpha = stage1.clamp(0.0, 1.0)
        seen = torch.cat((x[:, :3], 2 * alpha - 1, x[:, 4:]), 1)
        residual: Tensor = self.residual(self.layers(seen))
        return alpha + residual


def complete(x: Tensor, priors: int) -> Tensor:
    """Complete an input, normalised or not: the trimap takes the place of missing priors."""
    if x.shape[1] == 4 + priors:
        return x
    return torch.cat((x, x[:, 3:4].expand(-1, priors, -1, -1)), 1)


def mixed(raw: Tensor, x: Tensor) -> Tensor:
    """Mix the priors and add what the decoder gives: stage 1's alpha, (N, 1, …).

    raw: (N, 1 + priors, …), the addition and, as logits, the priors' shares at each pixel. x: the
    normalised input (N, 4 + priors, …).
    """
    priors = 0.5 + 0.5 * x[:, 4:]
    return raw[:, :1] + (raw[:, 1:].softmax(1) * priors).sum(1, keepdim=True)


class DeepImageMatting(nn.Module):
    """The network of both stages.

    The input is (N, 4, H, W): network-encoded RGB and the trimap as 0, 0.5, 1; with the alpha
    priors, if the configuration has them, (N, 7, H, W): without them the trimap takes their place.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: DimConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.decoder = self._stage1(config)
        self.refinement = Refinement(config) if config.refine else None
        alphas = [0.5] * (1 + config.priors)  # of the trimap and the priors
        mean = torch.tensor((*_RGB_MEAN, *alphas)).view(1, -1, 1, 1)
        std = torch.tensor((*_RGB_STD, *alphas)).view(1, -1, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def _stage1(self, config: DimConfig) -> tuple[PoolingEncoder, Decoder]:
        encoder = Encoder(config)
        return encoder, Decoder(config, config.channels(config.fc6_channels), DECODER_CHANNELS)

    def forward(self, x: Tensor, *, refine: bool = True) -> DimOutput:
        """Run the network; H and W must be multiples of 32; `refine=False` omits stage 2."""
        priors = self.config.priors
        if x.shape[1] not in (4, 4 + priors) or x.shape[2] % STRIDE or x.shape[3] % STRIDE:
            raise ValueError(f"input must be (N, {4 + priors}, 32·a, 32·b), found {tuple(x.shape)}")
        x = (complete(x, priors) - self.mean) / self.std
        stage1 = self.decoder(*self.encoder(x))
        if priors:
            stage1 = mixed(stage1, x)
        if self.refinement is None or not refine:
            return DimOutput(stage1=stage1)
        return DimOutput(stage1=stage1, stage2=self.refinement(x, stage1))

    def fold(self) -> DeepImageMatting:
        """Fold every batch-norm into its convolution, in place; returns self in eval mode."""
        for module in self.modules():
            if isinstance(module, ConvReLU):
                module.fold()
        self.config = replace(self.config, batch_norm=False)
        return self.eval()

    def stage_parameters(self, stage: int) -> Iterable[nn.Parameter]:
        """Yield the parameters of stage 1 (encoder and decoder) or of stage 2 (refinement)."""
        if stage == 1:
            yield from self.encoder.parameters()
            yield from self.decoder.parameters()
        elif self.refinement is not None:
            yield from self.refinement.parameters()
