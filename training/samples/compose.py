"""Training pictures made on the device: poses drawn, foregrounds over backgrounds, trimaps.

Everything about a batch follows from one seed, so that a resumed run sees what the killed one
would have seen, and from the settings in `SynthesisConfig`. The steps: place one or two
foregrounds and a background, vary their colours, blur them, mix them in linear light (or, for a
share of the samples, encoded), encode, add grain and compression, draw a trimap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from training.samples.bands import draw_trimap
from training.samples.bank import PictureBank
from training.samples.degrade import (
    add_grain,
    compress,
    disc_kernels,
    per_sample_blur,
    streak_kernels,
)
from training.samples.synthesis import SynthesisConfig
from vfxmatte.colour import encode_for_network

_LUMINANCE = (0.2126, 0.7152, 0.0722)
_BLUR_SIDE = 15
_LEAST_ALPHA = 1e-3  # less is nothing: below it half precision no longer knows the colour


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """image, foreground, background: (N, 3, H, W) network-encoded; trimap (N, 1, H, W) of 0, 0.5
    and 1; alpha (N, 1, H, W) in [0, 1]; priors (N, PRIORS, H, W) in [0, 1], where the network takes
    them. With moving pairs sample n + N/2 follows sample n."""

    image: Tensor
    trimap: Tensor
    alpha: Tensor
    foreground: Tensor
    background: Tensor
    moving_pairs: bool = False
    priors: Tensor | None = None

    @property
    def input(self) -> Tensor:
        """(N, 4 + priors, H, W), the network's input."""
        priors = () if self.priors is None else (self.priors,)
        return torch.cat((self.image, self.trimap, *priors), 1)

    @property
    def unknown(self) -> Tensor:
        """(N, 1, H, W) float, 1 where the trimap is unknown."""
        return (self.trimap == 0.5).to(self.image.dtype)

    def part(self, start: int, stop: int) -> Batch:
        """`stop - start` samples, for accumulating gradients; pairs stay together.

        With moving pairs start and stop are even, and the part holds pairs start/2 to stop/2.
        """
        chosen = torch.arange(len(self.image), device=self.image.device)
        if self.moving_pairs:
            chosen = chosen.view(2, -1)[:, start // 2 : stop // 2].flatten()
        else:
            chosen = chosen[start:stop]
        return Batch(
            image=self.image[chosen], trimap=self.trimap[chosen], alpha=self.alpha[chosen],
            foreground=self.foreground[chosen], background=self.background[chosen],
            moving_pairs=self.moving_pairs,
            priors=None if self.priors is None else self.priors[chosen],
        )  # fmt: skip


class Compositor:
    """Makes batches from a bank of pictures; the same seed gives the same batch."""

    def __init__(self, bank: PictureBank, config: SynthesisConfig) -> None:
        self.bank = bank
        self.config = config

    def batch(
        self, count: int, seed: int, *, chosen: Sequence[tuple[int, int]] | None = None
    ) -> Batch:
        """`count` samples (an even number with moving pairs).

        chosen: numbers of the foreground and the background of each sample (each pair), where
            they are not to be drawn.
        """
        host = torch.Generator().manual_seed(seed)
        rng = torch.Generator(self.bank.device).manual_seed(seed)
        drawn = count // 2 if self.config.moving_pairs else count
        pairs = chosen if chosen is not None else [(None, None)] * drawn
        layers = self._layers([foreground for foreground, _ in pairs], host)
        backdrop = self._backdrops([background for _, background in pairs], host)
        layers, backdrop = self._vary_colours(layers, backdrop, rng)
        layers, backdrop = self._blur(layers, backdrop, rng)
        return self._mix(layers, backdrop, rng)

    # -- placing ---------------------------------------------------------------------------

    def _layers(self, chosen: Sequence[int | None], host: torch.Generator) -> Tensor:
        """Premultiplied linear RGBA (N, 4, H, W) of one foreground, or of two merged."""
        first, second = [], []
        for number in chosen:
            views = self._views(host, number)
            if _uniform(host) < self.config.two_foregrounds:
                behind = self._views(host)
                views = [over(a, b) for a, b in zip(views, behind, strict=True)]
            first.append(views[0])
            second.extend(views[1:])
        return torch.stack(first + second)

    def _views(self, host: torch.Generator, number: int | None = None) -> list[Tensor]:
        """One foreground in one pose, or in two poses that follow each other."""
        drawn = _integer(host, len(self.bank.foregrounds))
        index = drawn if number is None else number
        centres = self.bank.foregrounds[index].centres
        y, x = centres[_integer(host, len(centres))].tolist()
        pose = self._pose(x, y, host)
        poses = [pose, _next_pose(pose, host)] if self.config.moving_pairs else [pose]
        side, mirror = self.config.crop_px, self.config.mirror_cut
        return [self.bank.sample_foreground(index, p, side, mirror_cut=mirror) for p in poses]

    def _pose(self, x: int, y: int, host: torch.Generator) -> Tensor:
        """An affine (2, 3) from crop to source pixels that centres the crop on (x, y)."""
        c = self.config
        zoom = self._zoom(c.zoom, host)
        angle = math.radians(_uniform(host, -c.rotate_degrees, c.rotate_degrees))
        shear = math.tan(math.radians(_uniform(host, -c.shear_degrees, c.shear_degrees)))
        stretch = [math.exp(_uniform(host, -1, 1) * math.log(c.stretch)) for _ in "xy"]
        cos, sin = math.cos(angle), math.sin(angle)
        turn = torch.tensor(((cos, -sin), (sin, cos)))
        skew = torch.tensor(((stretch[0] * zoom, shear * zoom), (0.0, stretch[1] * zoom)))
        linear = turn @ skew
        if _uniform(host) < c.flip:
            linear = linear @ torch.tensor(((-1.0, 0.0), (0.0, 1.0)))
        # The middle of a crop of even size lies between pixels: half a pixel aside keeps a crop
        # that is not scaled on the source's own pixels.
        return torch.cat((linear, torch.tensor(((x + 0.5,), (y + 0.5,)))), 1)

    def _zoom(self, limits: tuple[float, float], host: torch.Generator) -> float:
        choices = self.config.zoom_choices
        if choices:
            return choices[_integer(host, len(choices))]
        return math.exp(_uniform(host, math.log(limits[0]), math.log(limits[1])))

    def _backdrops(self, chosen: Sequence[int | None], host: torch.Generator) -> Tensor:
        """Scene-linear backgrounds (N, 3, H, W)."""
        first, second = [], []
        for number in chosen:
            views = self._backdrop_views(host, number)
            first.append(views[0])
            second.extend(views[1:])
        return torch.stack(first + second)

    def _backdrop_views(self, host: torch.Generator, number: int | None) -> list[Tensor]:
        """One background, or two views of it a little apart."""
        c = self.config
        if _uniform(host) < c.plain_background:
            return [self._gradient(host)] * (2 if c.moving_pairs else 1)
        drawn = _integer(host, len(self.bank.backdrops))
        index = drawn if number is None else number
        height, width = self.bank.backdrops[index].encoded.shape[-2:]
        size = round(c.crop_px * self._zoom(c.background_zoom, host))
        size = max(1, min(size, height, width))
        flip = _uniform(host) < c.flip
        corner = (_integer(host, height - size + 1), _integer(host, width - size + 1))
        corners = [corner]
        if c.moving_pairs:
            corners.append(_next_corner(corner, (height - size, width - size), size, host))
        views = [self.bank.sample_backdrop(index, (*at, size), c.crop_px) for at in corners]
        return [view.flip(-1) for view in views] if flip else views

    def _gradient(self, host: torch.Generator) -> Tensor:
        corners = torch.rand((1, 3, 2, 2), generator=host).to(self.bank.device)
        side = self.config.crop_px
        corners = corners.mean((2, 3), keepdim=True) + 0.3 * (corners - 0.5)
        smooth = F.interpolate(corners, (side, side), mode="bilinear", align_corners=True)
        return smooth[0].clamp(0, 1) ** 2.2

    # -- colours and blurs -------------------------------------------------------------------

    def _vary_colours(
        self, layers: Tensor, backdrop: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        c = self.config
        colour, alpha = layers[:, :3], layers[:, 3:]
        pairs = c.moving_pairs
        colour = colour * self._gains(len(layers), rng, pairs)
        colour = _saturate(colour, 1 + c.colour_jitter * _spread(len(layers), rng, pairs))
        backdrop = backdrop * self._gains(len(layers), rng, pairs)
        backdrop = _saturate(backdrop, 1 + c.colour_jitter * _spread(len(layers), rng, pairs))
        if c.similar_colours:
            mean = colour.sum((2, 3), keepdim=True) / alpha.sum((2, 3), keepdim=True).clamp(min=1)
            ratio = (mean + 0.01) / (backdrop.mean((2, 3), keepdim=True) + 0.01)
            chosen = _chance(len(layers), c.similar_colours, rng, pairs)
            backdrop = torch.where(chosen, backdrop * ratio.clamp(0.05, 8), backdrop)
        return torch.cat((colour.clamp(min=0), alpha), 1), backdrop.clamp(min=0)

    def _gains(self, count: int, rng: torch.Generator, pairs: bool) -> Tensor:
        stops = self.config.exposure_stops * _spread(count, rng, pairs)
        balance = self.config.white_balance * _spread(count, rng, pairs, channels=3)
        return torch.exp2(stops + balance)

    def _blur(
        self, layers: Tensor, backdrop: Tensor, rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Defocus and motion over colour and alpha together, and a defocused background."""
        c, count = self.config, len(layers)
        if c.defocus or c.motion_blur:
            discs = disc_kernels(self._amounts(3, count, c.defocus, rng), _BLUR_SIDE)
            length = self._amounts(12, count, c.motion_blur, rng)
            angle = math.pi * torch.rand(count, generator=rng, device=layers.device)
            angle = _shared(angle) if c.moving_pairs else angle
            layers = _blurred(layers, discs)
            layers = _blurred(layers, streak_kernels(length, angle, _BLUR_SIDE))
        if c.background_blur:
            radius = self._amounts(7, count, c.background_blur, rng)
            backdrop = _blurred(backdrop, disc_kernels(radius, _BLUR_SIDE))
        return layers, backdrop

    def _amounts(self, most: float, count: int, probability: float, rng: torch.Generator) -> Tensor:
        """(N,) uniform between 0 and `most` with the given probability, else 0; alike in a pair."""
        amounts = most * torch.rand(count, generator=rng, device=rng.device)
        amounts = amounts * _chance(count, probability, rng, False).flatten()
        return _shared(amounts) if self.config.moving_pairs else amounts

    # -- mixing ------------------------------------------------------------------------------

    def _mix(self, layers: Tensor, backdrop: Tensor, rng: torch.Generator) -> Batch:
        c, count = self.config, len(layers)
        layers = layers * (layers[:, 3:] > _LEAST_ALPHA)
        premultiplied, alpha = layers[:, :3], layers[:, 3:].clamp(0, 1)
        wrapped = _chance(count, c.light_wrap, rng, c.moving_pairs).flatten().nonzero().flatten()
        if len(wrapped):
            light = _wrap(alpha[wrapped], backdrop[wrapped])
            premultiplied = premultiplied.index_add(0, wrapped, light)
        background = encode_for_network(backdrop)
        straight = encode_for_network(premultiplied / alpha.clamp(min=_LEAST_ALPHA))
        foreground = torch.where(alpha > 0, straight, background)
        linear = encode_for_network(premultiplied + (1 - alpha) * backdrop)
        encoded = alpha * foreground + (1 - alpha) * background
        image = torch.where(_chance(count, c.linear_light, rng, c.moving_pairs), linear, encoded)
        trimap = draw_trimap(
            alpha, c.band_px, wobble=c.band_wobble, erode_foreground=c.erode_foreground, rng=rng
        )
        return Batch(
            image=self._degrade(image, rng), trimap=trimap, alpha=alpha,
            foreground=foreground, background=background, moving_pairs=c.moving_pairs,
        )  # fmt: skip

    def _degrade(self, image: Tensor, rng: torch.Generator) -> Tensor:
        c, count = self.config, len(image)
        if c.grain:
            image = add_grain(image, c.grain, rng)
        if c.compression:
            quality = 45 + 50 * torch.rand(count, generator=rng, device=image.device)
            chosen = _chance(count, c.compression, rng, c.moving_pairs).flatten()
            touched = chosen.nonzero().flatten()
            if len(touched):
                squeezed = compress(image[touched], quality[touched])
                image = image.index_copy(0, touched, squeezed)
        return image.clamp(-0.1, 1.2)


def over(front: Tensor, behind: Tensor) -> Tensor:
    """Porter-Duff over of premultiplied (4, H, W): alpha = 1 - (1 - a1)(1 - a2)."""
    return front + (1 - front[3:4]) * behind


def _blurred(x: Tensor, kernels: Tensor) -> Tensor:
    """x (N, C, H, W) by kernels (N, K, K), leaving alone what a kernel would not change."""
    middle = kernels.shape[-1] // 2
    touched = (kernels[:, middle, middle] < 1).nonzero().flatten()
    if not len(touched):
        return x
    return x.index_copy(0, touched, per_sample_blur(x[touched], kernels[touched]))


def _wrap(alpha: Tensor, backdrop: Tensor) -> Tensor:
    """Background light that a lens spills over the foreground's rim, premultiplied."""
    side = alpha.shape[-2:]
    near = F.interpolate(F.avg_pool2d(alpha, 8), side, mode="bilinear")
    glow = F.interpolate(F.avg_pool2d(backdrop, 16), side, mode="bilinear")
    return 0.5 * alpha * (1 - near) * glow


def _next_pose(pose: Tensor, host: torch.Generator) -> Tensor:
    """A pose one frame later: some pixels aside, a little turned and scaled."""
    angle, scale = _uniform(host, -0.03, 0.03), math.exp(_uniform(host, -0.02, 0.02))
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    moved = pose.clone()
    moved[:, :2] = torch.tensor(((cos, -sin), (sin, cos))) @ pose[:, :2]
    moved[:, 2] += torch.tensor((_uniform(host, -8, 8), _uniform(host, -8, 8)))
    return moved


def _next_corner(
    corner: tuple[int, int], last: tuple[int, int], size: int, host: torch.Generator
) -> tuple[int, int]:
    """A background's corner one frame later, at most 3 % of the view away, within 0 to `last`."""
    step = round(0.03 * size)
    moved = [at + _integer(host, 2 * step + 1) - step for at in corner]
    y, x = (min(max(at, 0), end) for at, end in zip(moved, last, strict=True))
    return y, x


def _uniform(host: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    return low + (high - low) * float(torch.rand((), generator=host))


def _integer(host: torch.Generator, count: int) -> int:
    return int(torch.randint(count, (), generator=host))


def _shared(values: Tensor) -> Tensor:
    """Let the second frame of each pair take the first one's value."""
    half = values[: len(values) // 2]
    return torch.cat((half, half))


def _spread(count: int, rng: torch.Generator, pairs: bool, channels: int = 1) -> Tensor:
    """(N, channels, 1, 1) uniform in -1 to 1."""
    values = 2 * torch.rand((count, channels, 1, 1), generator=rng, device=rng.device) - 1
    return _shared(values) if pairs else values


def _chance(count: int, probability: float, rng: torch.Generator, pairs: bool) -> Tensor:
    """(N, 1, 1, 1) bool, True with the given probability."""
    values = torch.rand((count, 1, 1, 1), generator=rng, device=rng.device) < probability
    return _shared(values) if pairs else values


def _saturate(colour: Tensor, factor: Tensor) -> Tensor:
    weights = torch.tensor(_LUMINANCE, device=colour.device).view(1, 3, 1, 1)
    grey = (colour * weights).sum(1, keepdim=True)
    return grey + factor * (colour - grey)
