"""Correct a merged trimap by the frame's own picture, between two painted keyframes.

Motion alone leaves a wide band where an object turns, and misses edges that no keyframe has. Where
colours separate foreground from background, a rough matte is solved and the band redrawn around
its edge; a certain pixel that looks like the other side becomes unknown. The width of the band is
calibrated on the two keyframes: wide enough that their own painted bands would have been kept.
Where the calibration fails, nothing is tightened. Pixels unknown in both directions stay unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import cv2
import numpy as np

from vfxmatte.common.checked import Checked, limited
from vfxmatte.propagation.appearance import (
    AppearanceSettings,
    Examples,
    appearance,
    examples,
    foreground_likelihood,
)
from vfxmatte.propagation.colour_lines import ColourLineSettings, solve_band
from vfxmatte.trimaps import dilate, distance_to, grow, resized
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Mask, Picture

_FAR = 1e6  # px; deeper than any picture
_KEYFRAME_SHARE = 0.5  # examples from each keyframe, relative to those from the frame itself
_GUESS_BLUR = 1.5  # standard deviation in px; smooths the steps of the coarse grid


@dataclass(frozen=True, kw_only=True)
class TighteningSettings(Checked):
    """Settings for correcting a trimap by its picture; sizes in px of the proxy."""

    core_px: float = limited(3.0, at_least=0)
    """Erosion of what both directions agree on, before it is used."""
    sure: float = limited(0.9, above=0.5, at_most=1)
    """The rough matte is solid above this, empty below one minus this."""
    trust: float = limited(0.02, above=0)
    """Weight of the colours' likelihood in the rough matte."""
    matte_px: int = limited(640, at_least=16)
    """Longest side of the rough matte."""
    practice_px: float = limited(20.0, at_least=0)
    """Growth of the keyframes' bands for the calibration."""
    practice_reach_px: float = limited(32.0, at_least=0)
    """How deep a keyframe's band reaches into solid foreground counts within this distance …"""
    least_px: float = limited(3.0, at_least=0)
    """… and that is at least so much, unless the largest of both keyframes is less."""
    lost_share: float = limited(0.002, at_least=0, at_most=1)
    """Share of a keyframe's band that the calibration may lose."""
    slack_px: float = limited(0.5, at_least=0)
    """Added to the calibrated width."""
    doubt_reach_px: float = limited(24.0, at_least=0)
    """Certain pixels within this distance of the band are checked."""
    doubt: float = limited(0.7, at_least=0, at_most=1)
    """Those this likely to belong to the other side become unknown …"""
    doubt_growth_px: float = limited(6.0, at_least=0)
    """… and so do pixels within this distance of them."""
    false_alarms: float = limited(0.1, at_least=0, at_most=1)
    """No doubts if on a keyframe more than this share of its band would be doubted wrongly."""
    looks: AppearanceSettings = field(default_factory=AppearanceSettings)
    lines: ColourLineSettings = field(default_factory=ColourLineSettings)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Featured:
    """An (h, w, 3) uint8 RGB picture and its appearance features on the grid."""

    picture: Picture
    features: FloatImage


@dataclass(frozen=True, kw_only=True, eq=False)
class _Depths:
    """Depth in px of each pixel in the rough matte's solid part, and in its empty part."""

    solid: FloatImage
    empty: FloatImage


