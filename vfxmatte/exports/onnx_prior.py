"""The steps of the alpha prior with loops or with sizes that data decide, as ONNX.

They are those of `prior.torchscript_prior`, and need `onnxscript`. All pictures of a batch are
solved at once: their pixels are numbered through, and none is joined to one of another picture.
"""

# mypy: ignore-errors
# ruff: noqa: B007, F821, UP037
# What is decorated with `script` is ONNX in Python's syntax, not Python.

from __future__ import annotations

from onnxscript import DOUBLE, FLOAT, INT64, script
from onnxscript import opset18 as op

from vfxmatte.exports.onnx_neighbours import STEPS
from vfxmatte.prior.constants import (
    DISTANT_WEIGHTS,
    ITERATIONS,
    LEAST_REDUCTION,
    MOST_PX,
    NEAR_PX,
    NEIGHBOURS,
    PLAIN_TOLERANCE,
)

_LEAST, _MOST = LEAST_REDUCTION, float(MOST_PX)
_LOW, _MIDDLE, _HIGH = DISTANT_WEIGHTS
(_FIRST, _PLACE), (_SECOND, _) = NEIGHBOURS
_NEAR, _SIDE = NEAR_PX, 2 * NEAR_PX + 1
_ALLOWED, _ITERATIONS = PLAIN_TOLERANCE**2, ITERATIONS
_DOWN, _RIGHT = [dy for dy, _ in STEPS], [dx for _, dx in STEPS]
_ROUNDING = 1e-14  # share of a pixel's degree that sums of float64 do not resolve
_AT_ONCE = 1 << 22
_APART = 1e3  # between the pictures of a batch, in colours


@script(default_opset=op)
def repeated(x, rows, columns):
    """Cut or extend (N, C, h, w) to rows and columns [1] by repeating the last ones."""
    height, width = op.Shape(x, start=2, end=3), op.Shape(x, start=3, end=4)
    y = op.Min(op.Range(0, op.Squeeze(rows), 1), height - 1)
    x_index = op.Min(op.Range(0, op.Squeeze(columns), 1), width - 1)
    return op.Gather(op.Gather(x, y, axis=2), x_index, axis=3)


@script(default_opset=op)
def blocks(x, factor):
    """Cut (N, C, a·factor, b·factor) into squares: (N, C, a, factor, b, factor)."""
    head = op.Shape(x, start=0, end=2)
    rows, columns = op.Shape(x, start=2, end=3) / factor, op.Shape(x, start=3, end=4) / factor
    return op.Reshape(x, op.Concat(head, rows, factor, columns, factor, axis=0))


@script(default_opset=op)
def reduced_trimap(cut):
    """Labels (N, 1, a, b) of squares: certain where the whole square is."""
    axes = op.Constant(value_ints=[3, 5])
    highest = op.ReduceMax(cut, axes, keepdims=0)
    lowest = op.ReduceMin(cut, axes, keepdims=0)
    certain = op.Where(lowest == 1.0, 1.0, 0.5)
    return op.Where(highest == 0.0, 0.0, certain)


@script(default_opset=op)
def Reduced(encoded: FLOAT["N", 4, "H", "W"]):
    """Reduce the pictures: colours as displayed and in light, labels, and the factor [1]."""
    height, width = op.Shape(encoded, start=2, end=3), op.Shape(encoded, start=3, end=4)
    pixels = op.Cast(height * width, to=1)
    needed = op.Cast(op.Ceil(op.Sqrt(pixels / _MOST)), to=7)
    factor = op.Max(needed, op.Constant(value_ints=[_LEAST]))
    rows, columns = (height + factor - 1) / factor, (width + factor - 1) / factor
    wider = repeated(encoded, rows * factor, columns * factor)
    colours, trimap = op.Split(wider, op.Constant(value_ints=[3, 1]), axis=1)
    both = op.Concat(colours, colours * colours, axis=1)
    mean = op.ReduceMean(blocks(both, factor), op.Constant(value_ints=[3, 5]), keepdims=0)
    three = op.Constant(value_ints=[3])
    more, wide = op.Max(rows, three), op.Max(columns, three)
    small = op.Cast(repeated(mean, more, wide), to=11)
    labels = repeated(reduced_trimap(blocks(trimap, factor)), more, wide)
    return small, labels, factor


