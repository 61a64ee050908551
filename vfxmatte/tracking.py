"""One step of a trimap through time: the matte of one frame carried onto the next and corrected.

The closed loop: the matte of the frame before is moved along the *foreground's* motion, a band is
laid around it, and inside the band the matte is solved anew against the new picture. The next step
starts from that solution, so the band is centred on the visible edge in every frame and neither
drifts nor widens by itself. Knows two neighbouring pictures only; segments and keyframes are the
matter of propagation.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from vfxmatte.colour_lines import ColourLineSettings, solve_band
from vfxmatte.flow import FlowPair, consistency_error, inverse, leaves_frame, spread, warp
from vfxmatte.trimaps import band_px, dilate, distance_to
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels

Picture = NDArray[np.uint8]
Solve = Callable[[int, Picture, Labels], FloatImage]


@dataclass(frozen=True, kw_only=True)
class TrackSettings:
    """How one step is made; sizes in px of the proxy.

    slack_px: how far beyond the carried band the new edge is looked for in each step.
    soft: a solved alpha within [soft, 1 - soft] counts as soft.
    trust: how strongly the new solution leans to the matte carried along.
    doubt_px: a forward-backward error from which a pixel's motion counts for little.
    """

    slack_px: float = 2.0
    soft: float = 0.06
    trust: float = 0.02
    doubt_px: float = 1.0
    lines: ColourLineSettings = field(default_factory=ColourLineSettings)


@dataclass(frozen=True, kw_only=True)
class Track:
    """What is carried from frame to frame.

    alpha: (h, w) float32 soft matte at proxy size. confidence: 0 to 1.
    """

    alpha: FloatImage
    confidence: float = 1.0


def start(labels: Labels, picture: Picture, settings: TrackSettings) -> Track:
    """The matte of a keyframe, from its labels at proxy size and its picture."""
    guess = _rough(labels)
    alpha = solve_band(picture, labels, guess, 0.003, settings.lines)
    return Track(alpha=alpha)


def _rough(labels: Labels) -> FloatImage:
    """A matte that rises across the unknown band from the background to the foreground."""
    away_bg = np.minimum(distance_to(labels == BACKGROUND), 1e6)
    away_fg = np.minimum(distance_to(labels == FOREGROUND), 1e6)
    return cast(FloatImage, (away_bg / np.maximum(away_bg + away_fg, 1e-6)).astype(np.float32))


def foreground_motion(alpha: FloatImage, flow: FlowPair, doubt_px: float) -> FloatImage:
    """Where each pixel of the new frame lies in the old one, as the foreground moves.

    alpha: (h, w) float32 matte of the old frame. flow.forward: old to new. Returns (h, w, 2) px.
    Along an edge the flow may belong to what is behind; so the motion is taken where the matte is
    solid and consistent and carried outward from there.
    """
    error = consistency_error(flow.forward, flow.backward)
    weight = alpha**4 / (1 + (error / np.float32(doubt_px)) ** 2)
    moved = spread(flow.forward, weight.astype(np.float32))
    return inverse(moved)


def step(track: Track, flow: FlowPair, picture: Picture, band: float, s: TrackSettings) -> Track:
    """The track on the next picture. flow.forward leads from the old picture to the new one."""
    back = foreground_motion(track.alpha, flow, s.doubt_px)
    carried = np.clip(warp(track.alpha, back), 0, 1)
    soft = soft_region(carried, s.soft)
    reach = dilate(soft, band + s.slack_px)
    entering = leaves_frame(back, 0.5) & dilate(soft, 4 * band)
    labels = np.where(carried > 0.5, FOREGROUND, BACKGROUND).astype(np.uint8)
    labels[reach | entering] = UNKNOWN
    alpha = solve_band(picture, labels, carried, s.trust, s.lines)
    return Track(alpha=alpha, confidence=track.confidence)


def soft_region(alpha: FloatImage, soft: float) -> NDArray[np.bool_]:
    """(h, w) bool: the alpha is soft there, or jumps from one pixel to the next."""
    hard = alpha > 0.5
    region = (alpha > soft) & (alpha < 1 - soft)
    region[:, 1:] |= hard[:, 1:] != hard[:, :-1]
    region[1:] |= hard[1:] != hard[:-1]
    return cast("NDArray[np.bool_]", region)


def key_band(labels: Labels, alpha: FloatImage, soft: float) -> float:
    """How far in px the artist painted beyond what is soft: kept as the band of every frame."""
    unknown = labels == UNKNOWN
    region = soft_region(alpha, soft) & unknown
    if not region.any():
        return band_px(labels)
    border = unknown & ~dilate_inner(unknown)
    return float(np.median(distance_to(region)[border])) if border.any() else band_px(labels)


def dilate_inner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without its outermost pixel."""
    return cast("NDArray[np.bool_]", mask & (distance_to(~mask) > 1.2))
