"""The alpha prior in torch alone, for GPUs and exported models.

The steps are those of `alpha_prior`, `affinities` and `linear_models`, on any device; slower on a
CPU, because the nearest colours are found by trying all. Written for TorchScript, with operations
of PyTorch 1.12.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vfxmatte.prior.constants import (
    BLOCK_PX,
    DISTANT_WEIGHTS,
    IN_LIGHT,
    ITERATIONS,
    LAPLACIAN_EPSILON,
    MODEL_EPSILON,
    MOST_BLOCKS,
    NEAR_PX,
    NEIGHBOURS,
    TOLERANCE,
)
from vfxmatte.prior.inverse import inverse_positive
from vfxmatte.prior.row_sums import row_sums

SETTINGS: dict[str, Any] = {
    "weights": list(DISTANT_WEIGHTS),
    "in_light": list(IN_LIGHT),
    "counts": [count for count, _ in NEIGHBOURS],
    "places": [place for _, place in NEIGHBOURS],
    "near_px": NEAR_PX,
    "block_px": BLOCK_PX,
    "most_blocks": MOST_BLOCKS,
    "tolerance": TOLERANCE,
    "iterations": ITERATIONS,
    "epsilon": LAPLACIAN_EPSILON,
    "model_epsilon": MODEL_EPSILON,
}
"""Further arguments of `priors_of_picture`: TorchScript has no constants of modules."""


def priors_of_picture(
    image: Tensor,
    trimap: Tensor,
    reduction: int,
    weights: list[float],
    in_light: list[bool],
    counts: list[int],
    places: list[float],
    near_px: int,
    block_px: int,
    most_blocks: int,
    tolerance: float,
    iterations: int,
    epsilon: float,
    model_epsilon: float,
) -> Tensor:
    """Compute the priors of a picture; the numbers are those of `constants`.

    Args:
        image: (3, H, W) network-encoded.
        trimap: (H, W) of 0, 0.5 and 1.
        reduction: how many pixels become one along each axis.
        weights, in_light: of each prior.
        counts, places: numbers of the nearest pixels, and weights of a px of distance.
    Returns:
        (n, H, W) float32 in [0, 1], one for each weight; the trimap where it is certain.
    """
    height, width = image.size(1), image.size(2)
    trimap = trimap.float()
    unknown = trimap == 0.5
    priors = trimap[None].repeat(len(weights), 1, 1)
    if bool(unknown.all()) or not bool(unknown.any()):
        return priors
    rows = (height + reduction - 1) // reduction
    columns = (width + reduction - 1) // reduction
    both = torch.cat((image, image * image), 0)  # as displayed, and in light
    wider = _repeated(both, rows * reduction, columns * reduction)[None]
    small = torch._C._nn.avg_pool2d(wider, reduction)[0].double()
    certain = _repeated(trimap[None], rows * reduction, columns * reduction)[None]
    highest = torch.max_pool2d(certain, reduction)[0]
    lowest = -torch.max_pool2d(-certain, reduction)[0]
    labels = torch.full_like(highest, 0.5)
    labels = torch.where(highest == 0.0, highest, labels)
    labels = torch.where(lowest == 1.0, lowest, labels)
    small = _repeated(small, max(3, rows), max(3, columns))
    labels = _repeated(labels, max(3, rows), max(3, columns))[0].double()
    alphas = _alphas(
        small, labels, weights, in_light, counts, places, near_px, block_px, most_blocks, tolerance,
        iterations, epsilon,
    )  # fmt: skip
    size = [rows * reduction, columns * reduction]
    for number in range(len(weights)):
        first = 3 if in_light[number] else 0
        model = _linear_model(small[first : first + 3], alphas[number][None], model_epsilon)
        model = model[:, :rows, :columns][None].float()
        full = torch._C._nn.upsample_bilinear2d(model, size, False, None, None)  # type: ignore[call-arg]
        full = full[0, :, :height, :width]
        alpha = full[3] + (full[:3] * both[first : first + 3]).sum(0)
        priors[number] = torch.where(unknown, alpha.clamp(0.0, 1.0), trimap)
    return priors


def _alphas(
    colours: Tensor,
    labels: Tensor,
    weights: list[float],
    in_light: list[bool],
    counts: list[int],
    places: list[float],
    near_px: int,
    block_px: int,
    most_blocks: int,
    tolerance: float,
    iterations: int,
    epsilon: float,
) -> Tensor:
    """Solve a reduced picture: (n, h, w).

    colours: (6, h, w), as displayed and in light. labels: (h, w) of 0, 0.5 and 1."""
    unknown = labels == 0.5
    alphas = labels[None].repeat(len(weights), 1, 1)
    if not bool(unknown.any()):
        return alphas
    known = torch.where(unknown, torch.zeros_like(labels), labels).flatten()
    displayed, light = colours[:3], colours[3:]
    near = adjacent(displayed, unknown, epsilon), adjacent(light, unknown, epsilon)
    far = _distant(displayed, unknown, counts, places, near_px)
    queries = unknown.flatten().nonzero()[:, 0]
    row_of = unknown.flatten().long().cumsum(0) - 1
    blocks = _blocks(unknown, block_px, most_blocks)
    functions = _functions(displayed, unknown), _functions(light, unknown)
    energies = [
        _energies(near[number], functions[number], blocks, unknown.flatten(), row_of)
        for number in range(2)
    ]
    x = torch.full([queries.size(0)], 0.5, dtype=torch.float64, device=colours.device)
    for number in range(len(weights) - 1, -1, -1):
        picture = int(in_light[number])
        own, values = near[picture], weights[number] * far[2]
        degree = torch.zeros_like(x).index_add(0, far[0], values)
        energy = energies[picture] + _masses(degree, functions[picture], blocks)
        energy = energy + torch.diag(1e-6 * energy.diagonal() + 1e-12)
        x = _solved(
            torch.cat((own[0], far[0])),
            torch.cat((own[1], far[1])),
            torch.cat((own[2], values)),
            unknown.flatten(),
            row_of,
            known,
            functions[picture],
            blocks,
            torch.linalg.cholesky(energy),
            x,
            tolerance,
            iterations,
        )
        alphas[number] = alphas[number].masked_scatter(unknown, x.clamp(0.0, 1.0))
    return alphas


def _blocks(unknown: Tensor, block_px: int, most_blocks: int) -> Tensor:
    """Number the blocks of the unknown pixels (u,), see `region`."""
    where = unknown.nonzero()
    side, count = block_px, most_blocks + 1
    place, used = where[:, 0], where[:, 0]
    while count > most_blocks:
        in_a_row = (unknown.size(1) + side - 1) // side
        square = torch.div(where, side, rounding_mode="floor")
        place = square[:, 0] * in_a_row + square[:, 1]
        used = torch.zeros([int(place.max()) + 1], dtype=torch.long, device=place.device)
        used = used.index_fill(0, place, 1)
        count, side = int(used.sum()), 2 * side
    return (used.cumsum(0) - 1)[place]


def _functions(colours: Tensor, unknown: Tensor) -> Tensor:
    """Return 1 and the colours, less their mean, of the unknown pixels (u, 4)."""
    own = colours.flatten(1)[:, unknown.flatten()].t()
    return torch.cat((torch.ones_like(own[:, :1]), own - own.mean(0, keepdim=True)), 1)


def _energies(
    near: tuple[Tensor, Tensor, Tensor],
    functions: Tensor,
    blocks: Tensor,
    unknown: Tensor,
    row_of: Tensor,
) -> Tensor:
    """Compute the energies of the blocks' functions (4n, 4n), see `colour_blocks`."""
    rows, columns, values = near
    degree = torch.zeros_like(functions[:, 0]).index_add(0, rows, values)
    among = unknown[columns].nonzero()[:, 0]
    rows, others, values = rows[among], row_of[columns[among]], values[among]
    return _masses(degree, functions, blocks) - _products(
        values, functions[rows], functions[others], blocks[rows], blocks[others], blocks
    )


