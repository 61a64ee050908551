"""Composites for a store: rendered elements and cut-out photographs, with alpha priors.

Beside the library's elements, foregrounds are cut out of the library's own photographs by
procedural alphas, so that foregrounds too have photographic texture. Everything about a composite
follows from the seed and its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from training.samples.bank import PictureBank
from training.samples.compose import Batch, Compositor
from training.samples.composite_store import Composite
from training.samples.procedural_alpha import draw_alpha
from training.samples.synthesis import SynthesisConfig
from training.samples.trimap_drawing import DrawingConfig, draw_trimap
from vfxmatte.prior.alpha_prior import alpha_priors
from vfxmatte.types import UNKNOWN

REDUCTIONS = (2, 2, 3, 4)
"""How many pixels of a composite become one in its priors, drawn for each: as in frames."""

_LEAST_UNKNOWN = 0.01  # share of a composite


def _usual_synthesis() -> SynthesisConfig:
    return SynthesisConfig(
        crop_px=512, zoom=(0.6, 1.5), background_zoom=(0.35, 1.8), background_blur=0.5,
        mirror_cut=False, two_foregrounds=0.35, similar_colours=0.08, band_px=(0, 0),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class VarietyConfig:
    """Settings for making the composites of a store."""

    procedural: float = 0.45
    """Share of foregrounds that are cut out of photographs by procedural alphas."""
    shapes: tuple[str, ...] = ()
    """What procedural alphas draw, names of `procedural_alpha.DRAWERS`; all if there are none."""
    synthesis: SynthesisConfig = field(default_factory=_usual_synthesis)
    """How foregrounds are placed, varied and mixed; its trimaps are not used."""
    trimaps: DrawingConfig = field(default_factory=DrawingConfig)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values; no `shapes` if all are drawn, as before there were any."""
        return {name: value for name, value in asdict(self).items() if name != "shapes" or value}


class VariedCompositor(Compositor):
    """A compositor some of whose foregrounds are cut out of photographs."""

    def __init__(self, bank: PictureBank, config: VarietyConfig) -> None:
        super().__init__(bank, config.synthesis)
        self._procedural, self._shapes = config.procedural, config.shapes

    def _views(self, host: torch.Generator, number: int | None = None) -> list[Tensor]:
        drawn = float(torch.rand((), generator=host))
        if number is not None or drawn >= self._procedural or self.config.moving_pairs:
            return super()._views(host, number)
        seed = int(torch.randint(1 << 62, (), generator=host))
        random = np.random.default_rng(seed)
        return [cut_out(self.bank, self.config.crop_px, random, self._shapes)]


def cut_out(
    bank: PictureBank, side: int, random: np.random.Generator, shapes: Sequence[str] = ()
) -> Tensor:
    """A foreground (4, side, side), premultiplied scene-linear, of a photograph's texture."""
    _, drawn = draw_alpha(side, random, shapes)
    texture = _texture(bank, side, random) * torch.from_numpy(drawn.shading)
    alpha = torch.from_numpy(drawn.alpha)[None]
    return torch.cat((texture * alpha, alpha)).to(bank.device)


def _texture(bank: PictureBank, side: int, random: np.random.Generator) -> Tensor:
    """Scene-linear colours (3, side, side): a part of a photograph, large, or small and enlarged
    so that it is nearly of one colour, or one colour."""
    number = int(random.integers(len(bank.backdrops)))
    height, width = bank.backdrops[number].encoded.shape[-2:]
    kind = random.random()
    share = random.uniform(0.4, 1.6) if kind < 0.6 else random.uniform(0.03, 0.2)
    size = max(8, min(round(side * share), height, width))
    top, left = (int(random.integers(0, whole - size + 1)) for whole in (height, width))
    texture = bank.sample_backdrop(number, (top, left, size), side).cpu()
    if kind > 0.9:
        texture = texture.mean((1, 2), keepdim=True).expand(3, side, side)
    if random.random() < 0.5:
        texture = texture.flip(-1)
    return torch.rot90(texture, int(random.integers(4)), (1, 2))


def make_composite(compositor: Compositor, config: VarietyConfig, seed: Sequence[int]) -> Composite:
    """One composite; the same seed gives the same, with enough unknown pixels to learn from."""
    for attempt in range(20):
        random = np.random.default_rng([*seed, attempt])
        batch = compositor.batch(1, int(random.integers(1 << 62)))
        alpha = np.ascontiguousarray(batch.alpha[0, 0].cpu().numpy())
        labels = draw_trimap(alpha, config.trimaps, random)
        share = np.count_nonzero(labels == UNKNOWN) / labels.size
        if _LEAST_UNKNOWN <= share < 0.95:
            break
    image = _image(batch)
    reduction = REDUCTIONS[random.integers(len(REDUCTIONS))]
    priors = alpha_priors(image, labels, reduction=reduction)
    return Composite(image=image, labels=labels, priors=priors, alpha=alpha)


def _image(batch: Batch) -> np.ndarray[Any, np.dtype[np.float32]]:
    image = batch.image[0].permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(image, dtype=np.float32)


def varied_compositor(
    bank: PictureBank, config: VarietyConfig, *, side_px: int
) -> tuple[Compositor, VarietyConfig]:
    """A compositor of pictures of `side_px`, and the configuration with that side."""
    config = replace(config, synthesis=replace(config.synthesis, crop_px=side_px))
    return VariedCompositor(bank, config), config
