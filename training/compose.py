"""Training pictures made on the device: poses drawn, foregrounds over backgrounds, trimaps.

Everything about a batch follows from one seed, so that a resumed run sees what the killed one
would have seen, and from the settings in `SynthesisConfig`. The steps: place one or two
foregrounds and a background, vary their colours, blur them, mix them in linear light (or, for a
share of the samples, encoded), encode, add grain and compression, draw a trimap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from training.bands import draw_trimap
from training.bank import PictureBank
from training.degrade import (
    add_grain,
    compress,
    disc_kernels,
    per_sample_blur,
    streak_kernels,
)
from training.synthesis import SynthesisConfig
from vfxmatte.colour import encode_for_network

_LUMINANCE = (0.2126, 0.7152, 0.0722)
_BLUR_SIDE = 15


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """image, foreground, background: (N, 3, H, W) network-encoded; trimap (N, 1, H, W) of 0, 0.5
    and 1; alpha (N, 1, H, W) in [0, 1]. With moving pairs sample n + N/2 follows sample n."""

    image: Tensor
    trimap: Tensor
    alpha: Tensor
    foreground: Tensor
    background: Tensor
    moving_pairs: bool = False

    @property
    def input(self) -> Tensor:
        """(N, 4, H, W), the network's input."""
        return torch.cat((self.image, self.trimap), 1)

    @property
    def unknown(self) -> Tensor:
        """(N, 1, H, W) float, 1 where the trimap is unknown."""
        return (self.trimap == 0.5).to(self.image.dtype)

    def part(self, start: int, stop: int) -> Batch:
        """Samples start to stop, for accumulating gradients."""
        cut = slice(start, stop)
        return Batch(
            image=self.image[cut], trimap=self.trimap[cut], alpha=self.alpha[cut],
            foreground=self.foreground[cut], background=self.background[cut],
        )  # fmt: skip