class Tightener:
    """Corrects the merged trimaps of one segment, calibrated on its two keyframes."""

    def __init__(
        self, keyframes: Mapping[int, tuple[Labels, Picture]], settings: TighteningSettings
    ) -> None:
        """Calibrate on (h, w) uint8 labels and (h, w, 3) uint8 RGB by number, at proxy size."""
        self._settings = settings
        view = {number: self._featured(picture) for number, (_, picture) in keyframes.items()}
        self._depth: dict[int, FloatImage] = {}
        self._examples = {
            number: examples(view[number].features, labels, settings.looks, _KEYFRAME_SHARE)
            for number, (labels, _) in keyframes.items()
        }
        keys = [(number, labels, view[number]) for number, (labels, _) in keyframes.items()]
        depths = [self._calibrate(*key) for key in keys]
        self._solid_px = max(solid for solid, _ in depths) + settings.slack_px
        self._empty_px = max(empty for _, empty in depths) + settings.slack_px
        self._doubts = all(self._reliable(*key) for key in keys)

    def band_depth(self, number: int) -> FloatImage:
        """Return how deep a keyframe's band reaches into its rough matte's solid part around each
        pixel, (h, w) float32 px."""
        return self._depth[number]

    def corrected(
        self,
        picture: Picture,
        before: Labels,
        after: Labels,
        merged: Labels,
        *,
        doubtful: Mask | None = None,
        depth: FloatImage | None = None,
    ) -> Labels:
        """Tighten merged labels, and mark doubtful pixels unknown.

        Args:
            picture: (h, w, 3) uint8 RGB.
            before, after: (h, w) uint8 labels of the two directions.
            merged: (h, w) uint8 labels, unknown at least where the two differ.
            doubtful: (h, w) bool, what is not to be believed though both directions agree on it.
            depth: (h, w) px, the keyframes' `band_depth` along the motion; None for the largest.
        """
        if doubtful is not None and doubtful.any():
            merged = np.where(doubtful, np.uint8(UNKNOWN), merged)
        elif (before == after).all():
            return merged
        view, known = self._featured(picture), list(self._examples.values())
        agreed = np.where(before == after, before, np.uint8(UNKNOWN))
        if doubtful is not None:
            agreed[doubtful] = UNKNOWN
        both = (before == UNKNOWN) & (after == UNKNOWN)
        result = self._tightened(view, agreed, merged, (merged == UNKNOWN) & ~both, depth)
        if self._doubts:
            doubted = self._doubted(view, merged, known)
            if doubted is not None:
                result[doubted] = UNKNOWN
        return result

    def _tightened(
        self, view: _Featured, agreed: Labels, merged: Labels, free: Mask, depth: FloatImage | None
    ) -> Labels:
        result = merged.copy()
        if not free.any() or min(self._solid_px, self._empty_px) >= _FAR:
            return result
        core = grow(agreed, self._settings.core_px)
        depths = self._depths(view, core, list(self._examples.values()))
        if depths is not None:
            solid_px: FloatImage | float = self._solid_px
            if depth is not None:
                local = np.maximum(depth, self._settings.least_px) + self._settings.slack_px
                solid_px = np.minimum(local, solid_px)
            result[free & (depths.solid > solid_px)] = FOREGROUND
            result[free & (depths.empty > self._empty_px)] = BACKGROUND
        return result

    def _featured(self, picture: Picture) -> _Featured:
        return _Featured(picture=picture, features=appearance(picture, self._settings.looks))

    def _others(self, number: int) -> list[Examples]:
        return [known for other, known in self._examples.items() if other != number]

    def _calibrate(self, number: int, labels: Labels, view: _Featured) -> tuple[float, float]:
        """Measure how deep a keyframe's painted band reaches into the solid and the empty part."""
        wide = grow(labels, self._settings.practice_px)
        depths = self._depths(view, wide, self._others(number))
        if depths is None:
            self._depth[number] = np.full(labels.shape, np.float32(_FAR))
            return _FAR, _FAR
        may_lose = int(self._settings.lost_share * np.count_nonzero(labels == UNKNOWN))
        queried = wide == UNKNOWN
        painted = np.where(queried & (labels != FOREGROUND), depths.solid, np.float32(0))
        self._depth[number] = _largest_around(painted, self._settings.practice_reach_px)
        return (
            _largest_without(depths.solid[queried & (labels != FOREGROUND)], may_lose),
            _largest_without(depths.empty[queried & (labels != BACKGROUND)], may_lose),
        )

    def _reliable(self, number: int, labels: Labels, view: _Featured) -> bool:
        """Return True if few of a keyframe's certain pixels would be doubted (all wrongly)."""
        doubted = self._doubted(view, labels, self._others(number))
        if doubted is None:
            return False
        wrong = int(np.count_nonzero(doubted & (labels != UNKNOWN)))
        return wrong <= self._settings.false_alarms * int(np.count_nonzero(labels == UNKNOWN))

    def _depths(self, view: _Featured, core: Labels, known: list[Examples]) -> _Depths | None:
        """Solve a rough matte of what `core` leaves unknown; None if colours cannot tell."""
        settings = self._settings
        own = examples(view.features, core, settings.looks)
        step = settings.looks.stride(core.shape)
        coarse = core[::step, ::step]
        queried = coarse == UNKNOWN
        likelihood = foreground_likelihood(
            view.features[queried], Examples.joined([own, *known]), settings.looks
        )
        if likelihood is None:
            return None
        guess = (coarse == FOREGROUND).astype(np.float32)
        guess[queried] = likelihood
        guess = cv2.resize(guess, (core.shape[1], core.shape[0]))
        guess = cv2.GaussianBlur(guess, (0, 0), _GUESS_BLUR).astype(np.float32, copy=False)
        matte = self._rough_matte(view.picture, core, guess)
        solid = (matte > settings.sure) & (guess > 0.5)
        empty = (matte < 1 - settings.sure) & (guess < 0.5)
        return _Depths(solid=_depth(solid), empty=_depth(empty))

    def _rough_matte(self, picture: Picture, core: Labels, guess: FloatImage) -> FloatImage:
        settings, (height, width) = self._settings, core.shape
        scale = min(1.0, settings.matte_px / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        small = cast(Picture, cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
        labels = resized(core, (size[1], size[0]))
        lean = cast(FloatImage, cv2.resize(guess, size))
        matte = solve_band(small, labels, lean, settings.trust, settings.lines)
        return cast(FloatImage, cv2.resize(matte, (width, height)))

    def _doubted(self, view: _Featured, labels: Labels, known: list[Examples]) -> Mask | None:
        """Select the surroundings, (h, w) bool, of certain pixels that look like the other side."""
        settings = self._settings
        checked = grow(labels, settings.doubt_reach_px)
        own = examples(view.features, checked, settings.looks)
        step = settings.looks.stride(labels.shape)
        coarse = labels[::step, ::step]
        queried = (checked[::step, ::step] == UNKNOWN) & (coarse != UNKNOWN)
        likelihood = foreground_likelihood(
            view.features[queried], Examples.joined([own, *known]), settings.looks
        )
        if likelihood is None:
            return None
        believed = np.where(coarse[queried] == FOREGROUND, likelihood, 1 - likelihood)
        unlike = np.zeros(labels.shape, bool)
        points = unlike[::step, ::step]
        points[queried] = believed < 1 - settings.doubt
        return dilate(unlike, settings.doubt_growth_px)


def _depth(mask: Mask) -> FloatImage:
    depth: FloatImage = np.minimum(distance_to(~mask), _FAR / 2)
    return depth


def _largest_around(values: FloatImage, reach_px: float) -> FloatImage:
    """Compute the largest value within a square around each pixel; specks do not count."""
    without = cv2.morphologyEx(values, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    side = 2 * round(reach_px) + 1
    return cast(FloatImage, cv2.dilate(without, np.ones((side, side), np.uint8)))


def _largest_without(values: FloatImage, left_out: int) -> float:
    """Return the largest value after leaving out some; 0 if none is left."""
    if left_out >= values.size:
        return 0.0
    return float(np.partition(values, values.size - 1 - left_out)[values.size - 1 - left_out])