@script(default_opset=op)
def nearest(points, queries, count):
    """Find the rows (queries, count) of the points nearest to some of them, in chunks."""
    total = op.Shape(points, start=0, end=1)
    one = op.Constant(value_ints=[1])
    step = op.Max(one, op.Constant(value_ints=[_AT_ONCE]) / op.Max(total, one))
    number = op.Shape(queries, start=0, end=1)
    chunks = op.Squeeze((number + step - 1) / step)
    lengths = op.ReduceSum(points * points, op.Constant(value_ints=[1]), keepdims=0)
    others = op.Transpose(points, perm=[1, 0])
    kept = op.Min(count, total)
    result = op.Expand(
        op.Constant(value_int=0), op.Concat(op.Constant(value_ints=[0]), kept, axis=0)
    )
    for i in range(chunks):
        first = op.Reshape(i, op.Constant(value_ints=[1])) * step
        some = op.Gather(
            points, op.Slice(queries, first, first + step, op.Constant(value_ints=[0]))
        )
        apart = lengths - 2.0 * op.MatMul(some, others)
        _, rows = op.TopK(apart, kept, axis=1, largest=0, sorted=0)
        result = op.Concat(result, rows, axis=0)
    return result


@script(default_opset=op)
def product(x, places, values, back, back_values):
    """Sum what comes to each unknown pixel from those it is joined to."""
    one = op.Constant(value_ints=[1])
    arriving = op.ReduceSum(values * op.Gather(x, places), one, keepdims=0)
    sent = op.Reshape(back_values * op.Unsqueeze(x, one), op.Constant(value_ints=[-1]))
    return op.ScatterElements(arriving, back, sent, axis=0, reduction="add")


@script(default_opset=op)
def solved(degree, right, places, values, back, back_values, start):
    """Solve (u,) by conjugate gradients from `start`, preconditioned by the diagonal alone."""
    even = op.Expand(op.CastLike(0.5, right), op.Shape(right))
    apart = right - degree * even + product(even, places, values, back, back_values)
    goal = op.ReduceSum(apart * apart, keepdims=0) * op.CastLike(_ALLOWED, right)
    rounded = degree * op.CastLike(_ROUNDING, degree)  # all there is where nothing is certain
    nothing = op.ReduceSum(rounded * rounded, keepdims=0)
    goal = op.Max(goal, nothing)
    residual = right - degree * start + product(start, places, values, back, back_values)
    inverse = 1.0 / op.Max(degree, op.CastLike(1e-12, degree))
    least = op.CastLike(1e-300, degree)
    first = op.Constant(value_ints=[0])
    # One state, because `onnxscript` 0.7 confuses the order of several.
    state = op.Concat(op.Unsqueeze(start, first), op.Unsqueeze(residual, first),
                      op.Unsqueeze(inverse * residual, first), axis=0)  # fmt: skip
    for i in range(_ITERATIONS):
        x, left, step = op.Split(state, axis=0, num_outputs=3)
        x, left, step = op.Squeeze(x, first), op.Squeeze(left, first), op.Squeeze(step, first)
        energy = op.ReduceSum(inverse * left * left, keepdims=0)
        moved = degree * step - product(step, places, values, back, back_values)
        length = energy / op.Max(op.ReduceSum(step * moved, keepdims=0), least)
        solvable = op.ReduceSum(left * left, keepdims=0) > nothing
        length = op.Where(solvable, length, op.CastLike(0.0, length))
        left = left - length * moved
        z = inverse * left
        turned = z + (op.ReduceSum(left * z, keepdims=0) / op.Max(energy, least)) * step
        state = op.Concat(op.Unsqueeze(x + length * step, first), op.Unsqueeze(left, first),
                          op.Unsqueeze(turned, first), axis=0)  # fmt: skip
        done = op.ReduceSum(left * left, keepdims=0) <= goal
        if done:
            break
    return op.Squeeze(op.Slice(state, [0], [1], [0]), first)


