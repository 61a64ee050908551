"""A light network with pre- and postprocessing, as one module that TorchScript can compile.

The steps are those of `engines.light_frame`: stage 1 sees the reduced box around the unknown
region at two sizes, its maps are enlarged and mixed with the priors of full size, stage 2 corrects
the finer alpha in tiles, both are weighed by their expected errors, and what is still unsure is
corrected along colour lines.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vfxmatte.engines.colour_lines import EPSILON, STEPS, TRUST, UNSURE
from vfxmatte.engines.light_frame import COARSER, CONTEXT_PX, HALO_PX, MOST_PX, REFINED_ABOVE
from vfxmatte.engines.torchscript_lines import corrected
from vfxmatte.exports.working_space import WorkingSpace
from vfxmatte.exports.wrapper import TILE_PX, ExportedMatting, extended, traced
from vfxmatte.network.light import (
    CHANNELS,
    NEAR,
    PRIORS,
    STRIDE,
    LightMatting,
    Maps,
    coarse_share,
    refinement_input,
)
from vfxmatte.network.nearness import FARTHEST_PX, SCALES_PX
from vfxmatte.network.torchscript_nearness import nearness_of_trimap


class LightStage1(nn.Module):
    """Stage 1 from (N, CHANNELS, 32·a, 32·b) to its maps, stacked: added, shares, log error, the
    nearness to what is certain (the input's), features."""

    mean: Tensor
    scale: Tensor

    def __init__(self, network: LightMatting) -> None:
        super().__init__()
        self.encoder, self.decoder = network.encoder, network.decoder
        self.register_buffer("mean", network.mean)
        self.register_buffer("scale", network.scale)

    def forward(self, x: Tensor) -> Tensor:
        seen = (x - self.mean) * self.scale
        maps: Maps = self.decoder(seen, *self.encoder(seen))
        near = x[:, list(NEAR)].amax(1, keepdim=True)
        return torch.cat((maps.added, maps.shares, maps.log_error, near, maps.features), 1)


class LightStage2(nn.Module):
    """The correction of alpha, for picture and priors (N, 4 + PRIORS, h, w), alpha (N, 1, h, w) and
    the stacked maps of that size; 0 where the network has no second stage."""

    def __init__(self, network: LightMatting) -> None:
        super().__init__()
        self.refinement = network.refinement

    def forward(self, picture: Tensor, alpha: Tensor, stacked: Tensor) -> Tensor:
        if self.refinement is None:
            return torch.zeros_like(alpha)
        last = 1 + PRIORS
        maps = Maps(
            added=stacked[:, :1],
            shares=stacked[:, 1:last],
            log_error=stacked[:, last : last + 1],
            features=stacked[:, last + 2 :],
        )
        residual: Tensor = self.refinement(refinement_input(picture, alpha, maps))
        return residual


class ExportedLight(ExportedMatting):
    """An `ExportedMatting` of a light network; `tile_px` is the side of stage 2's tiles."""

    def __init__(
        self,
        network: LightMatting,
        *,
        space: WorkingSpace = WorkingSpace.LINEAR_REC709,
        refine: bool = True,
        tile_px: int = TILE_PX,
    ) -> None:
        nn.Module.__init__(self)
        self._prepare(PRIORS, space, refine, tile_px)
        self.stage1_px, self.context_px, self.halo_px = MOST_PX, CONTEXT_PX, HALO_PX
        self.coarser = COARSER
        self.refined_above = math.log(REFINED_ABOVE)
        self.unsure, self.trust = UNSURE, TRUST
        self.line_steps, self.line_epsilon = STEPS, EPSILON
        self.has_stage2 = network.refinement is not None
        self.scales, self.farthest = list(SCALES_PX), FARTHEST_PX
        example = torch.rand(1, CHANNELS, 2 * STRIDE, 3 * STRIDE)
        self.stage1 = traced(LightStage1(network), example)
        maps = torch.rand(1, 3 + PRIORS + network.config.features, 2 * STRIDE, 3 * STRIDE)
        if network.refinement is None:
            maps = maps[:, : 3 + PRIORS]
        self.stage2 = traced(LightStage2(network), example[:, : 4 + PRIORS], example[:, :1], maps)

    def _solve(self, image: Tensor, unknown: Tensor, alpha: Tensor) -> None:
        """Solve the unknown pixels of alpha in place, picture by picture."""
        for number in range(image.size(0)):
            mask = unknown[number, 0]
            if bool(mask.any()):
                self._solve_one(image[number : number + 1], mask, alpha[number, 0])

    def _solve_one(self, image: Tensor, unknown: Tensor, alpha: Tensor) -> None:
        pixels = float(unknown.size(0) * unknown.size(1))
        factor = max(1, math.ceil(math.sqrt(pixels / self.stage1_px)))
        refine = self.refine == 1 and self.has_stage2
        fine, error, near = self._seen(image, unknown, factor, refine)
        coarse, coarse_error, _ = self._seen(image, unknown, self.coarser * factor, False)
        share = coarse_share(error, coarse_error, near)
        solved = (fine + share * (coarse - fine)).clamp(0.0, 1.0)
        if not bool(torch.isfinite(solved).all()):
            raise RuntimeError("half precision is too small for this network: use full precision")
        alpha.copy_(torch.where(unknown, solved, alpha))
        if self.refine == 1:
            error = torch.where(unknown, error + share * (coarse_error - error), 0.0 * error)
            alpha.copy_(self._corrected(image[:, :3], alpha, error, factor))

    def _corrected(self, image: Tensor, alpha: Tensor, error: Tensor, factor: int) -> Tensor:
        """Correct alpha along colour lines as stage 1 sees them, of a picture (1, 3, H, W)."""
        height, width = alpha.size(0), alpha.size(1)
        rows, columns = (height + factor - 1) // factor, (width + factor - 1) // factor
        planes = torch.cat((image, alpha[None, None], error[None, None]), 1)
        planes = extended(planes, rows * factor, columns * factor)
        small = torch._C._nn.avg_pool2d(planes, factor)[0]
        alone = corrected(
            small[:3],
            small[3],
            small[4],
            self.unsure,
            self.trust,
            self.line_steps,
            self.line_epsilon,
        )
        difference = alone - small[3]
        size = [rows * factor, columns * factor]
        large = torch._C._nn.upsample_bilinear2d(difference[None, None], size, False, None, None)  # type: ignore[call-arg]
        moved = (alpha + large[0, 0, :height, :width]).clamp(0.0, 1.0)
        return torch.where(error > self.unsure, moved, alpha)

    def _seen(
        self, image: Tensor, unknown: Tensor, factor: int, refine: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Unclamped alpha, its expected error and nearness to what is certain, of the picture's
        size, as stage 1 sees them when reduced by a factor."""
        top, rows = self._side(unknown.any(1), factor)
        left, columns = self._side(unknown.any(0), factor)
        box = image[:, :, top : top + rows * factor, left : left + columns * factor]
        maps = self._maps(box, rows, columns, factor)
        mixture = (maps[:, 1:4].softmax(1) * box[:, 4:]).sum(1, keepdim=True)
        mixed = maps[:, :1] + mixture
        within = unknown[top : top + rows * factor, left : left + columns * factor]
        solved = mixed.clone()
        if refine:
            needed = within & (maps[0, 4] > self.refined_above)
            self._refine(box, mixed, maps, needed, solved[0, 0])
        whole = torch.zeros_like(image[0, :3])
        part = torch.stack((solved[0, 0], maps[0, 4].exp(), maps[0, 5]))
        whole[:, top : top + rows * factor, left : left + columns * factor].copy_(part)
        return whole[0], whole[1], whole[2]

    def _side(self, line: Tensor, factor: int) -> tuple[int, int]:
        """Return the box's first pixel along a side, and its length in reduced pixels."""
        first, end = self._extent(line)
        grid, margin = self.stride * factor, self.context_px * factor
        start = max(0, first - margin) // grid * grid
        end = (min(end + margin, line.size(0)) + grid - 1) // grid * grid
        return start, (end - start) // factor

    def _maps(self, box: Tensor, rows: int, columns: int, factor: int) -> Tensor:
        """Run stage 1 on the reduced box, extended to (rows, columns); maps of the box's size."""
        height, width = box.size(2), box.size(3)
        small = extended(
            box, (height + factor - 1) // factor * factor, (width + factor - 1) // factor * factor
        )
        highest = torch.max_pool2d(small[:, 3:4], factor)
        lowest = -torch.max_pool2d(-small[:, 3:4], factor)
        small = torch._C._nn.avg_pool2d(small, factor)
        trimap = torch.full_like(highest, 0.5)
        trimap = torch.where(highest == 0.0, highest, trimap)
        trimap = torch.where(lowest == 1.0, lowest, trimap)
        small = torch.cat((small[:, :3], trimap, small[:, 4:]), 1)
        small = extended(small, rows, columns)
        near = nearness_of_trimap(small[0, 3], self.scales, self.farthest)
        x = torch.cat((small, near[None]), 1).to(self.precision.dtype)  # type: ignore[arg-type]
        maps = self.stage1(x.contiguous(memory_format=torch.channels_last)).float()
        if factor > 1:
            size = [rows * factor, columns * factor]
            maps = torch._C._nn.upsample_bilinear2d(maps, size, False, None, None)  # type: ignore[call-arg]
        cut: Tensor = maps[:, :, :height, :width]
        return cut

    def _refine(
        self, box: Tensor, mixed: Tensor, maps: Tensor, needed: Tensor, solved: Tensor
    ) -> None:
        """Correct the needed pixels in place, tile by tile."""
        height, width = needed.size(0), needed.size(1)
        side = self.tile_px if self.tile_px > 0 else max(height, width)
        for row in range(0, height, side):
            for column in range(0, width, side):
                chosen = needed[row : row + side, column : column + side]
                if bool(chosen.any()):
                    top, left = max(0, row - self.halo_px), max(0, column - self.halo_px)
                    bottom, right = row + side + self.halo_px, column + side + self.halo_px
                    seen = mixed[:, :, top:bottom, left:right]
                    refined = (
                        seen
                        + self.stage2(
                            box[:, :, top:bottom, left:right].to(self.precision.dtype),  # type: ignore[arg-type]
                            seen.to(self.precision.dtype),  # type: ignore[arg-type]
                            maps[:, :, top:bottom, left:right].to(self.precision.dtype),  # type: ignore[arg-type]
                        )
                    )
                    refined = refined[0, 0, row - top :, column - left :]
                    refined = refined[: chosen.size(0), : chosen.size(1)]
                    core = solved[row : row + side, column : column + side]
                    core.copy_(torch.where(chosen, refined, core))
