"""Deep Image Matting (Xu, Price, Cohen, Huang, CVPR 2017): the two-stage network, no I/O.

Stage 1 is an encoder-decoder: VGG-16's thirteen 3×3 convolutions in five blocks, each followed by
a max-pooling whose indices are kept, a fourteenth convolution (fc6 as a convolution), and a
decoder of a 1×1 convolution and five steps of unpooling with the encoder's indices and a 5×5
convolution, then a 5×5 convolution to alpha. Stage 2 refines: four 3×3 convolutions at full
resolution over the picture and the stage-1 alpha, whose output is added to that alpha.

Beyond the paper, by configuration: a width factor, the size of the fourteenth layer (1×1, 3×3 or
the paper's 7×7×4096), batch-normalisation for training from scratch (folded away for inference)
additive skips after each unpooling, and alpha priors (`net.prior`): further input channels of both
stages; stage 1 mixes them, pixel by pixel, and adds to that. Short of the paper: four poolings, no
fourteenth layer and an adapter from the four channels to VGG-16's three.

Alpha is linear at the output and clamped to [0, 1] by the caller (`DimOutput.alpha`): clamping
inside would stop the gradient where the prediction overshoots.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vfxmatte.network.reach import Reach, exact_reach
from vfxmatte.prior.constants import PRIORS

ENCODER_BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
DECODER_CHANNELS = (512, 256, 128, 64, 64)
STRIDE = 32
"""Sides of the input must be multiples of this, whatever the poolings: five of them halve them."""

_RGB_MEAN = (0.485, 0.456, 0.406)  # VGG-16's own, so that its weights can be loaded
_RGB_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class DimConfig:
    """The network's shape. The paper's is `fc6_kernel=7, fc6_channels=4096`, all else off.

    width: factor on every channel count but the input's and alpha's.
    fc6_kernel, fc6_channels: the fourteenth convolution (channels before `width` is applied); with
        a kernel of 0 there is none, and fc6_channels says nothing.
    skips: add the encoder's last activation of each block after unpooling.
    batch_norm: normalise after every convolution of stage 1; training only, see `fold`.
    refine: whether stage 2 is there.
    pools: poolings and unpoolings. With 4 of them VGG-16's last block is at 1/16, its result is not
        pooled, and the decoder lacks its first step.
    adapter: a 1×1 convolution from the input's channels to the three that VGG-16 takes.
    prior: the alpha priors are further channels of the input, and stage 1 says how much of each
        of them alpha is, and adds to that.
    """

    width: float = 1.0
    fc6_kernel: int = 1
    fc6_channels: int = 512
    skips: bool = False
    batch_norm: bool = False
    refine: bool = True
    pools: int = 5
    adapter: bool = False
    prior: bool = False

    def __post_init__(self) -> None:
        if not 0.05 <= self.width <= 4:
            raise ValueError(f"width must be within 0.05 and 4, found {self.width}")
        if self.fc6_kernel not in (0, 1, 3, 5, 7):
            raise ValueError(f"fc6_kernel must be 0, 1, 3, 5 or 7, found {self.fc6_kernel}")
        if type(self.fc6_channels) is not int or not 1 <= self.fc6_channels <= 8192:
            raise ValueError(f"fc6_channels must be within 1 and 8192, found {self.fc6_channels}")
        for name in ("skips", "batch_norm", "refine", "adapter", "prior"):
            if type(getattr(self, name)) is not bool:
                raise ValueError(f"{name} must be true or false, found {getattr(self, name)!r:.80}")
        if self.pools not in (4, 5):
            raise ValueError(f"pools must be 4 or 5, found {self.pools}")

    @property
    def priors(self) -> int:
        """Channels of the input beyond RGB and trimap."""
        return PRIORS if self.prior else 0

    def channels(self, count: int) -> int:
        return max(4, round(count * self.width))

    def reach(self) -> Reach:
        """What the network's dense result at a pixel depends on."""
        counts = [len(block) for block in ENCODER_BLOCKS]
        return exact_reach(
            blocks=counts[: self.pools],
            unpooled=sum(counts[self.pools :]),
            fc6_kernel=self.fc6_kernel,
            refinement_layers=4 if self.refine else 0,
        )

    def halo_px(self) -> int:
        """How far an output pixel sees, rounded up to a multiple of the stride.

        With five poolings it sees 189 px far with a 1×1 fourteenth layer, of which 31 px are the
        poolings' alignment and 4 px the refinement, and 32 px more for each step of that layer:
        192, 224, 256 or 288. Zero-padding at a window's border therefore never reaches a core that
        lies so far inside.
        """
        furthest = self.reach().levels[0].encoder_in
        return -(-furthest // STRIDE) * STRIDE

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class DimOutput:
    """Unclamped alphas, each (N, 1, H, W): of stage 1 and, where it ran, of stage 2."""

    stage1: Tensor
    stage2: Tensor | None = None

    @property
    def raw(self) -> Tensor:
        return self.stage1 if self.stage2 is None else self.stage2

    @property
    def alpha(self) -> Tensor:
        """The best prediction, clamped to [0, 1]."""
        return self.raw.clamp(0.0, 1.0)


class _ConvReLU(nn.Module):
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


class Encoder(nn.Module):
    """VGG-16's convolutions with four input channels (and the priors), and the fourteenth.

    adapter and fc6 are identities where the configuration has none.
    """

    def __init__(self, config: DimConfig) -> None:
        super().__init__()
        self.pools = config.pools
        self.adapter: nn.Module = nn.Identity()
        fan_in = 4 + config.priors
        if config.adapter:
            self.adapter, fan_in = nn.Conv2d(fan_in, 3, 1), 3
        self.blocks = nn.ModuleList()
        for counts in ENCODER_BLOCKS:
            block = nn.Sequential()
            for count in counts:
                fan_out = config.channels(count)
                block.append(_ConvReLU(fan_in, fan_out, 3, config.batch_norm))
                fan_in = fan_out
            self.blocks.append(block)
        self.fc6: nn.Module = nn.Identity()
        if config.fc6_kernel:
            fc6 = config.channels(config.fc6_channels)
            self.fc6 = _ConvReLU(fan_in, fc6, config.fc6_kernel, config.batch_norm)

    @property
    def pooled(self) -> Iterable[nn.Module]:
        """The blocks whose results are pooled."""
        return list(self.blocks)[: self.pools]

    @property
    def unpooled(self) -> Iterable[nn.Module]:
        """The blocks after the last pooling: none with five of them."""
        return list(self.blocks)[self.pools :]

    def lowest(self, x: Tensor) -> Tensor:
        """From the last pooling's result to the decoder's entry."""
        for block in self.unpooled:
            x = block(x)
        result: Tensor = self.fc6(x)
        return result

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """(N, 4 + priors, H, W) to fc6 at the lowest level (1/32 with five poolings), the pooled
        blocks' activations and the pooling indices."""
        x = self.adapter(x)
        skips, indices = [], []
        for block in self.pooled:
            x = block(x)
            skips.append(x)
            x, index = F.max_pool2d(x, 2, return_indices=True)
            indices.append(index)
        return self.lowest(x), skips, indices

    def fold(self) -> None:
        """Merge every batch-norm into its convolution, in place."""
        for module in self.modules():
            if isinstance(module, _ConvReLU):
                module.fold()


class Decoder(nn.Module):
    """1×1, as often as there are poolings {unpool, 5×5}, and 5×5 to alpha; and, where there are
    priors, to their shares of it."""

    def __init__(self, config: DimConfig) -> None:
        super().__init__()
        channels = config.channels
        self.use_skips = config.skips
        fan_in = channels(512)
        lowest = channels(config.fc6_channels) if config.fc6_kernel else fan_in
        self.entry = _ConvReLU(lowest, fan_in, 1, config.batch_norm)
        self.steps = nn.ModuleList()
        for count in DECODER_CHANNELS[-config.pools :]:
            self.steps.append(_ConvReLU(fan_in, channels(count), 5, config.batch_norm))
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
            _ConvReLU(4 + config.priors, count, 3, False),
            _ConvReLU(count, count, 3, False),
            _ConvReLU(count, count, 3, False),
        )
        self.residual = nn.Conv2d(count, 1, 3, padding=1)
        nn.init.zeros_(self.residual.weight)  # starts as the identity
        nn.init.zeros_(self.residual.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, stage1: Tensor) -> Tensor:
        """x: the network's input, normalised. stage1: unclamped."""
        alpha = stage1.clamp(0.0, 1.0)
        seen = torch.cat((x[:, :3], 2 * alpha - 1, x[:, 4:]), 1)
        residual: Tensor = self.residual(self.layers(seen))
        return alpha + residual