@script(default_opset=op)
def listed(planes, count):
    """List the pixels of (N, C, h, w), C being `count` [1]: (N·h·w, C)."""
    shape = op.Concat(op.Constant(value_ints=[-1]), count, axis=0)
    return op.Reshape(op.Transpose(planes, perm=[0, 2, 3, 1]), shape)


@script(default_opset=op)
def around(labels):
    """Number the pixels in reach of an unknown one, of labels (N, 1, h, w), ascending."""
    all_ = op.Constant(value_ints=[-1])
    held = op.Cast(labels == 0.5, to=1)
    held = op.MaxPool(held, kernel_shape=[1, _SIDE], pads=[0, _NEAR, 0, _NEAR])
    held = op.MaxPool(held, kernel_shape=[_SIDE, 1], pads=[_NEAR, 0, _NEAR, 0])
    return op.Reshape(op.NonZero(op.Reshape(held, all_)), all_)


@script(default_opset=op)
def every_other(pixels, height, width):
    """Keep the pixels of one colour of a checkerboard."""
    row = pixels / width
    on_board = op.Equal(op.Mod(row - row / height * height + pixels - row * width, 2), 0)
    return op.Compress(pixels, on_board, axis=0)


@script(default_opset=op)
def pixels_alike(small, labels, is_open, unknown, row_of):
    """Find pixels of like colours, near or anywhere, for every other unknown pixel.

    Returns their numbers (u, n), and 1 (u, n) where one is joined to the unknown pixel, else 0.
    """
    one, all_ = op.Constant(value_ints=[1]), op.Constant(value_ints=[-1])
    height, width = op.Shape(labels, start=2, end=3), op.Shape(labels, start=3, end=4)
    near = every_other(around(labels), height, width)
    colours, _light = op.Split(small, op.Constant(value_ints=[3, 3]), axis=1)
    colours = op.Gather(listed(colours, op.Constant(value_ints=[3])), near)
    row, column = near / width, near - near / width * width
    picture = op.Cast(row / height, to=11) * op.CastLike(_APART, colours)
    colours = op.Concat(colours, op.Unsqueeze(picture, one), axis=1)
    place = op.Concat(op.Unsqueeze(row, one), op.Unsqueeze(column, one), axis=1)
    placed = op.Concat(colours, op.Cast(place, to=11) * op.CastLike(_PLACE, colours), axis=1)
    queries = op.Reshape(op.NonZero(op.Gather(is_open, near)), all_)
    by_place = nearest(placed, queries, op.Constant(value_ints=[_FIRST]))
    by_colour = nearest(colours, queries, op.Constant(value_ints=[_SECOND]))
    alike = op.Concat(by_place, by_colour, axis=1)
    others = op.Cast(op.Not(op.Equal(alike, op.Unsqueeze(queries, one))), to=11)
    rows = op.Unsqueeze(op.Gather(row_of, op.Gather(near, queries)), one)
    shape = op.Concat(op.Shape(unknown), op.Shape(alike, start=1, end=2), axis=0)
    pixels = op.Expand(op.CastLike(0, near), shape)
    pixels = op.ScatterND(pixels, rows, op.Gather(near, alike))
    return pixels, op.ScatterND(op.Expand(op.CastLike(0.0, others), shape), rows, others)


@script(default_opset=op)
def neighbours(labels, queries, near_displayed, near_light):
    """Number the 24 neighbours (u, 24) of unknown pixels, and list both affinities (u, 24)."""
    one, steps = op.Constant(value_ints=[1]), op.Constant(value_ints=[24])
    width, last = op.Shape(labels, start=3, end=4), op.Size(labels) - 1
    offsets = op.Constant(value_ints=_DOWN) * width + op.Constant(value_ints=_RIGHT)
    beside = op.Unsqueeze(queries, one) + offsets
    beside = op.Min(op.Max(beside, op.Constant(value_ints=[0])), last)
    displayed = op.Gather(listed(near_displayed, steps), queries)
    return beside, displayed, op.Gather(listed(near_light, steps), queries)


