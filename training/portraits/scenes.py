"""Scenes of portraits before backgrounds.

A portrait that is cut by its own picture's border is placed so that the frame cuts it there too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from training.portraits.config import PortraitTraining
from training.samples.bank import PictureBank
from training.samples.compose import Batch, Compositor, draw_integer, draw_uniform, over

_CUT = 0.02  # share of a border's length from which a portrait counts as cut there
_PLACE_JITTER = 0.15  # of the frame's middle, as a share of the visible length


class PortraitCompositor(Compositor):
    """A maker of portrait scenes, some without a portrait, some with another element behind."""

    def __init__(
        self, bank: PictureBank, config: PortraitTraining, others: PictureBank | None = None
    ) -> None:
        super().__init__(bank, config.synthesis)
        self.training, self.others = config, others
        self._places = [_Place.of(f.premultiplied[3]) for f in bank.foregrounds]

    def samples(self, count: int, seed: int) -> Batch:
        """Make `count` scenes with varied tone curves; the same seed gives the same scenes."""
        batch = self.batch(count, seed)
        rng = torch.Generator(self.bank.device).manual_seed(seed + 1)
        drawn = torch.rand((count, 1, 1, 1), generator=rng, device=self.bank.device)
        curve = torch.exp(self.training.gamma * (2 * drawn - 1))
        return replace(batch, image=batch.image.clamp(0, 1) ** curve)

    def _views(self, host: torch.Generator, number: int | None = None) -> list[Tensor]:
        side, bank = self.config.crop_px, self.bank
        drawn = draw_integer(host, len(bank.foregrounds))
        index = drawn if number is None else number
        if draw_uniform(host, 0, 1) < self.training.empty:
            return [torch.zeros(4, side, side, device=bank.device)]
        pose = self._portrait_pose(index, host)
        return [bank.sample_foreground(index, pose, side, mirror_cut=self.config.mirror_cut)]

    def _backdrop_views(self, host: torch.Generator, number: int | None) -> list[Tensor]:
        views = super()._backdrop_views(host, number)
        if self.others is None or draw_uniform(host, 0, 1) >= self.training.distractors:
            return views
        index = draw_integer(host, len(self.others.foregrounds))
        height, width = self.others.foregrounds[index].premultiplied.shape[1:]
        pose = self._pose(
            round(draw_uniform(host, 0, width)), round(draw_uniform(host, 0, height)), host
        )
        front = self.others.sample_foreground(index, pose, self.config.crop_px)
        opaque = torch.ones_like(front[:1])
        return [over(front, torch.cat((view, opaque)))[:3] for view in views]

    def _portrait_pose(self, index: int, host: torch.Generator) -> Tensor:
        """Draw an affine (2, 3) from crop to source pixels, with the portrait's cuts on or beyond
        the frame's edge."""
        c, place = self.config, self._places[index]
        zoom = math.exp(draw_uniform(host, *(math.log(z) for z in c.zoom))) * place.side / 512
        angle = math.radians(draw_uniform(host, -c.rotate_degrees, c.rotate_degrees))
        across, along = (c.stretch ** draw_uniform(host, -1, 1) * zoom for _ in "xy")
        cos, sin = math.cos(angle), math.sin(angle)
        reach = c.crop_px * max(across, along) * (cos + abs(sin))
        y = place.middle(host, 0, reach)
        x = place.middle(host, 1, reach)
        mirrored = -1.0 if draw_uniform(host, 0, 1) < c.flip else 1.0
        return torch.tensor(
            ((mirrored * across * cos, -along * sin, x), (mirrored * across * sin, along * cos, y))
        )


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A portrait's place in its own picture, by axis (rows, columns)."""

    size: tuple[int, int]
    """The picture's size."""
    box: tuple[tuple[int, int], tuple[int, int]]
    """First and last row (column) of the portrait."""
    cut: tuple[tuple[bool, bool], tuple[bool, bool]]
    """Whether the portrait is cut at the first and at the last row (column)."""

    @classmethod
    def of(cls, alpha: Tensor) -> _Place:
        """Locate a portrait by its matte (H, W)."""
        solid = (alpha > 0.1).float()
        lines = solid.mean(1), solid.mean(0)
        covered = [line.nonzero().flatten() for line in lines]
        boxes = [(int(at[0]), int(at[-1])) if len(at) else (0, len(alpha) - 1) for at in covered]
        cuts = [(bool(line[0] > _CUT), bool(line[-1] > _CUT)) for line in lines]
        return cls(
            size=(alpha.shape[0], alpha.shape[1]),
            box=(boxes[0], boxes[1]),
            cut=(cuts[0], cuts[1]),
        )

    @property
    def side(self) -> int:
        """The picture's longer side."""
        return max(self.size)

    def middle(self, host: torch.Generator, axis: int, visible: float) -> float:
        """Draw the place of the frame's middle along an axis, with `visible` px in the frame."""
        length, (first, last) = self.size[axis], self.box[axis]
        drawn = (first + last) / 2 + draw_uniform(host, -_PLACE_JITTER, _PLACE_JITTER) * max(
            visible, length
        )
        near, far = visible / 2, length - visible / 2
        match self.cut[axis]:
            case (True, True):
                return min(max(drawn, min(near, length / 2)), max(far, length / 2))
            case (True, False):
                return max(drawn, near)
            case (False, True):
                return min(drawn, far)
        return drawn


def labels_of(alpha: Tensor, band_px: int) -> Tensor:
    """Return classes (N, H, W) int64 of alphas (N, 1, H, W); unknown is dilated by `band_px`."""
    soft = ((alpha > 0.02) & (alpha < 0.98)).float()
    edge = (alpha >= 0.5).float()
    edge = F.max_pool2d(edge, 3, 1, 1) + F.max_pool2d(-edge, 3, 1, 1)  # 1 where 0.5 is crossed
    unknown = F.max_pool2d(torch.maximum(soft, edge), 2 * band_px + 1, 1, band_px) > 0.5
    classes = torch.where(alpha >= 0.5, 0, 1)
    return torch.where(unknown, 2, classes)[:, 0]
