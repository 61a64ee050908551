"""The network with pre- and postprocessing, as one module that TorchScript can compile.

Colour conversion, trimap cleaning, padding, tiles and known pixels are part of `forward`, because
hosts (e.g. Nuke's Inference node) do none of it. Knobs are int attributes that a host sets by name.
Only functions of PyTorch 1.12 are used, the oldest version in a supported host.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from vfxmatte.colour import decode_srgb, encode_for_network
from vfxmatte.exports.stages import (
    NoRefinement,
    Stage1,
    pool_with_indices,
    unpool_by_indices,
)
from vfxmatte.exports.working_space import WorkingSpace, matrix_to_rec709
from vfxmatte.network.dim import STRIDE, DeepImageMatting
from vfxmatte.prior.constants import LEAST_REDUCTION, MOST_PX
from vfxmatte.prior.torchscript_prior import SETTINGS, priors_of_picture
from vfxmatte.trimaps import BACKGROUND_BELOW, FOREGROUND_ABOVE

KNOBS = {
    "colorspace": "0 linear Rec.709, 1 ACEScg, 2 sRGB",
    "refine": "1: both stages of the network, 0: the first alone",
    "tile_px": "side of what is solved at once; smaller needs less memory; 0: all at once",
}
"""Int attributes of the exported model that may be set at any time."""

TILE_PX = 2048


class EncodeForNetwork(nn.Module):
    """`colour.encode_for_network` as a module, so that it can be traced."""

    def forward(self, linear: Tensor) -> Tensor:
        return encode_for_network(linear)


class DecodeSrgb(nn.Module):
    """`colour.decode_srgb` as a module, so that it can be traced."""

    def forward(self, encoded: Tensor) -> Tensor:
        return decode_srgb(encoded)


def traced(module: nn.Module, *example: Tensor) -> nn.Module:
    """Trace a module; shapes stay dynamic.

    Without torch's check, which traces twice more: models are compared with the engine.
    """
    trace: Any = torch.jit.trace
    result: nn.Module = trace(module.eval(), example, check_trace=False)
    return result


def extended(image: Tensor, rows: int, columns: int) -> Tensor:
    """Extend (N, C, H, W) at the bottom and right by repeated reflection."""
    image = image.index_select(2, _reflected(image.size(2), rows, image.device))
    return image.index_select(3, _reflected(image.size(3), columns, image.device))


def _reflected(size: int, length: int, device: torch.device) -> Tensor:
    """Return indices that extend a side to a length by repeated reflection."""
    period = max(2 * size - 2, 1)
    index = torch.arange(length, device=device) % period
    return torch.where(index < size, index, period - index)


class ExportedMatting(nn.Module):
    """A module from RGB and trimap (N, 4, H, W), any float type and size, to alpha (N, 1, H, W).

    Channels 0 to 2 are the picture in the working space `colorspace`; channel 3 is the painted
    trimap, cleaned as `trimaps.labels_from_values` does. NaN and infinity count as black and as
    very bright in the picture, NaN as unknown in the trimap. Colour is converted in float32, the
    network runs in the dtype of its weights. Raises RuntimeError if the input has not 4 channels,
    or if half precision overflows.
    """

    def __init__(
        self,
        network: DeepImageMatting,
        *,
        space: WorkingSpace = WorkingSpace.LINEAR_REC709,
        refine: bool = True,
        tile_px: int = TILE_PX,
    ) -> None:
        super().__init__()
        self._prepare(network.config.priors, space, refine, tile_px)
        self.halo_px = network.config.halo_px()
        self.mean = network.mean.flatten().tolist()
        self.std = network.std.flatten().tolist()
        example = torch.rand(1, 4 + self.priors, 2 * STRIDE, 3 * STRIDE)
        self.stage1 = traced(Stage1(network, pool_with_indices, unpool_by_indices), example)
        second = network.refinement or NoRefinement()
        self.stage2 = traced(second, example, example[:, 3:4])

    def _prepare(self, priors: int, space: WorkingSpace, refine: bool, tile_px: int) -> None:
        """Set the knobs, and what all networks need before their first layer."""
        self.colorspace = int(space)
        self.refine = int(refine)
        self.tile_px = tile_px
        self.stride = STRIDE
        self.background_below = BACKGROUND_BELOW
        self.foreground_above = FOREGROUND_ABOVE
        self.acescg = matrix_to_rec709(WorkingSpace.ACESCG).flatten().tolist()
        self.priors = priors
        self.weights = SETTINGS["weights"]
        self.in_light = SETTINGS["in_light"]
        self.counts = SETTINGS["counts"]
        self.places = SETTINGS["places"]
        self.near_px = SETTINGS["near_px"]
        self.block_px, self.most_blocks = SETTINGS["block_px"], SETTINGS["most_blocks"]
        self.tolerance = SETTINGS["tolerance"]
        self.iterations = SETTINGS["iterations"]
        self.epsilon = SETTINGS["epsilon"]
        self.model_epsilon = SETTINGS["model_epsilon"]
        self.least_reduction, self.most_px = LEAST_REDUCTION, MOST_PX
        example = torch.rand(1, 3, 2 * STRIDE, 3 * STRIDE)
        self.encode = traced(EncodeForNetwork(), example)
        self.decode = traced(DecodeSrgb(), example)
        self.register_buffer("precision", torch.zeros(1))  # has the weights' dtype

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.size(1) != 4:
            raise RuntimeError("the input must be (N, 4, H, W): red, green, blue and trimap")
        trimap = self._cleaned(x[:, 3:].float())
        alpha = (trimap == 1.0).float()
        unknown = trimap == 0.5
        if bool(unknown.any()):
            encoded = self._encoded(x[:, :3].float())
            picture = torch.cat((encoded, trimap, self._alpha_priors(encoded, trimap)), 1)
            self._solve(picture, unknown, alpha)
        return alpha.to(x.dtype).contiguous()

    def _cleaned(self, painted: Tensor) -> Tensor:
        """Reduce a painted trimap to 0, 0.5 or 1; NaN is unknown."""
        cleaned = torch.full_like(painted, 0.5)
        cleaned = torch.where(painted <= self.background_below, torch.zeros_like(painted), cleaned)
        return torch.where(painted >= self.foreground_above, torch.ones_like(painted), cleaned)

    def _encoded(self, rgb: Tensor) -> Tensor:
        """Convert from the working space to the network's encoding."""
        rgb = torch.nan_to_num(rgb, nan=0.0, posinf=65504.0, neginf=0.0)
        if self.colorspace == 1:
            m, (r, g, b) = self.acescg, (rgb[:, 0:1], rgb[:, 1:2], rgb[:, 2:3])
            red = m[0] * r + m[1] * g + m[2] * b
            green = m[3] * r + m[4] * g + m[5] * b
            rgb = torch.cat((red, green, m[6] * r + m[7] * g + m[8] * b), 1)
        elif self.colorspace == 2:
            rgb = self.decode(rgb)
        encoded: Tensor = self.encode(rgb)
        return encoded

    def _alpha_priors(self, encoded: Tensor, trimap: Tensor) -> Tensor:
        """Compute the alpha priors (N, priors, H, W); the network may take 0."""
        height, width = encoded.size(2), encoded.size(3)
        priors = trimap.repeat(1, self.priors, 1, 1)
        if self.priors > 0:
            needed = math.ceil(math.sqrt(height * width / self.most_px))
            for number in range(encoded.size(0)):
                priors[number] = priors_of_picture(
                    encoded[number],
                    trimap[number, 0],
                    max(self.least_reduction, needed),
                    self.weights,
                    self.in_light,
                    self.counts,
                    self.places,
                    self.near_px,
                    self.block_px,
                    self.most_blocks,
                    self.tolerance,
                    self.iterations,
                    self.epsilon,
                    self.model_epsilon,
                )
        return priors

    def _padded(self, image: Tensor) -> Tensor:
        """Extend at the bottom and right by reflection to multiples of the stride."""
        rows = (image.size(2) + self.stride - 1) // self.stride * self.stride
        columns = (image.size(3) + self.stride - 1) // self.stride * self.stride
        return extended(image, rows, columns)

    def _solve(self, image: Tensor, unknown: Tensor, alpha: Tensor) -> None:
        """Solve the unknown pixels of alpha in place, tile by tile."""
        image = self._padded(image)
        mask = unknown.any(1).any(0)
        top, bottom = self._extent(mask.any(1))
        left, right = self._extent(mask.any(0))
        rows = self.tile_px if self.tile_px > 0 else bottom - top
        columns = self.tile_px if self.tile_px > 0 else right - left
        for row in range(top, bottom, rows):
            for column in range(left, right, columns):
                low, end = min(row + rows, bottom), min(column + columns, right)
                needed = unknown[:, :, row:low, column:end]
                if bool(needed.any()):
                    solved = self._solved(image, row, low, column, end)
                    core = alpha[:, :, row:low, column:end]
                    core.copy_(torch.where(needed, solved, core))

    def _extent(self, line: Tensor) -> tuple[int, int]:
        """Return the indices of the first and one past the last true element."""
        indices = torch.nonzero(line)
        return int(indices[0].item()), int(indices[-1].item()) + 1

    def _solved(self, image: Tensor, top: int, bottom: int, left: int, right: int) -> Tensor:
        """Solve this core in a window that holds the network's receptive field; clamped alpha."""
        first, last = self._reach(top, bottom, image.size(2))
        start, end = self._reach(left, right, image.size(3))
        window = self._network(image[:, :, first:last, start:end])
        return window[:, :, top - first : bottom - first, left - start : right - start]

    def _reach(self, start: int, stop: int, size: int) -> tuple[int, int]:
        """Extend a span by its halo, to multiples of the stride, within the picture."""
        low = max(0, (start - self.halo_px) // self.stride * self.stride)
        high = (stop + self.halo_px + self.stride - 1) // self.stride * self.stride
        return low, min(size, high)

    def _network(self, window: Tensor) -> Tensor:
        mean = torch.tensor(self.mean, device=window.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=window.device).view(1, -1, 1, 1)
        normalised = ((window - mean) / std).to(self.precision.dtype)  # type: ignore[arg-type]
        normalised = normalised.contiguous(memory_format=torch.channels_last)  # much faster
        alpha = self.stage1(normalised)
        if self.refine == 1:
            alpha = self.stage2(normalised, alpha)
        if not bool(torch.isfinite(alpha).all()):
            raise RuntimeError("half precision is too small for this network: use full precision")
        clamped: Tensor = alpha.float().clamp(0.0, 1.0)
        return clamped