@script(default_opset=op)
def weights_of(alike, others, is_open, row_of):
    """Weigh pixels alike (u, n): those that an unknown pixel finds, and that find it.

    Returns the weights there, the weights back with their rows (u·n,), and the sums of both (u,).
    """
    one, all_ = op.Constant(value_ints=[1]), op.Constant(value_ints=[-1])
    mutual = op.Cast(op.Gather(is_open, alike), to=11)
    values, back_values = (2.0 - mutual) * others, mutual * others
    back = op.Reshape(op.Gather(row_of, alike), all_)
    sums, sent = op.ReduceSum(values, one, keepdims=0), op.Reshape(back_values, all_)
    degree = op.ScatterElements(sums, back, sent, axis=0, reduction="add")
    return values, back_values, back, degree


@script(default_opset=op)
def system_solved(near, far, known, unknown, places, far_degree, back, back_values, start):
    """Solve (u,) for the affinities (u, 24) of neighbours and (u, n) of pixels alike."""
    one = op.Constant(value_ints=[1])
    values = op.Concat(near, far, axis=1)
    right = op.ReduceSum(values * known, one, keepdims=0)
    degree = op.ReduceSum(near, one, keepdims=0) + far_degree
    return solved(degree, right, places, values * unknown, back, back_values, start)


@script(default_opset=op)
def put_back(known, queries, alpha, shape):
    """Return planes of a shape with the alpha of the unknown pixels among the known ones."""
    return op.Reshape(op.ScatterElements(known, queries, alpha, axis=0), shape)


@script(default_opset=op)
def Solved(
    small: DOUBLE["N", 6, "h", "w"],
    labels: FLOAT["N", 1, "h", "w"],
    near_displayed: DOUBLE["N", 24, "h", "w"],
    near_light: DOUBLE["N", 24, "h", "w"],
):
    """Solve the reduced pictures' alphas (N, 3, h, w)."""
    all_ = op.Constant(value_ints=[-1])
    is_open = op.Reshape(op.Cast(labels == 0.5, to=1), all_)
    certain = op.Reshape(op.Cast(labels == 1.0, to=11), all_)
    queries = op.Reshape(op.NonZero(is_open), all_)
    row_of = op.Max(op.CumSum(op.Cast(is_open, to=7), op.Constant(value_int=0)) - 1, 0)
    beside, displayed, light = neighbours(labels, queries, near_displayed, near_light)
    alike, others = pixels_alike(small, labels, is_open, queries, row_of)
    values, back_values, back, far_degree = weights_of(alike, others, is_open, row_of)
    joined = op.Concat(beside, alike, axis=1)
    places, known = op.Gather(row_of, joined), op.Gather(certain, joined)
    unknown = op.Cast(op.Gather(is_open, joined), to=11)
    start = op.Expand(op.CastLike(0.5, certain), op.Shape(queries))
    weight = op.CastLike(_HIGH, certain)
    last = system_solved(light, values * weight, known, unknown, places, far_degree * weight, back,
                         back_values * weight, start)  # fmt: skip
    weight = op.CastLike(_MIDDLE, certain)
    middle = system_solved(displayed, values * weight, known, unknown, places, far_degree * weight,
                           back, back_values * weight, last)  # fmt: skip
    weight = op.CastLike(_LOW, certain)
    first = system_solved(light, values * weight, known, unknown, places, far_degree * weight, back,
                          back_values * weight, middle)  # fmt: skip
    shape = op.Shape(labels)
    alphas = op.Concat(put_back(certain, queries, first, shape),
                       put_back(certain, queries, middle, shape),
                       put_back(certain, queries, last, shape), axis=1)  # fmt: skip
    return op.Min(op.Max(alphas, op.CastLike(0.0, alphas)), op.CastLike(1.0, alphas))


@script(default_opset=op)
def Enlarged(
    encoded: FLOAT["N", 4, "H", "W"],
    models: FLOAT["N", "C", "h", "w"],
    factor: INT64[1],
):
    """Enlarge planes by the factor, and cut them to the pictures' size."""
    height, width = op.Shape(encoded, start=2, end=3), op.Shape(encoded, start=3, end=4)
    whole = repeated(models, (height + factor - 1) / factor, (width + factor - 1) / factor)
    scale = op.Cast(factor, to=1)
    scales = op.Concat(op.Constant(value_floats=[1.0, 1.0]), scale, scale, axis=0)
    large = op.Resize(whole, None, scales, mode="linear")
    return repeated(large, height, width)