def _masses(degree: Tensor, functions: Tensor, blocks: Tensor) -> Tensor:
    return _products(degree, functions, functions, blocks, blocks, blocks)


def _products(
    values: Tensor, first: Tensor, second: Tensor, one: Tensor, other: Tensor, blocks: Tensor
) -> Tensor:
    """Sum value · firstᵢ · secondⱼ for each pair of blocks (4n, 4n)."""
    count = int(blocks.max()) + 1
    pairs = one * count + other
    sums = torch.zeros([4, 4, count * count], dtype=values.dtype, device=values.device)
    for i in range(4):
        for j in range(4):
            sums[i, j] = sums[i, j].index_add(0, pairs, values * first[:, i] * second[:, j])
    return sums.view(4, 4, count, count).permute(2, 0, 3, 1).reshape(4 * count, 4 * count)


def adjacent(colours: Tensor, unknown: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """Join neighbours by the matting Laplacian: rows (unknown pixels), columns (all) and values."""
    height, width = unknown.size(0), unknown.size(1)
    held = torch.max_pool2d(unknown[None].double(), 3, 1)[0] > 0
    corner = held.nonzero()
    first = corner[:, 0] * width + corner[:, 1]
    flat = colours.flatten(1)
    window = torch.stack([flat[:, first + (p // 3 * width + p % 3)].t() for p in range(9)], 1)
    window = window - window.mean(1, keepdim=True)  # (windows, 9, 3)
    covariance = (window[:, :, :, None] * window[:, :, None]).sum(1) + _diagonal(epsilon, window)
    inverse = _inverse(covariance / 9.0)
    whitened = (window[:, :, :, None] * inverse[:, None]).sum(2)
    held_by = torch.zeros([height * width], dtype=torch.long, device=colours.device)
    for p in range(9):
        held_by = held_by.index_fill(0, first + (p // 3 * width + p % 3), 1)
    number = held_by.cumsum(0) - 1  # of the pixels in windows: planes hold no others
    planes = torch.zeros([15, int(held_by.sum())], dtype=colours.dtype, device=colours.device)
    for one in range(9):
        for other in range(one + 1, 9):
            step = (other // 3 - one // 3) * 5 + other % 3 - one % 3 + 2
            place = number[first + (one // 3 * width + one % 3)]
            likeness = ((whitened[:, one] * window[:, other]).sum(1) + 1.0) / 9.0
            planes[step] = planes[step].index_add(0, place, likeness)
    where = unknown.nonzero()
    y, x = where[:, 0], where[:, 1]
    numbers = torch.arange(where.size(0), device=colours.device)
    rows, columns, values = [numbers[:0]], [numbers[:0]], [planes[0, :0]]
    for step in range(3, 15):
        dy, dx = step // 5, step % 5 - 2
        for sign in (1, -1):
            other_y, other_x = y + sign * dy, x + sign * dx
            inside = (other_y >= 0) & (other_y < height) & (other_x >= 0) & (other_x < width)
            inside = inside.nonzero()[:, 0]
            column = other_y[inside] * width + other_x[inside]
            own = y[inside] * width + x[inside]
            rows.append(inside)
            columns.append(column)
            values.append(planes[step][number[own if sign == 1 else column]])
    return torch.cat(rows), torch.cat(columns), torch.cat(values)


def _distant(
    colours: Tensor, unknown: Tensor, counts: list[int], places: list[float], near_px: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Join every other pixel to those most like it: rows, columns, values as of `_adjacent`."""
    width = unknown.size(1)
    side = 2 * near_px + 1
    held = torch.max_pool2d(unknown[None].double(), [1, side], 1, [0, near_px])
    held = torch.max_pool2d(held, [side, 1], 1, [near_px, 0])[0] > 0
    y = torch.arange(held.size(0), device=held.device)
    x = torch.arange(width, device=held.device)
    held = held & ((y[:, None] + x) % 2 == 0)
    near = held.flatten().nonzero()[:, 0]
    open_ = unknown.flatten()[near]
    queries = open_.nonzero()[:, 0]
    row_of = (unknown.flatten().long().cumsum(0) - 1)[near]
    near_colours = colours.flatten(1)[:, near].t()
    place = torch.stack((torch.div(near, width, rounding_mode="floor"), near % width), 1).double()
    rows, columns, values = [near[:0]], [near[:0]], [near_colours[:0, 0]]
    for number in range(len(counts)):
        points = torch.cat((near_colours, places[number] * place), 1)
        other = _nearest(points, queries, min(counts[number], points.size(0)))
        one = queries[:, None].expand_as(other).flatten()
        other = other.flatten()
        apart = (one != other).nonzero()[:, 0]
        one, other = one[apart], other[apart]
        mutual = open_[other]
        back = mutual.nonzero()[:, 0]
        rows += [row_of[one], row_of[other[back]]]
        columns += [near[other], near[one[back]]]
        values += [2.0 - mutual.double(), torch.ones_like(back, dtype=torch.float64)]
    return torch.cat(rows), torch.cat(columns), torch.cat(values)


def _nearest(points: Tensor, queries: Tensor, count: int) -> Tensor:
    """Find the indices (queries, count) of the points nearest to the queried ones, in chunks."""
    step = max(1, (1 << 23) // max(1, points.size(0)))
    nearest = [queries[:0, None].expand(0, count)]
    for start in range(0, queries.size(0), step):
        some = points[queries[start : start + step]]
        distances = torch.zeros(
            [some.size(0), points.size(0)], dtype=points.dtype, device=points.device
        )
        for axis in range(points.size(1)):
            apart = some[:, axis, None] - points[None, :, axis]
            distances += apart * apart
        nearest.append(distances.topk(count, 1, False, False)[1])
    return torch.cat(nearest)


def _solved(
    rows: Tensor,
    columns: Tensor,
    values: Tensor,
    unknown: Tensor,
    row_of: Tensor,
    known: Tensor,
    functions: Tensor,
    blocks: Tensor,
    factor: Tensor,
    x: Tensor,
    tolerance: float,
    iterations: int,
) -> Tensor:
    """Solve (u,) by conjugate gradients from x, with the corrections of `colour_blocks`.

    Like `common.conjugate_gradients`: TorchScript cannot pass it a function."""
    zeros = torch.zeros_like(x)
    degree = zeros.index_add(0, rows, values)
    right = zeros.index_add(0, rows, values * known[columns])
    among = unknown[columns].nonzero()[:, 0]
    rows, columns, values = rows[among], row_of[columns[among]], values[among]
    inverse = 1.0 / degree.clamp(min=1e-12)
    even = torch.full_like(x, 0.5)
    even = right - degree * even + zeros.index_add(0, rows, values * even[columns])
    goal = tolerance * tolerance * dot(even, even)
    residual = right - degree * x + zeros.index_add(0, rows, values * x[columns])
    z = _preconditioned(residual, inverse, functions, blocks, factor)
    step, energy = z, dot(residual, z)
    for _ in range(iterations):
        if not bool(dot(residual, residual) > goal):  # all that a device waits for
            break
        moved = degree * step - zeros.index_add(0, rows, values * step[columns])
        length = energy / dot(step, moved)
        x = x + length * step
        residual = residual - length * moved
        z = _preconditioned(residual, inverse, functions, blocks, factor)
        before = energy
        energy = dot(residual, z)
        step = z + (energy / before) * step
    return x


def _preconditioned(
    residual: Tensor, inverse: Tensor, functions: Tensor, blocks: Tensor, factor: Tensor
) -> Tensor:
    sums = torch.zeros([factor.size(0) // 4, 4], dtype=residual.dtype, device=residual.device)
    sums = sums.index_add(0, blocks, functions * residual[:, None])
    solution = torch.cholesky_solve(sums.view(-1, 1), factor).view(-1, 4)
    return inverse * residual + (functions * solution[blocks]).sum(1)


def dot(first: Tensor, second: Tensor) -> Tensor:
    return row_sums((first * second)[None])[0]


def _diagonal(value: float, like: Tensor) -> Tensor:
    return value * torch.eye(3, dtype=like.dtype, device=like.device)


def _inverse(matrices: Tensor) -> Tensor:
    """Invert symmetric positive matrices (..., 3, 3)."""
    a, b, c = matrices[..., 0, 0], matrices[..., 0, 1], matrices[..., 0, 2]
    d, e, f = matrices[..., 1, 1], matrices[..., 1, 2], matrices[..., 2, 2]
    i00, i01, i02, i11, i12, i22 = inverse_positive([a, b, c, d, e, f])
    first, second = torch.stack((i00, i01, i02), -1), torch.stack((i01, i11, i12), -1)
    return torch.stack((first, second, torch.stack((i02, i12, i22), -1)), -2)


def _linear_model(colours: Tensor, alpha: Tensor, epsilon: float) -> Tensor:
    """Fit slope and offset (4, h, w) of alpha (1, h, w) by the colours (3, h, w)."""
    mean = _boxed(colours)
    products = _boxed((colours[:, None] * colours[None]).flatten(0, 1))
    covariance = products - (mean[:, None] * mean[None]).flatten(0, 1)
    height, width = colours.size(1), colours.size(2)
    matrix = covariance.view(3, 3, height, width).permute(2, 3, 0, 1)
    matrix = matrix + _diagonal(epsilon, colours)
    mean_alpha = _boxed(alpha)
    shared = (_boxed(colours * alpha) - mean * mean_alpha).permute(1, 2, 0)
    slope = (_inverse(matrix) * shared[:, :, None]).sum(3).permute(2, 0, 1)
    offset = mean_alpha - (slope * mean).sum(0, keepdim=True)
    return _boxed(torch.cat((slope, offset), 0))


def _boxed(planes: Tensor) -> Tensor:
    """Average (n, h, w) over squares of 5×5 pixels, mirrored beyond the border."""
    rows = _mirrored(planes.size(1), planes.device)
    columns = _mirrored(planes.size(2), planes.device)
    wider = planes.index_select(1, rows).index_select(2, columns)
    return torch._C._nn.avg_pool2d(wider[None], 5, 1)[0]


def _mirrored(size: int, device: torch.device) -> Tensor:
    index = torch.arange(-2, size + 2, device=device)
    index = torch.where(index < 0, -1 - index, index)
    return torch.where(index >= size, 2 * size - 1 - index, index)


def _repeated(planes: Tensor, rows: int, columns: int) -> Tensor:
    """Extend planes to (n, rows, columns) by repeating the last row and column."""
    y = torch.arange(rows, device=planes.device).clamp(max=planes.size(1) - 1)
    x = torch.arange(columns, device=planes.device).clamp(max=planes.size(2) - 1)
    return planes.index_select(1, y).index_select(2, x)