class Compositor:
    """Makes batches from a bank of pictures; the same seed gives the same batch."""

    def __init__(self, bank: PictureBank, config: SynthesisConfig) -> None:
        self.bank = bank
        self.config = config

    def batch(self, count: int, seed: int) -> Batch:
        """`count` samples (an even number with moving pairs)."""
        host = torch.Generator().manual_seed(seed)
        rng = torch.Generator(self.bank.device).manual_seed(seed)
        drawn = count // 2 if self.config.moving_pairs else count
        layers = self._layers(drawn, host)
        backdrop = self._backdrops(drawn, host)
        layers, backdrop = self._vary_colours(layers, backdrop, rng)
        layers, backdrop = self._blur(layers, backdrop, rng)
        return self._mix(layers, backdrop, rng)

    # -- placing ---------------------------------------------------------------------------

    def _layers(self, drawn: int, host: torch.Generator) -> Tensor:
        """Premultiplied linear RGBA (N, 4, H, W) of one foreground, or of two merged."""
        first, second = [], []
        for _ in range(drawn):
            views = self._views(host)
            if _uniform(host) < self.config.two_foregrounds:
                behind = self._views(host)
                views = [over(a, b) for a, b in zip(views, behind, strict=True)]
            first.append(views[0])
            second.extend(views[1:])
        return torch.stack(first + second)

    def _views(self, host: torch.Generator) -> list[Tensor]:
        """One foreground in one pose, or in two poses that follow each other."""
        index = _integer(host, len(self.bank.foregrounds))
        centres = self.bank.foregrounds[index].centres
        y, x = centres[_integer(host, len(centres))].tolist()
        pose = self._pose(x, y, host)
        poses = [pose, _next_pose(pose, host)] if self.config.moving_pairs else [pose]
        side = self.config.crop_px
        return [self.bank.sample_foreground(index, p, side) for p in poses]

    def _pose(self, x: int, y: int, host: torch.Generator) -> Tensor:
        """An affine (2, 3) from crop to source pixels that centres the crop on (x, y)."""
        c = self.config
        if c.zoom_choices:
            zoom = c.zoom_choices[_integer(host, len(c.zoom_choices))]
        else:
            zoom = math.exp(_uniform(host, math.log(c.zoom[0]), math.log(c.zoom[1])))
        angle = math.radians(_uniform(host, -c.rotate_degrees, c.rotate_degrees))
        shear = math.tan(math.radians(_uniform(host, -c.shear_degrees, c.shear_degrees)))
        stretch = [math.exp(_uniform(host, -1, 1) * math.log(c.stretch)) for _ in "xy"]
        cos, sin = math.cos(angle), math.sin(angle)
        turn = torch.tensor(((cos, -sin), (sin, cos)))
        skew = torch.tensor(((stretch[0] * zoom, shear * zoom), (0.0, stretch[1] * zoom)))
        linear = turn @ skew
        if _uniform(host) < c.flip:
            linear = linear @ torch.tensor(((-1.0, 0.0), (0.0, 1.0)))
        return torch.cat((linear, torch.tensor(((float(x),), (float(y),)))), 1)

    def _backdrops(self, drawn: int, host: torch.Generator) -> Tensor:
        """Scene-linear backgrounds (N, 3, H, W)."""
        first, second = [], []
        for _ in range(drawn):
            views = self._backdrop_views(host)
            first.append(views[0])
            second.extend(views[1:])
        return torch.stack(first + second)

    def _backdrop_views(self, host: torch.Generator) -> list[Tensor]:
        side, pairs = self.config.crop_px, self.config.moving_pairs
        if _uniform(host) < self.config.plain_background:
            return [self._gradient(host)] * (2 if pairs else 1)
        index = _integer(host, len(self.bank.backdrops))
        height, width = self.bank.backdrops[index].encoded.shape[-2:]
        smaller = min(height, width)
        size = min(smaller, round(side * math.exp(_uniform(host, math.log(0.6), math.log(3.0)))))
        flip = _uniform(host) < self.config.flip
        top, left = _integer(host, height - size + 1), _integer(host, width - size + 1)
        boxes = [(top, left, size)]
        if pairs:
            step = round(0.03 * size)
            boxes.append(
                (
                    min(max(top + _integer(host, 2 * step + 1) - step, 0), height - size),
                    min(max(left + _integer(host, 2 * step + 1) - step, 0), width - size),
                    size,
                )
            )
        views = [self.bank.sample_backdrop(index, box, side) for box in boxes]
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
        c, count = self.config, len(layers)
        device = layers.device
        if c.defocus or c.motion_blur:
            radius = 3 * torch.rand(count, generator=rng, device=device)
            radius = radius * _chance(count, c.defocus, rng, c.moving_pairs).flatten()
            length = 12 * torch.rand(count, generator=rng, device=device)
            length = length * _chance(count, c.motion_blur, rng, c.moving_pairs).flatten()
            angle = math.pi * torch.rand(count, generator=rng, device=device)
            if c.moving_pairs:
                radius, length, angle = (_shared(v) for v in (radius, length, angle))
            touched = ((radius > 0) | (length > 0)).nonzero().flatten()
            if len(touched):
                blurred = per_sample_blur(
                    layers[touched], disc_kernels(radius[touched], _BLUR_SIDE)
                )
                streaks = streak_kernels(length[touched], angle[touched], _BLUR_SIDE)
                layers = layers.index_copy(0, touched, per_sample_blur(blurred, streaks))
        if c.background_blur:
            radius = 7 * torch.rand(count, generator=rng, device=device)
            radius = radius * _chance(count, c.background_blur, rng, c.moving_pairs).flatten()
            radius = _shared(radius) if c.moving_pairs else radius
            touched = (radius > 0).nonzero().flatten()
            if len(touched):
                discs = disc_kernels(radius[touched], _BLUR_SIDE)
                blurred = per_sample_blur(backdrop[touched], discs)
                backdrop = backdrop.index_copy(0, touched, blurred)
        return layers, backdrop

    # -- mixing ------------------------------------------------------------------------------

    def _mix(self, layers: Tensor, backdrop: Tensor, rng: torch.Generator) -> Batch:
        c, count = self.config, len(layers)
        premultiplied, alpha = layers[:, :3], layers[:, 3:].clamp(0, 1)
        wrapped = _chance(count, c.light_wrap, rng, c.moving_pairs).flatten().nonzero().flatten()
        if len(wrapped):
            light = _wrap(alpha[wrapped], backdrop[wrapped])
            premultiplied = premultiplied.index_add(0, wrapped, light)
        background = encode_for_network(backdrop)
        straight = encode_for_network(premultiplied / alpha.clamp(min=1e-3))
        foreground = torch.where(alpha > 1e-3, straight, background)
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
