"""The two-stage network at listed pixels only: the dense result at a fraction of the cost.

A layer's activations are rows of a matrix, one per listed pixel (see `reach`), and a last row of
zeros for everything outside the picture. A convolution gathers each pixel's neighbours side by
side and is one matrix product; pooling and unpooling look up a pixel's four children and its
parent. Works on any device, in chunks that fit its cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vfxmatte.network.dim import ConvReLU, DeepImageMatting, mixed
from vfxmatte.network.reach import BORDER, PixelLevel, PixelPyramid, Reach

_CPU_CHUNK_BYTES = 12 << 20  # gathered neighbours of a chunk: they stay in the cache
_GPU_CHUNK_BYTES = 256 << 20
_WIDE = 32  # rows of a product are seen as pictures so wide: oneDNN's path for 1×1 …
_FEWEST = 16 * _WIDE  # … which torch takes, on one thread, from sixteen pictures on


@dataclass(frozen=True, eq=False)
class DeviceLevel:
    """A `PixelLevel` whose lists and table lie on a device."""

    pixels: PixelLevel
    y: Tensor
    x: Tensor
    table: Tensor

    def rows(self, y: Tensor, x: Tensor) -> Tensor:
        """Look up the list's rows of the pixels at these places, also outside the picture."""
        return self.table[((y + BORDER) * self.pixels.pitch + (x + BORDER)).reshape(-1)]

    def neighbours(self, start: int, stop: int, kernel: int) -> Tensor:
        """Look up each pixel's neighbours in raster order: ((stop − start) · kernel²,) rows."""
        pitch, half = self.pixels.pitch, kernel // 2
        steps = torch.arange(-half, half + 1, device=self.y.device, dtype=torch.int32)
        offsets = (steps[:, None] * pitch + steps[None, :]).reshape(-1)
        place = (self.y[start:stop] + BORDER) * pitch + (self.x[start:stop] + BORDER)
        return self.table.index_select(0, (place[:, None] + offsets[None, :]).reshape(-1))


def device_levels(pyramid: PixelPyramid, tensors: Sequence[Tensor]) -> list[DeviceLevel]:
    """Make the pyramid's levels of their `arrays` on the device, level after level."""
    triples = zip(*[iter(tensors)] * 3, strict=True)
    return [
        DeviceLevel(level, *three) for level, three in zip(pyramid.levels, triples, strict=True)
    ]