def complete(x: Tensor, priors: int) -> Tensor:
    """The input with all its channels, normalised or not: the trimap for priors that it lacks."""
    if x.shape[1] == 4 + priors:
        return x
    return torch.cat((x, x[:, 3:4].expand(-1, priors, -1, -1)), 1)


def mixed(raw: Tensor, x: Tensor) -> Tensor:
    """Stage 1's alpha (N, 1, …): what the decoder adds to a mixture of the priors.

    raw: (N, 1 + priors, …), the addition and, as logits, the priors' shares at each pixel. x: the
    normalised input (N, 4 + priors, …).
    """
    priors = 0.5 + 0.5 * x[:, 4:]
    return raw[:, :1] + (raw[:, 1:].softmax(1) * priors).sum(1, keepdim=True)


class DeepImageMatting(nn.Module):
    """Both stages. Input (N, 4, H, W): network-encoded RGB and the trimap as 0, 0.5, 1; and, where
    the configuration has them, the alpha priors (N, 7, H, W), or else the trimap stands in."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: DimConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.refinement = Refinement(config) if config.refine else None
        alphas = [0.5] * (1 + config.priors)  # of the trimap and the priors
        mean = torch.tensor((*_RGB_MEAN, *alphas)).view(1, -1, 1, 1)
        std = torch.tensor((*_RGB_STD, *alphas)).view(1, -1, 1, 1)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)

    def forward(self, x: Tensor, *, refine: bool = True) -> DimOutput:
        """H and W must be multiples of 32; `refine=False` leaves stage 2 out."""
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
            if isinstance(module, _ConvReLU):
                module.fold()
        self.config = DimConfig(**{**self.config.as_dict(), "batch_norm": False})
        return self.eval()

    def stage_parameters(self, stage: int) -> Iterable[nn.Parameter]:
        """Parameters of stage 1 (encoder and decoder) or of stage 2 (refinement)."""
        if stage == 1:
            yield from self.encoder.parameters()
            yield from self.decoder.parameters()
        elif self.refinement is not None:
            yield from self.refinement.parameters()
