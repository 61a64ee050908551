"""Training trimaps as people paint them and as propagation carries them.

Drawn from the true alpha: uneven bands with ragged edges, unknown islands inside certain regions,
whole parts unknown with an outline that hugs the object, and trimaps that are a few pixels off.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.trimaps import SOFT_HIGH, SOFT_LOW
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels

Mask = NDArray[np.bool_]

_WIDE = 0.35  # share of bands from the whole range
_LEAST_CORE = 0.15  # share of the opaque region that stays certain


@dataclass(frozen=True, kw_only=True)
class DrawingConfig:
    """Settings for varying training trimaps. Lengths in px, the rest are probabilities."""

    band_px: tuple[float, float] = (2.0, 60.0)
    """Narrowest and widest band on either side of the edge; narrow ones are likelier."""
    ragged: float = 0.4
    """Probability of an edge that is rough on the scale of a few pixels."""
    islands: float = 0.55
    """Probability of unknown islands in certain regions."""
    island_px: tuple[float, float] = (10.0, 110.0)
    """Smallest and largest radius of an island."""
    whole_parts: float = 0.1
    """Probability that most of the object is unknown, inside a narrow outline."""
    certain_core: float = 0.95
    """Probability that some foreground is certain where any is opaque, however wide the band."""
    displaced: float = 0.15
    """Probability that the trimap is a few pixels off, so that some truth lies outside of it."""


def draw_trimap(alpha: FloatImage, config: DrawingConfig, random: np.random.Generator) -> Labels:
    """A trimap (H, W) of 0, 128, 255 for an alpha (H, W) in [0, 1].

    Soft pixels are unknown, but for those that a displaced trimap loses. At least a few pixels are
    unknown; a certain foreground or background may be missing, as in real crops.
    """
    inner = _width(config, random)
    outer = _width(config, random)
    if random.random() < config.whole_parts:
        inner, outer = random.uniform(60, 400), random.uniform(1.5, 15)
    shape, rough = alpha.shape, random.random() < config.ragged
    foreground = _certain(alpha < SOFT_HIGH, inner, _uneven(shape, rough, random), config, random)
    background = _distance(alpha > SOFT_LOW) > outer * _uneven(shape, rough, random)
    labels = np.full(shape, UNKNOWN, np.uint8)
    labels[foreground], labels[background] = FOREGROUND, BACKGROUND
    if random.random() < config.islands:
        labels[_islands(shape, config, random)] = UNKNOWN
    if random.random() < config.displaced:
        labels = _displaced(labels, random)
    return labels


def _certain(
    soft: Mask, width: float, uneven: FloatImage, config: DrawingConfig, random: np.random.Generator
) -> Mask:
    """Pixels at least `width` inside the opaque region; less where nothing would be left."""
    distance = _distance(soft)
    least = _LEAST_CORE * np.count_nonzero(~soft) if random.random() < config.certain_core else 0
    core: Mask = distance > width * uneven
    while np.count_nonzero(core) < least and width > 0.5:
        width /= 1.5
        core = distance > width * uneven
    return core


def _width(config: DrawingConfig, random: np.random.Generator) -> float:
    """A band width, drawn log-uniformly, most often from the lower half."""
    low, high = np.log(config.band_px)
    high = high if random.random() < _WIDE else (low + 2 * high) / 3
    return float(np.exp(random.uniform(low, high)))


def _distance(mask: Mask) -> FloatImage:
    """Distance (H, W) to the nearest True pixel; far everywhere where there is none."""
    if not mask.any():
        return np.full(mask.shape, 1e4, np.float32)
    transform = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    distance: FloatImage = transform.astype(np.float32, copy=False)
    return distance


def _uneven(shape: tuple[int, ...], rough: bool, random: np.random.Generator) -> FloatImage:
    """A field (H, W) around 1 by which a width wanders along the edge."""
    field = 0.5 * smooth_noise(shape, int(random.integers(3, 9)), random)
    if rough:
        field = field + 0.4 * smooth_noise(shape, int(random.integers(40, 160)), random)
    return np.asarray(np.clip(1 + field, 0.15, 2.2), np.float32)


def smooth_noise(shape: tuple[int, ...], cells: int, random: np.random.Generator) -> FloatImage:
    """Noise (H, W) in about [-1, 1] with `cells` bumps along each axis."""
    coarse = random.uniform(-1, 1, (cells, cells)).astype(np.float32)
    enlarged = cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    noise: FloatImage = enlarged.astype(np.float32, copy=False)
    return noise


def _islands(shape: tuple[int, ...], config: DrawingConfig, random: np.random.Generator) -> Mask:
    """One to five blobs, ellipses with wavy outlines, or thick brush strokes."""
    canvas = np.zeros(shape, np.uint8)
    for _ in range(int(random.integers(1, 6))):
        radius = random.uniform(*config.island_px) * random.uniform(0.3, 1)
        centre = random.uniform(0, 1, 2) * (shape[1], shape[0])
        if random.random() < 0.4:
            end = centre + random.normal(0, 2 * radius, 2)
            ends = [tuple(int(v) for v in point) for point in (centre, end)]
            cv2.line(canvas, ends[0], ends[1], 1, max(3, int(radius * 0.6)))
        else:
            cv2.fillPoly(canvas, [_blob(centre, radius, random)], 1)
    return canvas > 0


def _blob(
    centre: NDArray[np.float64], radius: float, random: np.random.Generator
) -> NDArray[np.int32]:
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    lengths = np.full(48, radius)
    for wave in range(2, 6):
        swing = random.uniform(0, 0.35) / wave
        lengths = lengths * (1 + swing * np.cos(wave * angles + random.uniform(0, 2 * np.pi)))
    stretch = random.uniform(0.4, 1)
    points = np.stack((np.cos(angles) * lengths, np.sin(angles) * lengths * stretch), 1)
    turn = random.uniform(0, np.pi)
    rotation = np.array(((np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn))))
    return np.rint(points @ rotation.T + centre).astype(np.int32)


def _displaced(labels: Labels, random: np.random.Generator) -> Labels:
    """The trimap moved smoothly by up to a few pixels, as a track that slipped."""
    height, width = labels.shape
    most = random.uniform(1, 5)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    drift = random.normal(0, 0.5 * most, 2)
    x += most * smooth_noise(labels.shape, 4, random) + np.float32(drift[0])
    y += most * smooth_noise(labels.shape, 4, random) + np.float32(drift[1])
    moved = cv2.remap(labels, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
    return moved.astype(np.uint8, copy=False)