class _Workspace:
    """Memory that layers and frames share: fresh memory is slow to touch, and use stays bounded."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def clear(self) -> None:
        self._buffers.clear()

    def take(self, name: str, rows: int, columns: int, like: Tensor) -> Tensor:
        """Return (rows + 1, columns) like `like`, uninitialised but for a last row of zeros.

        Overwrites what was taken under this name before."""
        size = (rows + 1) * columns
        buffer = self._buffers.get(name)
        if buffer is None or len(buffer) < size:
            self._buffers.pop(name, None)
            buffer = self._buffers[name] = like.new_empty(size)
        taken = buffer[:size].view(rows + 1, columns)
        taken[rows] = 0
        return taken


class _Layer:
    """A convolution as a matrix product over gathered neighbours, with or without ReLU."""

    def __init__(self, layer: nn.Module) -> None:
        """Convert a `ConvReLU`, or a bare `nn.Conv2d`, after which there is no ReLU."""
        conv = layer.conv if isinstance(layer, ConvReLU) else layer
        if not isinstance(conv, nn.Conv2d):
            raise TypeError(f"neither a ConvReLU nor a convolution: {layer}")
        weight = conv.weight.detach()
        self.kernel, self.relu = weight.shape[-1], isinstance(layer, ConvReLU)
        matrix = weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1)
        self.weight = matrix[:, :, None, None].contiguous(memory_format=torch.channels_last)
        bias = conv.bias
        self.bias = weight.new_zeros(len(weight)) if bias is None else bias.detach()
        self.fan_in, self.fan_out = weight.shape[1], weight.shape[0]

    def __call__(self, level: DeviceLevel, source: Tensor, out: Tensor) -> Tensor:
        """Compute the layer at the level's first n pixels.

        Args:
            source: (m + 1, fan_in), activations of the level's first m pixels and a row of zeros.
            out: (n + 1, fan_out), a row of zeros last; returned.
        """
        count, last = len(out) - 1, len(source) - 1
        taps = self.kernel**2
        for start, stop in _chunks(count, taps * self.fan_in, source):
            if taps == 1:
                gathered = source[start:stop]
            else:
                rows = level.neighbours(start, stop, self.kernel).clamp_(max=last)
                gathered = source.index_select(0, rows).view(stop - start, -1)
            result = self._product(gathered)
            if self.relu:
                torch.clamp_min(result, 0, out=out[start:stop])
            else:
                out[start:stop] = result
        return out

    def _product(self, gathered: Tensor) -> Tensor:
        """Multiply (n, taps · fan_in) by the weights: (n, fan_out)."""
        if gathered.device.type == "cuda":
            return torch.addmm(self.bias, gathered, self.weight.flatten(1).t())
        count = len(gathered)
        missing = max(_FEWEST, -(-count // _WIDE) * _WIDE) - count
        if missing:  # one way for any number of rows and threads: the same bits everywhere
            gathered = F.pad(gathered, (0, 0, 0, missing))
        pictures = gathered.view(-1, 1, _WIDE, gathered.shape[1]).permute(0, 3, 1, 2)
        result = F.conv2d(pictures, self.weight, self.bias)
        return result.permute(0, 2, 3, 1).reshape(-1, self.fan_out)[:count]


class SparseNetwork:
    """A network's layers, ready to be evaluated at listed pixels. Folded networks only."""

    def __init__(self, network: DeepImageMatting) -> None:
        if network.config.batch_norm:
            raise ValueError("fold the batch-norms first")
        self.config = network.config
        self.mean, self.std = network.mean.view(1, -1), network.std.view(1, -1)
        levels, decoder, refinement = network.encoder.levels(), network.decoder, network.refinement
        *self.blocks, self.lowest = [[_Layer(layer) for layer in level] for level in levels]
        self.entry = _Layer(decoder.entry)
        self.steps = [_Layer(step) for step in decoder.steps]
        self.alpha = _Layer(decoder.alpha)
        self.refinement: list[_Layer] = []
        if refinement is not None:
            layers = (*refinement.layers, refinement.residual)
            self.refinement = [_Layer(layer) for layer in layers]
        self._room = _Workspace()
        self._turn = 0

    def free_memory(self) -> None:
        """Release the memory that calls share."""
        self._room.clear()

    def __call__(self, picture: Tensor, levels: list[DeviceLevel], reach: Reach) -> Tensor:
        """Compute the clamped alpha of the unknown pixels, (n,), in raster order.

        picture: (m, 4 + priors) network-encoded RGB, the trimap as 0, 0.5, 1 and the alpha priors
        that the network takes, of the pixels that the full level lists, in its order.
        levels: of a pyramid made for `reach`.
        """
        with torch.inference_mode():
            top = self._room.take("picture", len(picture), picture.shape[1], picture)
            torch.div(picture - self.mean, self.std, out=top[:-1])
            lowest, kept = self._encode(top, levels, reach)
            decoded = self._decode(lowest, kept, levels, reach)
            return self._finish(decoded, top, levels[0], reach).clamp(0, 1)

    def _run(self, layer: _Layer, level: DeviceLevel, x: Tensor, distance: int) -> Tensor:
        """Compute a layer at the pixels within a distance; overwrites the last but one result."""
        return layer(level, x, self._next(level.pixels.within(distance), layer.fan_out, x))

    def _next(self, rows: int, columns: int, like: Tensor) -> Tensor:
        self._turn = 1 - self._turn
        return self._room.take(f"result {self._turn}", rows, columns, like)

    def _encode(
        self, x: Tensor, levels: list[DeviceLevel], reach: Reach
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Run the encoder and the decoder's entry.

        Returns:
            The entry's result, and for each block its activations and which child of each pixel
            below was the greatest.
        """
        kept = []
        for index, block in enumerate(self.blocks):
            level, below = levels[index], levels[index + 1]
            own, lower = reach.levels[index], reach.levels[index + 1]
            for layer, distance in zip(block, own.encoder, strict=True):
                x = self._run(layer, level, x, distance)
            count = level.pixels.within(own.decoder_in)
            skipped = self._room.take(f"skipped {index}", count, x.shape[1], x)
            skipped[:-1] = x[:count]
            pooled = self._next(below.pixels.within(lower.encoder_in), x.shape[1], x)
            code = _pool(x, level, below, pooled, below.pixels.within(lower.decoder))
            kept.append((skipped, code))
            x = pooled
        lowest, own = levels[-1], reach.levels[-1]
        for layer, distance in zip(self.lowest, own.encoder, strict=True):
            x = self._run(layer, lowest, x, distance)
        return self._run(self.entry, lowest, x, own.decoder), kept

    def _decode(
        self, x: Tensor, kept: list[tuple[Tensor, Tensor]], levels: list[DeviceLevel], reach: Reach
    ) -> Tensor:
        """Run the decoder's steps; return the last one's activations at full size."""
        for layer, index in zip(self.steps, reversed(range(len(self.blocks))), strict=True):
            skipped, code = kept[index]
            level, below = levels[index], levels[index + 1]
            _unpool(x, code, skipped, level, below, add=self.config.skips)
            x = self._run(layer, level, skipped, reach.levels[index].decoder)
        return x

    def _finish(self, x: Tensor, top: Tensor, level: DeviceLevel, reach: Reach) -> Tensor:
        """Compute alpha of stage 1, plus the refinement's residual."""
        stage1 = self._run(self.alpha, level, x, reach.refinement[0])[:-1]
        if self.config.prior:
            stage1 = mixed(stage1, top[: len(stage1)])
        if not self.refinement:
            return stage1[:, 0]
        stage1 = stage1.clamp(0, 1)
        x = self._room.take("refined", len(stage1), top.shape[1], top)
        x[:-1] = top[: len(stage1)]
        x[:-1, 3:4] = 2 * stage1 - 1
        for layer, distance in zip(self.refinement, reach.refinement[1:], strict=True):
            x = self._run(layer, level, x, distance)
        return stage1[: len(x) - 1, 0] + x[:-1, 0]


def _pool(x: Tensor, level: DeviceLevel, below: DeviceLevel, out: Tensor, coded: int) -> Tensor:
    """Write the greatest of each pixel's four children into `out`, (n + 1, C).

    Returns:
        Which child it was for the first `coded` pixels, (coded, C) uint8; of equals the first in
        raster order.
    """
    code = torch.empty(coded, x.shape[1], dtype=torch.uint8, device=x.device)
    last = len(x) - 1
    for start, stop in _chunks(len(out) - 1, 4 * x.shape[1], x):
        y, x0 = 2 * below.y[start:stop], 2 * below.x[start:stop]
        places = [level.rows(y + dy, x0 + dx) for dy in (0, 1) for dx in (0, 1)]
        rows = torch.cat(places).clamp_(max=last)
        a, b, c, d = x.index_select(0, rows).view(4, stop - start, -1)
        upper, lower = torch.maximum(a, b), torch.maximum(c, d)
        torch.maximum(upper, lower, out=out[start:stop])
        if start < coded:
            end = min(stop, coded) - start
            which = torch.where(lower > upper, 2 + (d > c).to(torch.uint8), (b > a).to(torch.uint8))
            code[start : start + end] = which[:end]
    return code


def _unpool(
    x: Tensor, code: Tensor, into: Tensor, level: DeviceLevel, below: DeviceLevel, *, add: bool
) -> None:
    """Write each value of the level below to the child it came from, zeros elsewhere.

    x: (m + 1, C). into: (n + 1, C) of this level, added to or overwritten.
    """
    for start, stop in _chunks(len(into) - 1, 4 * x.shape[1], x):
        y, x0 = level.y[start:stop], level.x[start:stop]
        rows = below.rows(y >> 1, x0 >> 1)
        child = (((y & 1) << 1) | (x0 & 1)).to(torch.uint8)
        value = x.index_select(0, rows) * (code.index_select(0, rows) == child[:, None])
        if add:
            into[start:stop] += value
        else:
            into[start:stop] = value


def _chunks(count: int, width: int, like: Tensor) -> Iterator[tuple[int, int]]:
    """Yield (start, stop) of chunks whose gathered rows, `width` values each, fit the cache."""
    budget = _GPU_CHUNK_BYTES if like.device.type == "cuda" else _CPU_CHUNK_BYTES
    rows = max(2 * _FEWEST, budget // (width * like.element_size()) // _WIDE * _WIDE)
    for start in range(0, count, rows):
        yield start, min(count, start + rows)
