"""Training pictures made on the device: poses drawn, foregrounds over backgrounds, trimaps.

Everything about a batch follows from one seed, so that a resumed run sees what the killed one
would have seen, and from the settings in `SynthesisConfig`. The steps: place one or two
foregrounds and a background, vary their colours, blur them, mix them in linear light (or, for a
share of the samples, encoded), encode, add grain and compression, draw a trimap.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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

_LUMINANCE = (0.2126, 0.7152, 0.0722)  # ITU-R BT.709
_BLUR_SIDE = 15  # px, of the blur kernels
_LEAST_ALPHA = 1e-3  # below it a half float no longer holds the colour, and alpha becomes 0


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """Training samples."""

    image: Tensor
    """(N, 3, H, W) network-encoded."""
    trimap: Tensor
    """(N, 1, H, W) of 0, 0.5 and 1."""
    alpha: Tensor
    """(N, 1, H, W) in [0, 1]."""
    foreground: Tensor
    """(N, 3, H, W) network-encoded."""
    background: Tensor
    """(N, 3, H, W) network-encoded."""
    moving_pairs: bool = False
    """Whether sample n + N/2 is the next frame of sample n."""
    priors: Tensor | None = None
    """(N, PRIORS, H, W) in [0, 1]; None for networks that take none."""

    @property
    def input(self) -> Tensor:
        """The network's input, (N, 4 + priors, H, W)."""
        priors = () if self.priors is None else (self.priors,)
        return torch.cat((self.image, self.trimap, *priors), 1)

    @property
    def unknown(self) -> Tensor:
        """A mask (N, 1, H, W) float, 1 where the trimap is unknown."""
        return (self.trimap == 0.5).to(self.image.dtype)

    def part(self, start: int, stop: int) -> Batch:
        """Return samples `start` to `stop`, for accumulating gradients.

        With moving pairs start and stop must be even, and the part holds pairs start/2 to stop/2.
        """
        chosen = torch.arange(len(self.image), device=self.image.device)
        if self.moving_pairs:
            chosen = chosen.view(2, -1)[:, start // 2 : stop // 2].flatten()
        else:
            chosen = chosen[start:stop]
        return self.cut(lambda planes: planes[chosen])

    def cut(self, take: Callable[[Tensor], Tensor]) -> Batch:
        """Return a batch whose tensors are `take` of this one's."""
        return replace(
            self, image=take(self.image), trimap=take(self.trimap), alpha=take(self.alpha),
            foreground=take(self.foreground), background=take(self.background),
            priors=None if self.priors is None else take(self.priors),
        )  # fmt: skip


class Compositor:
    """A maker of composites; the same seed gives the same batch."""

    def __init__(self, bank: PictureBank, config: SynthesisConfig) -> None:
        self.bank = bank
        self.config = config

    def batch(
        self, count: int, seed: int, *, chosen: Sequence[tuple[int, int]] | None = None
    ) -> Batch:
        """Make a batch.

        Args:
            count: samples, an even number with moving pairs.
            seed: decides everything that is drawn.
            chosen: numbers of the foreground and the background of each sample (each pair); None
                draws them.
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
        """Place one foreground or two merged: premultiplied linear RGBA (N, 4, H, W)."""
        first, second = [], []
        for number in chosen:
            views = self._views(host, number)
            if draw_uniform(host) < self.config.two_foregrounds:
                behind = self._views(host)
                views = [over(a, b) for a, b in zip(views, behind, strict=True)]
            first.append(views[0])
            second.extend(views[1:])
        return torch.stack(first + second)

    def _views(self, host: torch.Generator, number: int | None = None) -> list[Tensor]:
        """Take a foreground in one pose, or in two consecutive ones."""
        drawn = draw_integer(host, len(self.bank.foregrounds))
        index = drawn if number is None else number
        centres = self.bank.foregrounds[index].centres
        y, x = centres[draw_integer(host, len(centres))].tolist()
        pose = self._pose(x, y, host)
        poses = [pose, _next_pose(pose, host)] if self.config.moving_pairs else [pose]
        side, mirror = self.config.crop_px, self.config.mirror_cut
        return [self.bank.sample_foreground(index, p, side, mirror_cut=mirror) for p in poses]

    def _pose(self, x: int, y: int, host: torch.Generator) -> Tensor:
        """Draw an affine (2, 3) from crop to source pixels that centres the crop on (x, y)."""
        c = self.config
        zoom = self._zoom(c.zoom, host)
        angle = math.radians(draw_uniform(host, -c.rotate_degrees, c.rotate_degrees))
        shear = math.tan(math.radians(draw_uniform(host, -c.shear_degrees, c.shear_degrees)))
        stretch = [math.exp(draw_uniform(host, -1, 1) * math.log(c.stretch)) for _ in "xy"]
        cos, sin = math.cos(angle), math.sin(angle)
        turn = torch.tensor(((cos, -sin), (sin, cos)))
        skew = torch.tensor(((stretch[0] * zoom, shear * zoom), (0.0, stretch[1] * zoom)))
        linear = turn @ skew
        if draw_uniform(host) < c.flip:
            linear = linear @ torch.tensor(((-1.0, 0.0), (0.0, 1.0)))
        # The middle of a crop of even size lies between pixels: half a pixel aside keeps a crop
        # that is not scaled on the source's own pixels.
        return torch.cat((linear, torch.tensor(((x + 0.5,), (y + 0.5,)))), 1)

    def _zoom(self, limits: tuple[float, float], host: torch.Generator) -> float:
        choices = self.config.zoom_choices
        if choices:
            return choices[draw_integer(host, len(choices))]
        return math.exp(draw_uniform(host, math.log(limits[0]), math.log(limits[1])))

    def _backdrops(self, chosen: Sequence[int | None], host: torch.Generator) -> Tensor:
        """Place backgrounds: scene-linear (N, 3, H, W)."""
        first, second = [], []
        for number in chosen:
            views = self._backdrop_views(host, number)
            first.append(views[0])
            second.extend(views[1:])
        return torch.stack(first + second)

    def _backdrop_views(self, host: torch.Generator, number: int | None) -> list[Tensor]:
        """Take a background, or two views of it slightly apart."""
        c = self.config
        if draw_uniform(host) < c.plain_background:
            return [self._gradient(host)] * (2 if c.moving_pairs else 1)
        drawn = draw_integer(host, len(self.bank.backdrops))
        index = drawn if number is None else number
        height, width = self.bank.backdrops[index].encoded.shape[-2:]
        size = round(c.crop_px * self._zoom(c.background_zoom, host))
        size = max(1, min(size, height, width))
        flip = draw_uniform(host) < c.flip
        corner = (draw_integer(host, height - size + 1), draw_integer(host, width - size + 1))
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
        """Blur colour and alpha together by defocus and motion, and defocus the background."""
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
        """Draw (N,) uniform between 0 and `most` with a probability, else 0; equal in a pair."""
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
    """Lay premultiplied (4, H, W) over another: alpha = 1 - (1 - a1)(1 - a2)."""
    return front + (1 - front[3:4]) * behind


def _blurred(x: Tensor, kernels: Tensor) -> Tensor:
    """Blur x (N, C, H, W) by kernels (N, K, K), skipping samples whose kernel is the identity."""
    middle = kernels.shape[-1] // 2
    touched = (kernels[:, middle, middle] < 1).nonzero().flatten()
    if not len(touched):
        return x
    return x.index_copy(0, touched, per_sample_blur(x[touched], kernels[touched]))


def _wrap(alpha: Tensor, backdrop: Tensor) -> Tensor:
    """Return the background light that a lens spills over the foreground's rim, premultiplied."""
    side = alpha.shape[-2:]
    near = F.interpolate(F.avg_pool2d(alpha, 8), side, mode="bilinear")
    glow = F.interpolate(F.avg_pool2d(backdrop, 16), side, mode="bilinear")
    return 0.5 * alpha * (1 - near) * glow


def _next_pose(pose: Tensor, host: torch.Generator) -> Tensor:
    """Draw a pose one frame later: slightly moved, turned and scaled."""
    angle, scale = draw_uniform(host, -0.03, 0.03), math.exp(draw_uniform(host, -0.02, 0.02))
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    moved = pose.clone()
    moved[:, :2] = torch.tensor(((cos, -sin), (sin, cos))) @ pose[:, :2]
    moved[:, 2] += torch.tensor((draw_uniform(host, -8, 8), draw_uniform(host, -8, 8)))
    return moved


def _next_corner(
    corner: tuple[int, int], last: tuple[int, int], size: int, host: torch.Generator
) -> tuple[int, int]:
    """Draw a corner one frame later, at most 3 % of the view away, within 0 to `last`."""
    step = round(0.03 * size)
    moved = [at + draw_integer(host, 2 * step + 1) - step for at in corner]
    y, x = (min(max(at, 0), end) for at, end in zip(moved, last, strict=True))
    return y, x


def draw_uniform(host: torch.Generator, low: float = 0.0, high: float = 1.0) -> float:
    """Draw a number between `low` and `high`."""
    return low + (high - low) * float(torch.rand((), generator=host))


def draw_integer(host: torch.Generator, count: int) -> int:
    """Draw an integer from 0 to `count` - 1."""
    return int(torch.randint(count, (), generator=host))


def _shared(values: Tensor) -> Tensor:
    """Give the second frame of each pair the first one's value."""
    half = values[: len(values) // 2]
    return torch.cat((half, half))


def _spread(count: int, rng: torch.Generator, pairs: bool, channels: int = 1) -> Tensor:
    """Draw (N, channels, 1, 1) uniform in -1 to 1."""
    values = 2 * torch.rand((count, channels, 1, 1), generator=rng, device=rng.device) - 1
    return _shared(values) if pairs else values


def _chance(count: int, probability: float, rng: torch.Generator, pairs: bool) -> Tensor:
    """Draw (N, 1, 1, 1) bool, True with the given probability."""
    values = torch.rand((count, 1, 1, 1), generator=rng, device=rng.device) < probability
    return _shared(values) if pairs else values


def _saturate(colour: Tensor, factor: Tensor) -> Tensor:
    weights = torch.tensor(_LUMINANCE, device=colour.device).view(1, 3, 1, 1)
    grey = (colour * weights).sum(1, keepdim=True)
    return grey + factor * (colour - grey)
