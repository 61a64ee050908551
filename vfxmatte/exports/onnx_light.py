"""The steps of a light network's frame with loops or with sizes that data decide, as ONNX.

They are those of `exports.light_wrapper`; the pictures of a batch share one box.
"""

# mypy: ignore-errors
# ruff: noqa: F821, UP037
# What is decorated with `script` is ONNX in Python's syntax, not Python.

from __future__ import annotations

from onnxscript import FLOAT, INT64, script
from onnxscript import opset18 as op

from vfxmatte.engines.light_frame import COARSER, CONTEXT_PX, MOST_PX
from vfxmatte.exports.onnx_prior import blocks, reduced_trimap
from vfxmatte.network.light import STRIDE
from vfxmatte.network.nearness import FARTHEST_PX, SCALES_PX

_STRIDE, _CONTEXT, _MOST, _COARSER = STRIDE, CONTEXT_PX, float(MOST_PX), COARSER
_FARTHEST, _FAR = FARTHEST_PX, float(FARTHEST_PX)
_SQUARE = _FAR * _FAR
_DOUBLINGS = FARTHEST_PX.bit_length()
_DIVISORS = [-2.0 * scale * scale for scale in SCALES_PX]


@script(default_opset=op)
def side(line, factor):
    """The box's first pixel along a side, and one past its last, for flags (n,)."""
    size, grid = op.Shape(line), factor * _STRIDE
    margin = factor * _CONTEXT
    first, last = op.ArgMax(line), op.ArgMax(line, select_last_index=1)
    start = op.Max(first - margin, op.Constant(value_ints=[0])) / grid * grid
    end = (op.Min(last + margin + 1, size) + grid - 1) / grid * grid
    return start, end


@script(default_opset=op)
def reflected(x, rows, columns):
    """Extend (N, C, h, w) at the bottom and right by repeated reflection."""
    one = op.Constant(value_ints=[1])
    period = op.Max(op.Shape(x, start=2, end=3) * 2 - 2, one)
    index = op.Mod(op.Range(0, op.Squeeze(rows), 1), period)
    x = op.Gather(x, op.Min(index, period - index), axis=2)
    wide = op.Max(op.Shape(x, start=3, end=4) * 2 - 2, one)
    across = op.Mod(op.Range(0, op.Squeeze(columns), 1), wide)
    return op.Gather(x, op.Min(across, wide - across), axis=3)


@script(default_opset=op)
def nearness(trimap):
    """Nearness to foreground, then to background (N, 6, h, w), for trimaps (N, 1, h, w)."""
    inside = op.Concat(trimap == 1.0, trimap == 0.0, axis=1)
    along = op.Where(inside, op.Constant(value_float=0.0), op.Constant(value_float=_FAR))
    width, height = op.Shape(trimap, start=3, end=4), op.Shape(trimap, start=2, end=3)
    none, three = op.Constant(value_ints=[0]), op.Constant(value_ints=[3])
    for i in range(_DOUBLINGS):
        step = op.Reshape(op.Cast(op.Pow(2.0, op.Cast(i, to=1)), to=7), op.Constant(value_ints=[1]))
        both = op.Concat(step, step, axis=0)
        wider = op.Pad(along, both, op.Constant(value_float=_FAR), three)
        moved = op.Min(
            op.Slice(wider, none, width, three),
            op.Slice(wider, step + step, step + step + width, three),
        )
        along = op.Min(along, moved + op.Cast(step, to=1))
    squared = along * along
    border = op.Constant(value_ints=[_FARTHEST, _FARTHEST])
    taller = op.Pad(squared, border, op.Constant(value_float=_SQUARE), op.Constant(value_ints=[2]))
    nearest = op.Identity(squared)
    reach = op.Squeeze(op.Min(height, op.Constant(value_ints=[_FARTHEST])))
    for i in range(reach):
        down = op.Reshape(i, op.Constant(value_ints=[1]))
        two = op.Constant(value_ints=[2])
        above = op.Slice(taller, _FARTHEST - down, _FARTHEST - down + height, two)
        below = op.Slice(taller, _FARTHEST + down, _FARTHEST + down + height, two)
        nearest = op.Min(nearest, op.Min(above, below) + op.Cast(down * down, to=1))
    planes = op.Unsqueeze(nearest, op.Constant(value_ints=[2]))
    divisors = op.Reshape(
        op.Constant(value_floats=_DIVISORS), op.Constant(value_ints=[1, 1, 3, 1, 1])
    )
    bells = op.Where(planes < _SQUARE, op.Exp(planes / divisors), 0.0)
    shape = op.Concat(
        op.Shape(trimap, start=0, end=1), op.Constant(value_ints=[6]), height, width, axis=0
    )
    return op.Reshape(bells, shape)


