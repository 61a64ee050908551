"""Tell the two colours of partly covered pixels apart, by their neighbours' and the plate's.

All pixels change at once from the values before (Jacobi), by operations that each round once: the
values are the same in any order, on any number of threads, and up to rounding on any device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn.functional import embedding_bag, pad

from vfxmatte.foreground.resampling import Tensor
from vfxmatte.foreground.traits import Traits

_EVEN, _UNEVEN = 1e-5, 0.1
"""Weight of a neighbour of the same alpha, and more by the difference of alphas: where alpha
changes, the plate tells least about each layer."""
_LEAST_SHARE = 0.02
"""What a neighbour that holds nothing of a layer counts for it."""
_FIRMNESS = 0.0003
"""What holds a colour to its neighbours' mean where no neighbour knows it well."""
_DOUBT = 0.03
"""How far alpha is doubted. A wrong alpha leaves the more of the plate unexplained the more the
layers differ; what is put down to it changes neither colour."""
_MOST_DROP = 0.6
"""The most of its neighbours' mean that a colour falls by at once, so that too low an alpha leaves
no black holes."""

Pair = tuple[Tensor, Tensor]
"""The two layers: foreground and background."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Band:
    """The partly covered pixels of a picture, and after them those around that are not."""

    places: Tensor
    """Indices of their pixels (n + m,)."""
    count: int
    """n."""
    own: Tensor
    """Alpha of the n."""
    rows: Tensor
    """Which of all are the four neighbours of each of the n, (n, 4) int32; at the picture's border
    it is its own neighbour."""
    cover: Tensor
    """The neighbours' alpha, (4, n)."""


def separated(
    plate: Tensor, alpha: Tensor, colours: Pair, steps: int, traits: Traits
) -> tuple[Tensor, Pair] | None:
    """Improve both colours where alpha is partial.

    Args:
        plate, alpha: (h, w, 3) and (h, w).
        colours: as far as they are known; the plate's own where one layer is alone.
        steps: how many times they are improved; so far, in px, does a pixel reach.
        traits: of the whole frame.

    Returns:
        The flat indices of the improved pixels (n,), ascending, and their colours (n, 3); None if
        there are none.
    """
    mixed = (alpha > 0) & (alpha < 1)
    if not mixed.any():
        return None
    band = _band(alpha, mixed)
    layers = [colour.view(-1, 3).index_select(0, band.places) for colour in colours]
    front, back = layers[0][: band.count], layers[1][: band.count]
    weights, totals = _weights(band)
    gains = [_wide(gain) for gain in _gains(band, (front, back), totals, traits)]
    shares = _wide(band.own), _wide(1 - band.own)
    places = band.places[: band.count]
    target = plate.view(-1, 3).index_select(0, places)
    for _ in range(steps):
        means = [
            embedding_bag(band.rows, layer, mode="sum", per_sample_weights=weight)
            for layer, weight in zip(layers, weights, strict=True)
        ]
        rest = target - shares[0] * means[0]
        rest -= shares[1] * means[1]
        for colour, mean, gain in zip((front, back), means, gains, strict=True):
            change = torch.maximum(rest * gain, mean.abs().mul_(-_MOST_DROP))
            torch.add(mean, change, out=colour)
    limits = traits.least, traits.most
    return places, (front.clamp_(*limits), back.clamp_(*limits))


def _band(alpha: Tensor, mixed: Tensor) -> _Band:
    width = alpha.shape[1]
    inside = mixed.view(-1).nonzero().view(-1)
    places = torch.cat((inside, _around(mixed).view(-1).nonzero().view(-1)))
    bordered = places + 2 * torch.div(places, width, rounding_mode="floor") + (width + 3)
    middle = bordered[: len(inside)]
    numbers = _numbers(bordered, alpha)
    neighbours = torch.cat([middle + step for step in (-width - 2, -1, 1, width + 2)])
    cover = pad(alpha[None, None], (1, 1, 1, 1), mode="replicate").view(-1)
    return _Band(
        places=places,
        count=len(inside),
        own=cover.index_select(0, middle),
        rows=numbers.index_select(0, neighbours).view(4, -1).t().contiguous(),
        cover=cover.index_select(0, neighbours).view(4, -1),
    )


def _around(mixed: Tensor) -> Tensor:
    """Return where a neighbour of a mixed pixel is not one."""
    around = mixed.clone()
    around[1:] |= mixed[:-1]
    around[:-1] |= mixed[1:]
    around[:, 1:] |= mixed[:, :-1]
    around[:, :-1] |= mixed[:, 1:]
    return around.logical_xor_(mixed)


def _numbers(bordered: Tensor, like: Tensor) -> Tensor:
    """Number pixels by their order in a list of indices into a picture with a border of 1 px.

    The border has the numbers of the pixels beside it. Returns all, flat; 0 elsewhere.
    """
    height, width = like.shape
    numbers = torch.zeros((height + 2, width + 2), dtype=torch.int32, device=like.device)
    order = torch.arange(len(bordered), dtype=torch.int32, device=like.device)
    numbers.view(-1).index_copy_(0, bordered, order)
    numbers[0], numbers[-1] = numbers[1], numbers[-2]
    numbers[:, 0], numbers[:, -1] = numbers[:, 1], numbers[:, -2]
    return numbers.view(-1)


def _weights(band: _Band) -> tuple[list[Tensor], Pair]:
    """Return the neighbours' weights (n, 4) for each layer, that sum up to 1, and their sums
    before."""
    nearness = (band.cover - band.own).abs_().mul_(_UNEVEN).add_(_EVEN)
    weights, totals = [], []
    for cover in (band.cover, 1 - band.cover):
        weight = (cover + _LEAST_SHARE).mul_(nearness)
        total = weight[0] + weight[1] + weight[2] + weight[3]
        weights.append(weight.div_(total).t().contiguous())
        totals.append(total)
    return weights, (totals[0], totals[1])


def _gains(band: _Band, colours: Pair, totals: Pair, traits: Traits) -> Pair:
    """Return how much each colour takes of what the plate has beside the mix, (n,).

    Texture is taken to be a share of a colour's brightness: before a bright background a dark
    foreground takes little.
    """
    bright, behind = (_mean(colour.abs()) + traits.faint for colour in colours)
    ratio = (bright / behind).sqrt_()
    lean = ratio * ratio.sqrt()  # to the power of 3/4, by operations that round alike everywhere
    loose = 1 / (totals[0] + _FIRMNESS), 1 / (traits.stiffness * totals[1] + _FIRMNESS)
    other = 1 - band.own
    parts = band.own * loose[0] * lean, other * loose[1] / lean
    contrast = _mean((colours[0] - colours[1]).abs())
    doubt = _DOUBT * band.own * other * (contrast * contrast / (bright * behind))
    damping = 1 + doubt * (loose[0] * loose[1]).sqrt() + parts[0] * band.own + parts[1] * other
    return parts[0] / damping, parts[1] / damping


def _mean(colours: Tensor) -> Tensor:
    """Return the mean of the channels (n,)."""
    red, green, blue = colours.unbind(1)
    return (red + green + blue) / 3


def _wide(column: Tensor) -> Tensor:
    """Return a column three times (n, 3): torch multiplies equal shapes several times as fast."""
    return column[:, None].repeat(1, 3)
