"""Portraits before backgrounds: where a head and shoulders stand in a frame, and what is behind.

A portrait that runs out of its own picture is placed so that the frame cuts it there too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from training.portraits.config import PortraitTraining
from training.samples.bank import PictureBank
from training.samples.compose import Batch, Compositor, over

_CUT = 0.02  # share of a side's length that counts as cut


class PortraitCompositor(Compositor):
    """Batches of portraits, some scenes without one, some with another element behind."""

    def __init__(
        self, bank: PictureBank, config: PortraitTraining, others: PictureBank | None = None
    ) -> None:
        super().__init__(bank, config.synthesis)
        self.training, self.others = config, others
        self._places = [_Place.of(f.premultiplied[3]) for f in bank.foregrounds]

    def samples(self, count: int, seed: int) -> Batch:
        """`count` scenes with their tone curves varied; the same for the same seed."""
        batch = self.batch(count, seed)
        rng = torch.Generator(self.bank.device).manual_seed(seed + 1)
        drawn = torch.rand((count, 1, 1, 1), generator=rng, device=self.bank.device)
        curve = torch.exp(self.training.gamma * (2 * drawn - 1))
        return Batch(
            image=batch.image.clamp(0, 1) ** curve, trimap=batch.trimap, alpha=batch.alpha,
            foreground=batch.foreground, background=batch.background,
        )  # fmt: skip

    def _views(self, host: torch.Generator, number: int | None = None) -> list[Tensor]:
        side, bank = self.config.crop_px, self.bank
        drawn = int(torch.randint(len(bank.foregrounds), (), generator=host))
        index = drawn if number is None else number
        if _between(host, 0, 1) < self.training.empty:
            return [torch.zeros(4, side, side, device=bank.device)]
        pose = self._portrait_pose(index, host)
        return [bank.sample_foreground(index, pose, side, mirror_cut=self.config.mirror_cut)]

    def _backdrop_views(self, host: torch.Generator, number: int | None) -> list[Tensor]:
        views = super()._backdrop_views(host, number)
        if self.others is None or _between(host, 0, 1) >= self.training.distractors:
            return views
        index = int(torch.randint(len(self.others.foregrounds), (), generator=host))
        height, width = self.others.foregrounds[index].premultiplied.shape[1:]
        pose = self._pose(round(_between(host, 0, width)), round(_between(host, 0, height)), host)
        front = self.others.sample_foreground(index, pose, self.config.crop_px)
        opaque = torch.ones_like(front[:1])
        return [over(front, torch.cat((view, opaque)))[:3] for view in views]

    def _portrait_pose(self, index: int, host: torch.Generator) -> Tensor:
        """From crop to source pixels: the portrait in the frame, its cuts on or beyond the frame's
        edge."""
        c, place = self.config, self._places[index]
        zoom = math.exp(_between(host, *(math.log(z) for z in c.zoom))) * place.side / 512
        angle = math.radians(_between(host, -c.rotate_degrees, c.rotate_degrees))
        across, along = (c.stretch ** _between(host, -1, 1) * zoom for _ in "xy")
        cos, sin = math.cos(angle), math.sin(angle)
        reach = c.crop_px * max(across, along) * (cos + abs(sin))
        y = place.middle(host, 0, reach)
        x = place.middle(host, 1, reach)
        mirrored = -1.0 if _between(host, 0, 1) < c.flip else 1.0
        return torch.tensor(
            ((mirrored * across * cos, -along * sin, x), (mirrored * across * sin, along * cos, y))
        )


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a portrait stands in its own picture, by axis (rows, columns).

    size: of the picture. box: first and last row (column) of the portrait. cut: whether it runs out
    at the first and at the last.
    """

    size: tuple[int, int]
    box: tuple[tuple[int, int], tuple[int, int]]
    cut: tuple[tuple[bool, bool], tuple[bool, bool]]

    @classmethod
    def of(cls, alpha: Tensor) -> _Place:
        """From a matte (H, W)."""
        solid = (alpha > 0.1).float()
        lines = solid.mean(1), solid.mean(0)
        found = [line.nonzero().flatten() for line in lines]
        boxes = [(int(at[0]), int(at[-1])) if len(at) else (0, len(alpha) - 1) for at in found]
        cuts = [(bool(line[0] > _CUT), bool(line[-1] > _CUT)) for line in lines]
        return cls(
            size=(alpha.shape[0], alpha.shape[1]),
            box=(boxes[0], boxes[1]),
            cut=(cuts[0], cuts[1]),
        )

    @property
    def side(self) -> int:
        return max(self.size)

    def middle(self, host: torch.Generator, axis: int, seen: float) -> float:
        """Where the frame's middle lies, of which `seen` px are seen along the axis."""
        length, (first, last) = self.size[axis], self.box[axis]
        drawn = (first + last) / 2 + _between(host, -0.15, 0.15) * max(seen, length)
        near, far = seen / 2, length - seen / 2
        match self.cut[axis]:
            case (True, True):
                return min(max(drawn, min(near, length / 2)), max(far, length / 2))
            case (True, False):
                return max(drawn, near)
            case (False, True):
                return min(drawn, far)
        return drawn


def labels_of(alpha: Tensor, band_px: int) -> Tensor:
    """Classes (N, H, W) int64 of true alphas (N, 1, H, W); unknown reaches `band_px` further."""
    soft = ((alpha > 0.02) & (alpha < 0.98)).float()
    edge = (alpha >= 0.5).float()
    edge = F.max_pool2d(edge, 3, 1, 1) + F.max_pool2d(-edge, 3, 1, 1)  # where it is crossed
    unknown = F.max_pool2d(torch.maximum(soft, edge), 2 * band_px + 1, 1, band_px) > 0.5
    classes = torch.where(alpha >= 0.5, 0, 1)
    return torch.where(unknown, 2, classes)[:, 0]


def _between(host: torch.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=host))
