"""The corrections of `engines.colour_lines` as ONNX.

The windows that hold an unsure pixel are listed, as are those pixels, of all pictures of a batch;
each picture has step lengths of its own.
"""

# mypy: ignore-errors
# ruff: noqa: B007, F821, UP037
# What is decorated with `script` is ONNX in Python's syntax, not Python.

from __future__ import annotations

from onnxscript import FLOAT, INT64, script
from onnxscript import opset18 as op

from vfxmatte.engines.colour_lines import EPSILON, STEPS, TRUST, UNSURE
from vfxmatte.exports.onnx_light import reflected
from vfxmatte.exports.onnx_prior import blocks, listed

_UNSURE, _TRUST, _EPSILON, _STEPS = UNSURE, TRUST, EPSILON, STEPS
_LEAST = 1e-30
_DOWN = [dy for dy in (-1, 0, 1) for _ in range(3)]
_RIGHT = [dx for _ in range(3) for dx in (-1, 0, 1)]


@script(default_opset=op)
def windows(unsure):
    """List the pixels (w, 9) of the 3×3 windows that hold an unsure pixel, of 0 or 1
    (N, 1, H, W)."""
    one, all_ = op.Constant(value_ints=[1]), op.Constant(value_ints=[-1])
    height, width = op.Shape(unsure, start=2, end=3), op.Shape(unsure, start=3, end=4)
    held = op.MaxPool(unsure, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    middle = op.Reshape(op.NonZero(op.Reshape(held, all_)), all_)
    row, column = middle / width, middle - middle / width * width
    row = row - row / height * height
    inside = op.And(op.And(row > 0, row < height - 1), op.And(column > 0, column < width - 1))
    middle = op.Compress(middle, inside, axis=0)
    return op.Unsqueeze(middle, one) + (
        op.Constant(value_ints=_DOWN) * width + op.Constant(value_ints=_RIGHT)
    )


@script(default_opset=op)
def inverse_of(matrices):
    """Invert symmetric matrices (w, 3, 3), by cofactors."""
    nine = op.Reshape(matrices, op.Constant(value_ints=[-1, 9]))
    a, b, c, _, d, e, _again, _below, f = op.Split(nine, axis=1, num_outputs=9)
    first, second, third = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = a * first + b * second + c * third
    fourth, fifth, sixth = a * f - c * c, b * c - a * e, a * d - b * b
    cofactors = op.Concat(first, second, third, second, fourth, fifth, third, fifth, sixth, axis=1)
    return op.Reshape(cofactors / determinant, op.Constant(value_ints=[-1, 3, 3]))


@script(default_opset=op)
def off_the_line(alpha, colours, weighed):
    """What alpha (w, 9) has that no line of the windows' colours (w, 9, 3) explains."""
    one, two = op.Constant(value_ints=[1]), op.Constant(value_ints=[2])
    slope = op.ReduceSum(colours * op.Unsqueeze(alpha, two), one, keepdims=1)
    line = op.ReduceSum(weighed * slope, two, keepdims=0)
    return alpha - op.ReduceMean(alpha, one, keepdims=1) - line


@script(default_opset=op)
def summed(values, rows, like):
    """Add values (w, 9) up in rows; one more than `like` (u,) has, which is left out."""
    all_ = op.Constant(value_ints=[-1])
    nothing = op.Concat(op.CastLike(0.0, like) * like, op.CastLike([0.0], like), axis=0)
    sums = op.ScatterElements(
        nothing, op.Reshape(rows, all_), op.Reshape(values, all_), axis=0, reduction="add"
    )
    return op.Slice(sums, [0], op.Shape(like), [0])


@script(default_opset=op)
def of_pictures(values, pictures, count):
    """Sum values (u,) of each picture, and give each pixel its picture's sum."""
    nothing = op.Expand(op.CastLike(0.0, values), count)
    sums = op.ScatterElements(nothing, pictures, values, axis=0, reduction="add")
    return op.Gather(sums, pictures)


@script(default_opset=op)
def corrected(picture, alpha, error):
    """Correct alpha (N, 1, h, w) where its expected error is large, by colours (N, 3, h, w)."""
    first, one, two = (
        op.Constant(value_ints=[0]), op.Constant(value_ints=[1]), op.Constant(value_ints=[2]),
    )  # fmt: skip
    all_ = op.Constant(value_ints=[-1])
    unsure = op.Cast(error > _UNSURE, to=1)
    flags = op.Reshape(unsure, all_)
    pixels = op.Reshape(op.NonZero(flags), all_)
    places = windows(unsure)
    encoded = op.Cast(picture, to=11)
    light = listed(encoded * encoded, op.Constant(value_ints=[3]))
    colours = op.Gather(light, places)
    colours = colours - op.ReduceMean(colours, one, keepdims=1)
    spread = op.MatMul(op.Transpose(colours, perm=[0, 2, 1]), colours)
    spread = spread + op.CastLike(_EPSILON, spread) * op.CastLike(
        op.EyeLike(op.ConstantOfShape(op.Constant(value_ints=[3, 3]))), spread
    )
    weighed = op.MatMul(colours, inverse_of(spread))

    whole = op.Cast(op.Reshape(alpha, all_), to=11)
    own = op.Gather(whole, pixels)
    expected = op.Cast(op.Gather(op.Reshape(error, all_), pixels), to=11)
    believed = op.CastLike(_TRUST, own) / expected
    believed = believed * believed
    numbers = op.CumSum(op.Cast(flags, to=7), op.Constant(value_int=0)) - 1
    beyond = op.Expand(op.Size(pixels), op.Shape(places))
    rows = op.Where(op.Gather(flags, places) > 0.5, op.Gather(numbers, places), beyond)
    apart = op.CastLike(8.0 / 9.0, own) - op.ReduceSum(colours * weighed, two, keepdims=0)
    total = summed(apart, rows, own) + believed
    area = op.Shape(picture, start=2, end=3) * op.Shape(picture, start=3, end=4)
    pictures, count = pixels / area, op.Shape(picture, start=0, end=1)
    least = op.CastLike(_LEAST, own)
    wrong = off_the_line(op.Gather(whole, places), colours, weighed)
    residual = op.CastLike(0.0, own) - summed(wrong, rows, own)
    # One state, because `onnxscript` 0.7 confuses the order of several.
    state = op.Concat(op.Unsqueeze(own, first), op.Unsqueeze(residual, first),
                      op.Unsqueeze(residual / total, first), axis=0)  # fmt: skip
    for i in range(_STEPS):
        x, left, step = op.Split(state, axis=0, num_outputs=3)
        x, left, step = op.Squeeze(x, first), op.Squeeze(left, first), op.Squeeze(step, first)
        energy = of_pictures(left * left / total, pictures, count)
        extended = op.Concat(step, op.CastLike([0.0], step), axis=0)
        wrong = off_the_line(op.Gather(extended, rows), colours, weighed)
        moved = believed * step + summed(wrong, rows, step)
        length = energy / op.Max(of_pictures(step * moved, pictures, count), least)
        left = left - length * moved
        z = left / total
        turned = z + of_pictures(left * z, pictures, count) / op.Max(energy, least) * step
        state = op.Concat(op.Unsqueeze(x + length * step, first), op.Unsqueeze(left, first),
                          op.Unsqueeze(turned, first), axis=0)  # fmt: skip
    x = op.Squeeze(op.Slice(state, [0], [1], [0]), first)
    x = op.Cast(op.Min(op.Max(x, op.CastLike(0.0, x)), op.CastLike(1.0, x)), to=1)
    return op.Reshape(op.ScatterElements(op.Reshape(alpha, all_), pixels, x), op.Shape(alpha))


@script(default_opset=op)
def Corrected(
    picture: FLOAT["N", "C", "H", "W"],
    alpha: FLOAT["N", 1, "H", "W"],
    error: FLOAT["N", 1, "H", "W"],
    factor: INT64[1],
):
    """Correct alpha (N, 1, H, W) along colour lines as stage 1 sees them."""
    height, width = op.Shape(picture, start=2, end=3), op.Shape(picture, start=3, end=4)
    colours = op.Slice(picture, [0], [3], [1])
    planes = op.Concat(colours, alpha, error, axis=1)
    rows, columns = (height + factor - 1) / factor, (width + factor - 1) / factor
    cut = blocks(reflected(planes, rows * factor, columns * factor), factor)
    mean = op.ReduceMean(cut, op.Constant(value_ints=[3, 5]), keepdims=0)
    small, own, expected = op.Split(mean, op.Constant(value_ints=[3, 1, 1]), axis=1)
    difference = corrected(small, own, expected) - own
    scale = op.Cast(factor, to=1)
    scales = op.Concat(op.Constant(value_floats=[1.0, 1.0]), scale, scale, axis=0)
    large = op.Resize(difference, None, scales, mode="linear")
    none, axes = op.Constant(value_ints=[0, 0]), op.Constant(value_ints=[2, 3])
    large = op.Slice(large, none, op.Concat(height, width, axis=0), axes)
    moved = op.Min(op.Max(alpha + large, 0.0), 1.0)
    return op.Where(error > _UNSURE, moved, alpha)
