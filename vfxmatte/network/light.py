"""The light two-stage matting network, no I/O.

Stage 1 is an encoder-decoder: inverted residuals in the layout of EfficientNet-Lite0 down to 1/32,
one global vector, and a decoder with concatenated skips up to the input's resolution. It says how
much of each alpha prior alpha is, what to add, and how wrong it expects to be. It may run on a
reduced picture: shares, addition and expected error are smooth, so they are enlarged and mixed
with the priors of full size. Stage 2 is a small convolutional network at full resolution that
corrects the result where the expected error says so.

Batch-norms are for training from scratch; `fold` merges them into the convolutions. Alpha is
linear at the output and clamped by the caller.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STRIDE = 32
"""Sides of stage 1's input must be multiples of this."""

PRIORS = 3
DISTANCES = 6
CHANNELS = 4 + PRIORS + DISTANCES
"""Channels of stage 1's input: RGB, trimap, alpha priors, nearness to both certain regions."""

NEAR = (4 + PRIORS, 4 + PRIORS + DISTANCES // 2)
"""The channels with the nearness to each certain region at the finest scale."""

LEAST_ERROR = 1e-4
"""What is added to expected errors before they are compared."""

STEM = 32
BLOCKS = (  # expansion, kernel, channels, stride, repeats, as in EfficientNet-Lite0
    (1, 3, 16, 1, 1),
    (6, 3, 24, 2, 2),
    (6, 5, 40, 2, 2),
    (6, 3, 80, 2, 3),
    (6, 5, 112, 1, 3),
    (6, 5, 192, 2, 4),
    (6, 3, 320, 1, 1),
)
_SKIPPED = (0, 1, 2, 4)  # blocks whose results the decoder sees: 1/2, 1/4, 1/8, 1/16
DECODER = (96, 64, 48, 32, 24, 16)
"""Channels of the decoder at 1/32, 1/16, 1/8, 1/4, 1/2 and 1/1."""

Upsampling = Literal["bilinear", "guided"]


@dataclass(frozen=True, kw_only=True)
class LightConfig:
    """The network's shape."""

    architecture: ClassVar[str] = "light"
    """The name that sidecars give."""

    upsampling: Upsampling = "bilinear"
    """How the decoder enlarges; guided: weights of the four neighbours follow the skip."""
    features: int = 8
    """Channels that stage 1 hands to stage 2."""
    refinement: int = 24
    """Channels of stage 2; with 0 there is none."""
    batch_norm: bool = True
    """Whether convolutions of stage 1 are followed by batch-norms; training only, see `fold`."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Maps:
    """The outputs of stage 1, (N, n, h, w) each, at its own resolution.

    added: what comes to the mixture of the priors, n = 1. shares: logits of each prior's share,
    n = PRIORS. log_error: logarithm of the expected absolute error, n = 1. features: for stage 2.
    """

    added: Tensor
    shares: Tensor
    log_error: Tensor
    features: Tensor

    def alpha(self, priors: Tensor) -> Tensor:
        """Unclamped alpha (N, 1, h, w) for priors (N, PRIORS, h, w) of the same size."""
        mixture = (self.shares.softmax(1) * priors).sum(1, keepdim=True)
        return self.added + mixture


@dataclass(frozen=True, kw_only=True)
class LightOutput:
    """Unclamped alphas and the logarithm of stage 1's expected error, (N, 1, H, W) each; stage2 is
    None where it was left out."""

    stage1: Tensor
    log_error: Tensor
    stage2: Tensor | None = None

    @property
    def alpha(self) -> Tensor:
        """The best prediction, clamped to [0, 1]."""
        return (self.stage1 if self.stage2 is None else self.stage2).clamp(0, 1)


class ConvNorm(nn.Module):
    """A convolution of odd kernel, an optional batch-norm, an optional ReLU6."""

    def __init__(self, fan_in: int, fan_out: int, kernel: int, *, norm: bool, stride: int = 1,
                 groups: int = 1, active: bool = True) -> None:  # fmt: skip
        super().__init__()
        self.conv = nn.Conv2d(
            fan_in, fan_out, kernel, stride, kernel // 2, groups=groups, bias=not norm
        )
        self.bn: nn.BatchNorm2d | None = nn.BatchNorm2d(fan_out) if norm else None
        self.active = active
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out" if groups > 1 else "fan_in")
        if groups > 1:  # fan_out counts all groups
            nn.init.normal_(self.conv.weight, std=(2 / kernel**2) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.bn is not None:
            x = self.bn(x)
        return F.relu6(x, inplace=True) if self.active else x

    def fold(self) -> None:
        """Merge the batch-norm into the convolution; same result in eval mode."""
        if self.bn is None:
            return
        self.conv = nn.utils.fusion.fuse_conv_bn_eval(self.conv.eval(), self.bn.eval())
        self.bn = None


class InvertedResidual(nn.Module):
    """Widen by 1×1, filter each channel, narrow by 1×1 without activation; added where sizes
    allow."""

    def __init__(self, fan_in: int, fan_out: int, kernel: int, stride: int, expansion: int, *,
                 norm: bool) -> None:  # fmt: skip
        super().__init__()
        wide = fan_in * expansion
        self.layers = nn.Sequential()
        if expansion > 1:
            self.layers.append(ConvNorm(fan_in, wide, 1, norm=norm))
        self.layers.append(ConvNorm(wide, wide, kernel, norm=norm, stride=stride, groups=wide))
        self.layers.append(ConvNorm(wide, fan_out, 1, norm=norm, active=False))
        self.adds = stride == 1 and fan_in == fan_out

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.adds else y


class Encoder(nn.Module):
    """The way from the input to 1/32, keeping what the decoder sees on it."""

    def __init__(self, config: LightConfig) -> None:
        super().__init__()
        norm = config.batch_norm
        self.stem = ConvNorm(CHANNELS, STEM, 3, norm=norm, stride=2)
        self.blocks = nn.ModuleList()
        fan_in = STEM
        for expansion, kernel, channels, stride, repeats in BLOCKS:
            block = nn.Sequential()
            for number in range(repeats):
                step = stride if number == 0 else 1
                block.append(InvertedResidual(fan_in, channels, kernel, step, expansion, norm=norm))
                fan_in = channels
            self.blocks.append(block)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(N, CHANNELS, H, W) to 320 channels at 1/32, and the skips, finest first."""
        x = self.stem(x)
        skips = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in _SKIPPED:
                skips.append(x)
        return x, skips


class Enlarger(nn.Module):
    """Twice the size: bilinear, or with the four neighbours' weights guided by the skip.

    The guidance starts at zero, as bilinear enlargement.
    """

    def __init__(self, low: int, skip: int, kind: Upsampling) -> None:
        super().__init__()
        self.by_low: nn.Conv2d | None = None
        self.by_skip: nn.Conv2d | None = None
        if kind == "guided":
            self.by_low, self.by_skip = nn.Conv2d(low, 4, 1), nn.Conv2d(skip, 4, 3, padding=1)
            for layer in (self.by_low, self.by_skip):
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        if self.by_low is None or self.by_skip is None:
            plain: Tensor = F.interpolate(x, scale_factor=2.0, mode="bilinear")
            return plain
        logits = self.by_skip(skip) + F.interpolate(self.by_low(x), scale_factor=2.0)
        usual = x.new_tensor((9 / 16, 3 / 16, 3 / 16, 1 / 16)).log().view(1, 4, 1, 1)
        weights = (logits + usual).softmax(1)
        near, beside = doubled(x, 3)
        across, cornered = doubled(near, 2)[1], doubled(beside, 2)[1]
        near, beside = doubled(near, 2)[0], doubled(beside, 2)[0]
        neighbours = (near, beside, across, cornered)
        return torch.stack([weights[:, n : n + 1] * x for n, x in enumerate(neighbours)]).sum(0)


def doubled(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Return the nearest and next nearest neighbours of twice as many pixels along an axis."""
    size = x.shape[axis]
    before = torch.cat((x.narrow(axis, 0, 1), x.narrow(axis, 0, size - 1)), axis)
    after = torch.cat((x.narrow(axis, 1, size - 1), x.narrow(axis, size - 1, 1)), axis)
    shape = [*x.shape[:axis], 2 * size, *x.shape[axis + 1 :]]
    nearest = torch.stack((x, x), axis + 1).reshape(shape)
    return nearest, torch.stack((before, after), axis + 1).reshape(shape)


class Decoder(nn.Module):
    """The way from 1/32 to the input's resolution, and to `Maps`."""

    def __init__(self, config: LightConfig) -> None:
        super().__init__()
        norm = config.batch_norm
        lowest = BLOCKS[-1][2]
        self.entry = ConvNorm(lowest, DECODER[0], 1, norm=norm)
        self.overall = nn.Linear(lowest, DECODER[0])
        skips = [CHANNELS, *(BLOCKS[number][2] for number in _SKIPPED)]
        self.enlargers, self.steps = nn.ModuleList(), nn.ModuleList()
        for number, channels in enumerate(DECODER[1:]):
            before, skip = DECODER[number], skips[-1 - number]
            self.enlargers.append(Enlarger(before, skip, config.upsampling))
            step = nn.Sequential(ConvNorm(before + skip, channels, 3, norm=norm))
            if 0 < number < len(DECODER) - 2:
                step.append(ConvNorm(channels, channels, 3, norm=norm))
            self.steps.append(step)
        self.maps = nn.Conv2d(DECODER[-1], 2 + PRIORS, 3, padding=1)
        self.features: nn.Conv2d | None = None
        if config.refinement:
            self.features = nn.Conv2d(DECODER[-1], config.features, 3, padding=1)
        nn.init.zeros_(self.maps.weight)
        with torch.no_grad():
            self.maps.bias.copy_(torch.tensor((0.0,) * (1 + PRIORS) + (-2.5,)))  # type: ignore[union-attr]

    def forward(self, seen: Tensor, lowest: Tensor, skips: list[Tensor]) -> Maps:
        """seen: the normalised input."""
        x = self.entry(lowest) + self.overall(lowest.mean((2, 3)))[:, :, None, None]
        for enlarge, step, skip in zip(
            self.enlargers, self.steps, (*reversed(skips), seen), strict=True
        ):
            x = step(torch.cat((enlarge(x, skip), skip), 1))
        raw = self.maps(x)
        return Maps(
            added=raw[:, :1], shares=raw[:, 1 : 1 + PRIORS], log_error=raw[:, 1 + PRIORS :],
            features=raw[:, :0] if self.features is None else self.features(x),
        )  # fmt: skip


class Refinement(nn.Module):
    """Stage 2: four 3×3 convolutions at full resolution, a residual on alpha."""

    def __init__(self, config: LightConfig) -> None:
        super().__init__()
        count = config.refinement
        self.layers = nn.Sequential(
            ConvNorm(refinement_channels(config), count, 3, norm=False),
            ConvNorm(count, count, 3, norm=False),
            ConvNorm(count, count, 3, norm=False),
        )
        self.residual = nn.Conv2d(count, 1, 3, padding=1)
        nn.init.zeros_(self.residual.weight)  # starts as the identity
        nn.init.zeros_(self.residual.bias)  # type: ignore[arg-type]

    def forward(self, seen: Tensor) -> Tensor:
        """Return what comes to alpha, for an input from `refinement_input`."""
        residual: Tensor = self.residual(self.layers(seen))
        return residual


def refinement_channels(config: LightConfig) -> int:
    """RGB, trimap, priors, alpha, log error and stage 1's features."""
    return 4 + PRIORS + 2 + config.features


def refinement_input(picture: Tensor, alpha: Tensor, maps: Maps) -> Tensor:
    """Stage 2's input: picture (N, 4 + PRIORS, H, W), not normalised, unclamped alpha and stage 1's
    maps of that size."""
    known = (picture[:, :4] - 0.5) * 2
    alphas = torch.cat((picture[:, 4:], alpha.clamp(0, 1)), 1) * 2 - 1
    return torch.cat((known, alphas, maps.log_error / 4 + 0.5, maps.features), 1)


def coarse_share(
    error: Tensor, coarse_error: Tensor, near: Tensor, least: float = LEAST_ERROR
) -> Tensor:
    """Return the share that the alpha of a coarser look has in the mean with that of a finer one.

    Each counts by its inverse squared error, and the coarser one less within some 9 px of what is
    certain, which it sees less exactly. Written for TorchScript too.

    Args:
        error, coarse_error: expected absolute errors, of one shape.
        near: the larger of the finer look's channels `NEAR`.
    """
    square = ((1.0 - near.sqrt()) * (error + least)).square()
    share: Tensor = square / (square + (coarse_error + least).square())
    return share


def enlarged(maps: Maps, size: tuple[int, int]) -> Maps:
    """The maps at another size, bilinearly."""
    if maps.added.shape[-2:] == size:
        return maps
    parts = maps.added, maps.shares, maps.log_error, maps.features
    whole = F.interpolate(torch.cat(parts, 1), size=size, mode="bilinear", align_corners=False)
    counts = [part.shape[1] for part in parts]
    added, shares, log_error, features = torch.split(whole, counts, 1)
    return Maps(added=added, shares=shares, log_error=log_error, features=features)


class LightMatting(nn.Module):
    """The network of both stages. Input (N, CHANNELS, H, W): network-encoded RGB, the trimap as 0,
    0.5, 1, the alpha priors, and the nearness to certain foreground and background at three scales
    each."""

    mean: Tensor
    scale: Tensor

    def __init__(self, config: LightConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.refinement = Refinement(config) if config.refinement else None
        mean = torch.tensor([0.45] * 3 + [0.5] * (1 + PRIORS) + [0.3] * DISTANCES)
        scale = torch.tensor([4.0] * 3 + [2.0] * (1 + PRIORS) + [2.0] * DISTANCES)
        self.register_buffer("mean", mean.view(1, -1, 1, 1), persistent=False)
        self.register_buffer("scale", scale.view(1, -1, 1, 1), persistent=False)

    def stage1(self, x: Tensor) -> Maps:
        """Stage 1's maps; H and W must be multiples of 32."""
        if x.shape[1] != CHANNELS or x.shape[2] % STRIDE or x.shape[3] % STRIDE:
            raise ValueError(f"input must be (N, {CHANNELS}, 32·a, 32·b), found {tuple(x.shape)}")
        seen = (x - self.mean) * self.scale
        maps: Maps = self.decoder(seen, *self.encoder(seen))
        return maps

    def forward(
        self, x: Tensor, *, refine: bool = True, picture: Tensor | None = None
    ) -> LightOutput:
        """Run both stages densely.

        Args:
            x: stage 1's input. picture: RGB, trimap and priors (N, 4 + PRIORS, H, W) at full size,
                where x is reduced. refine: whether stage 2 runs.
        """
        full = x[:, : 4 + PRIORS] if picture is None else picture
        height, width = full.shape[-2:]
        maps = enlarged(self.stage1(x), (height, width))
        alpha = maps.alpha(full[:, 4:])
        if self.refinement is None or not refine:
            return LightOutput(stage1=alpha, log_error=maps.log_error)
        refined = alpha + self.refinement(refinement_input(full, alpha, maps))
        return LightOutput(stage1=alpha, log_error=maps.log_error, stage2=refined)

    def fold(self) -> LightMatting:
        """Fold every batch-norm into its convolution, in place; returns self in eval mode."""
        for module in self.modules():
            if isinstance(module, ConvNorm):
                module.fold()
        self.config = LightConfig(**{**self.config.as_dict(), "batch_norm": False})
        return self.eval()

    def stage_parameters(self, stage: int) -> Iterable[nn.Parameter]:
        """Parameters of stage 1 (encoder and decoder) or of stage 2 (with its features)."""
        last = self.decoder.features
        features = set() if last is None else set(last.parameters())
        if stage == 1:
            yield from (p for p in self.encoder.parameters())
            yield from (p for p in self.decoder.parameters() if p not in features)
        elif self.refinement is not None:
            yield from features
            yield from self.refinement.parameters()


@torch.no_grad()
def reset_last_layers(network: LightMatting, *, std: float) -> None:
    """Draw the layers that begin at zero at random, so that every layer decides something."""
    last: list[nn.Conv2d] = [network.decoder.maps]
    if network.refinement is not None:
        last.append(network.refinement.residual)
    for layer in last:
        nn.init.normal_(layer.weight, std=std)
