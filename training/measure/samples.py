"""Pictures with a trimap and the true matte, for validation and evaluation.

`composites` lays the held-out elements over the held-out backgrounds, decided by a seed: in
linear light, then encoded, without any degradation. The n-th picture of an element depends on the
element's name, n and the seed alone, so a larger set contains the smaller one.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from training.elements.pack import Background, Element, Pack
from vfxmatte.colour import decode_srgb, encode_for_network
from vfxmatte.errors import TrainingError
from vfxmatte.trimaps import SOFT_HIGH, from_matte
from vfxmatte.types import FOREGROUND, FloatImage, Labels

BAND_PX = (2, 20)
"""Least and greatest width of a test trimap's band on each side, in px."""

LEAST_SOLID = 0.1
"""Share of an element's opaque pixels that its test trimap leaves known, if possible."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One picture to solve, with the true alpha."""

    name: str
    kind: str
    """The kind of foreground."""
    image: FloatImage
    """(H, W, 3) float32 network-encoded RGB."""
    labels: Labels
    """(H, W) uint8 trimap of 0, 128, 255."""
    truth: FloatImage
    """(H, W) float32 alpha in [0, 1]."""

    def __post_init__(self) -> None:
        if not self.image.shape[:2] == self.labels.shape == self.truth.shape:
            raise TrainingError(
                f"{self.name}: picture {self.image.shape[:2]}, trimap {self.labels.shape} and "
                f"alpha {self.truth.shape} differ in size"
            )

    def __repr__(self) -> str:
        return f"Sample({self.name!r}, {self.kind!r}, {self.truth.shape})"


def composites(pack: Pack, *, per_element: int = 1, seed: int = 7) -> Iterator[Sample]:
    """Composite each element of `pack` over `per_element` of its backgrounds, with drawn trimaps.

    Raises:
        TrainingError: there are no elements or no backgrounds.
    """
    if not pack.elements or not pack.backgrounds:
        raise TrainingError(
            f"nothing to evaluate on: {len(pack.elements)} held-out elements, "
            f"{len(pack.backgrounds)} backgrounds",
            hint="make the pack with a held-out share above 0",
        )
    for element in pack.elements:
        for number in range(per_element):
            yield _composite(element, pack.backgrounds, number, seed)


def _composite(
    element: Element, backgrounds: tuple[Background, ...], number: int, seed: int
) -> Sample:
    name = element.name.encode()
    order = np.random.default_rng([seed, zlib.crc32(name)]).permutation(len(backgrounds))
    random = np.random.default_rng([seed, zlib.crc32(name), number])
    background = backgrounds[order[number % len(backgrounds)]]
    alpha = (element.alpha / np.iinfo(element.alpha.dtype).max).astype(np.float32)
    behind = cut_background(background.colour, alpha.shape, random)
    erode_px, dilate_px = random.integers(BAND_PX[0], BAND_PX[1] + 1, 2).tolist()
    return Sample(
        name=f"{element.name}.{number:02d}",
        kind=element.kind,
        image=composite(element.colour, behind, alpha),
        labels=_test_trimap(alpha, erode_px, dilate_px),
        truth=alpha,
    )


def with_band(sample: Sample, band_px: float) -> Sample:
    """Return the sample with a trimap drawn from its true alpha, `band_px` / 2 into both sides."""
    return replace(sample, labels=_test_trimap(sample.truth, band_px / 2, band_px / 2))


def _test_trimap(alpha: FloatImage, erode_px: float, dilate_px: float) -> Labels:
    """Draw a trimap, with a narrower inner band where thin foregrounds would vanish."""
    labels = from_matte(alpha, erode_px=erode_px, dilate_px=dilate_px)
    solid = np.count_nonzero(alpha >= SOFT_HIGH)
    while np.count_nonzero(labels == FOREGROUND) < LEAST_SOLID * solid and erode_px > 0.5:
        erode_px /= 2
        labels = from_matte(alpha, erode_px=erode_px, dilate_px=dilate_px)
    return labels


def composite(
    foreground: NDArray[np.uint8], background: NDArray[np.uint8], alpha: FloatImage
) -> FloatImage:
    """Mix foreground over background in linear light and encode for the network.

    Args:
        foreground, background: (H, W, 3) uint8, straight, sRGB.
        alpha: (H, W) float32 in [0, 1].

    Returns:
        (H, W, 3) float32.
    """
    over = decode_srgb(foreground.astype(np.float32) / 255)
    under = decode_srgb(background.astype(np.float32) / 255)
    mixed = over * alpha[..., None] + under * (1 - alpha[..., None])
    return encode_for_network(mixed).astype(np.float32)


def cut_background(
    colour: NDArray[np.uint8], shape: tuple[int, ...], random: np.random.Generator
) -> NDArray[np.uint8]:
    """Cut a part of a background at a random place and scale, (*shape, 3), possibly mirrored.

    Backgrounds are reduced, or enlarged where they are smaller than `shape`.
    """
    height, width = shape
    largest = min(colour.shape[0] / height, colour.shape[1] / width)
    scale = random.uniform(1, largest) if largest > 1 else largest
    cut_height = min(max(round(height * scale), 1), colour.shape[0])
    cut_width = min(max(round(width * scale), 1), colour.shape[1])
    top = int(random.integers(0, colour.shape[0] - cut_height + 1))
    left = int(random.integers(0, colour.shape[1] - cut_width + 1))
    cut = colour[top : top + cut_height, left : left + cut_width]
    if random.random() < 0.5:
        cut = cut[:, ::-1]
    method = cv2.INTER_AREA if scale > 1 else cv2.INTER_CUBIC
    resized = cv2.resize(np.ascontiguousarray(cut), (width, height), interpolation=method)
    return resized.astype(np.uint8, copy=False)