@script(default_opset=op)
def Reductions(picture: FLOAT["N", 7, "H", "W"]):
    """How much smaller stage 1 sees the picture, [1], and how much the second time."""
    height, width = op.Shape(picture, start=2, end=3), op.Shape(picture, start=3, end=4)
    pixels = op.Cast(height * width, to=1)
    needed = op.Cast(op.Ceil(op.Sqrt(pixels / _MOST)), to=7)
    factor = op.Max(needed, op.Constant(value_ints=[1]))
    return factor, factor * _COARSER


@script(default_opset=op)
def Seen(picture: FLOAT["N", 7, "H", "W"], factor: INT64[1]):
    """Stage 1's input (N, 13, a, b), and the box: top, left [1]."""
    trimap = op.Slice(picture, [3], [4], [1])
    unknown = op.Cast(trimap == 0.5, to=1)
    top, bottom = side(op.ReduceMax(unknown, op.Constant(value_ints=[0, 1, 3]), keepdims=0), factor)
    left, right = side(op.ReduceMax(unknown, op.Constant(value_ints=[0, 1, 2]), keepdims=0), factor)
    box = op.Slice(picture, op.Concat(top, left, axis=0), op.Concat(bottom, right, axis=0), [2, 3])
    tall, wide = op.Shape(box, start=2, end=3), op.Shape(box, start=3, end=4)
    whole = reflected(
        box, (tall + factor - 1) / factor * factor, (wide + factor - 1) / factor * factor
    )
    cut = blocks(whole, factor)
    mean = op.ReduceMean(cut, op.Constant(value_ints=[3, 5]), keepdims=0)
    rgb, _painted, priors = op.Split(mean, op.Constant(value_ints=[3, 1, 3]), axis=1)
    labels = reduced_trimap(blocks(op.Slice(whole, [3], [4], [1]), factor))
    small = op.Concat(rgb, labels, priors, axis=1)
    small = reflected(small, (bottom - top) / factor, (right - left) / factor)
    x = op.Concat(small, nearness(op.Slice(small, [3], [4], [1])), axis=1)
    return x, top, left


@script(default_opset=op)
def MapsAtSize(
    picture: FLOAT["N", 7, "H", "W"],
    maps: FLOAT["N", "C", "a", "b"],
    factor: INT64[1],
    top: INT64[1],
    left: INT64[1],
):
    """Enlarge the maps, and place them in the picture; 0 outside the box."""
    size = op.Shape(picture, start=2, end=4)
    scale = op.Cast(factor, to=1)
    scales = op.Concat(op.Constant(value_floats=[1.0, 1.0]), scale, scale, axis=0)
    large = op.Resize(maps, None, scales, mode="linear")
    start = op.Concat(top, left, axis=0)
    none = op.Constant(value_ints=[0, 0])
    end = op.Max(size - start - op.Shape(large, start=2, end=4), none)
    placed = op.Pad(large, op.Concat(start, end, axis=0), 0.0, op.Constant(value_ints=[2, 3]))
    return op.Slice(placed, none, size, op.Constant(value_ints=[2, 3]))
