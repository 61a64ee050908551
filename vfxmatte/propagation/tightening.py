"""A merged trimap corrected by its own picture, between two painted keyframes.

Motion alone leaves a wide band where an object turns, and misses edges that no keyframe has. The
picture knows more: where the colours say clearly what is foreground and what is background, a rough
matte is solved and the trimap is drawn anew; and a certain pixel that looks like the other side
becomes unknown. How far to trust the rough matte is found by practising on the keyframes, whose
bands a person has painted: around the rough matte's edge so much stays unknown that the keyframe's
own band would have been kept. Where the practice fails, nothing is tightened.

Pixels that both directions call unknown stay so. Knows nothing of motion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

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
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]

_FAR = 1e6  # px; deeper than any picture
_KEYFRAME_SHARE = 0.5  # of a frame's own number of examples, from each keyframe


@dataclass(frozen=True, kw_only=True)
class TighteningSettings(Checked):
    """How a trimap is corrected by its picture; sizes in px of the proxy.

    core_px: what both directions agree on is eroded by this before it is believed.
    sure: the rough matte is solid from here, and empty up to one minus this.
    trust: how strongly the rough matte leans to the colours alone.
    matte_px: longest side of the picture that the rough matte is solved on.
    practice_px: the keyframes' bands are grown by this to practise on.
    lost_share: the share of a keyframe's band that the practice may lose.
    slack_px: what is added to the width that the practice found.
    doubt_reach_px: certain pixels up to this far from the band are questioned;
    doubt: those that look like the other side with this likelihood become unknown,
    doubt_growth_px: and what is within this distance of them.
    false_alarms: but nowhere in a shot where as large a part of a keyframe's band is wrongly
        doubted on that keyframe.
    """

    core_px: float = limited(3.0, at_least=0)
    sure: float = limited(0.9, above=0.5, at_most=1)
    trust: float = limited(0.02, above=0)
    matte_px: int = limited(640, at_least=16)
    practice_px: float = limited(20.0, at_least=0)
    lost_share: float = limited(0.002, at_least=0, at_most=1)
    slack_px: float = limited(0.5, at_least=0)
    doubt_reach_px: float = limited(24.0, at_least=0)
    doubt: float = limited(0.7, at_least=0, at_most=1)
    doubt_growth_px: float = limited(6.0, at_least=0)
    false_alarms: float = limited(0.1, at_least=0, at_most=1)
    looks: AppearanceSettings = field(default_factory=AppearanceSettings)
    lines: ColourLineSettings = field(default_factory=ColourLineSettings)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    """A picture, (h, w, 3) uint8 RGB, and its appearance on the grid."""

    picture: Picture
    looks: FloatImage


@dataclass(frozen=True, kw_only=True, eq=False)
class _Depths:
    """How deep in px each pixel lies in the rough matte's solid part, and in its empty part."""

    solid: FloatImage
    empty: FloatImage


class Tightener:
    """Corrects the merged trimaps of one segment; made from its two keyframes."""

    def __init__(
        self, keyframes: Mapping[int, tuple[Labels, Picture]], settings: TighteningSettings
    ) -> None:
        """keyframes: (h, w) uint8 labels and (h, w, 3) uint8 RGB by number, at proxy size."""
        self._settings = settings
        seen = {number: self._seen(picture) for number, (_, picture) in keyframes.items()}
        self._examples = {
            number: examples(seen[number].looks, labels, settings.looks, _KEYFRAME_SHARE)
            for number, (labels, _) in keyframes.items()
        }
        keys = [(number, labels, seen[number]) for number, (labels, _) in keyframes.items()]
        practised = [self._practise(*key) for key in keys]
        self._solid_px = max(solid for solid, _ in practised) + settings.slack_px
        self._empty_px = max(empty for _, empty in practised) + settings.slack_px
        self._doubts = all(self._reliable(*key) for key in keys)

    def corrected(self, picture: Picture, before: Labels, after: Labels, merged: Labels) -> Labels:
        """The merged labels, tightened and doubted.

        Args:
            picture: (h, w, 3) uint8 RGB.
            before, after: (h, w) uint8 labels of the two directions.
            merged: (h, w) uint8 labels, unknown at least where the two differ.
        """
        if (before == after).all():
            return merged
        seen, known = self._seen(picture), list(self._examples.values())
        result = self._tightened(seen, before, after, merged, known)
        if self._doubts:
            doubted = self._doubted(seen, merged, known)
            if doubted is not None:
                result[doubted] = UNKNOWN
        return result

    def _tightened(
        self, seen: _Seen, before: Labels, after: Labels, merged: Labels, known: list[Examples]
    ) -> Labels:
        result = merged.copy()
        free = (merged == UNKNOWN) & ~((before == UNKNOWN) & (after == UNKNOWN))
        if not free.any() or min(self._solid_px, self._empty_px) >= _FAR:
            return result
        agreed = np.where(before == after, before, np.uint8(UNKNOWN))
        depths = self._depths(seen, grow(agreed, self._settings.core_px), known)
        if depths is not None:
            result[free & (depths.solid > self._solid_px)] = FOREGROUND
            result[free & (depths.empty > self._empty_px)] = BACKGROUND
        return result

    def _seen(self, picture: Picture) -> _Seen:
        return _Seen(picture=picture, looks=appearance(picture, self._settings.looks))

    def _others(self, number: int) -> list[Examples]:
        return [known for other, known in self._examples.items() if other != number]

    def _practise(self, number: int, labels: Labels, seen: _Seen) -> tuple[float, float]:
        """How deep, in the solid and in the empty part, this keyframe's painted band reaches."""
        wide = grow(labels, self._settings.practice_px)
        depths = self._depths(seen, wide, self._others(number))
        if depths is None:
            return _FAR, _FAR
        may_lose = int(self._settings.lost_share * np.count_nonzero(labels == UNKNOWN))
        asked = wide == UNKNOWN
        return (
            _largest_but(depths.solid[asked & (labels != FOREGROUND)], may_lose),
            _largest_but(depths.empty[asked & (labels != BACKGROUND)], may_lose),
        )

    def _reliable(self, number: int, labels: Labels, seen: _Seen) -> bool:
        """Few enough of a keyframe's certain pixels would be doubted, all of them wrongly."""
        doubted = self._doubted(seen, labels, self._others(number))
        if doubted is None:
            return False
        wrong = int(np.count_nonzero(doubted & (labels != UNKNOWN)))
        return wrong <= self._settings.false_alarms * int(np.count_nonzero(labels == UNKNOWN))

    def _depths(self, seen: _Seen, core: Labels, known: list[Examples]) -> _Depths | None:
        """From a rough matte of what `core` leaves unknown; None where colours cannot tell."""
        settings = self._settings
        own = examples(seen.looks, core, settings.looks)
        step = settings.looks.stride(core.shape)
        coarse = core[::step, ::step]
        asked = coarse == UNKNOWN
        likelihood = foreground_likelihood(
            seen.looks[asked], Examples.joined([own, *known]), settings.looks
        )
        if likelihood is None:
            return None
        guess = (coarse == FOREGROUND).astype(np.float32)
        guess[asked] = likelihood
        guess = cv2.resize(guess, (core.shape[1], core.shape[0]))
        guess = cv2.GaussianBlur(guess, (0, 0), 1.5).astype(np.float32, copy=False)
        matte = self._rough_matte(seen.picture, core, guess)
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

    def _doubted(self, seen: _Seen, labels: Labels, known: list[Examples]) -> Mask | None:
        """(h, w) bool: what surrounds certain pixels that look like the other side."""
        settings = self._settings
        questioned = grow(labels, settings.doubt_reach_px)
        own = examples(seen.looks, questioned, settings.looks)
        step = settings.looks.stride(labels.shape)
        coarse = labels[::step, ::step]
        asked = (questioned[::step, ::step] == UNKNOWN) & (coarse != UNKNOWN)
        likelihood = foreground_likelihood(
            seen.looks[asked], Examples.joined([own, *known]), settings.looks
        )
        if likelihood is None:
            return None
        believed = np.where(coarse[asked] == FOREGROUND, likelihood, 1 - likelihood)
        unlike = np.zeros(labels.shape, bool)
        points = unlike[::step, ::step]
        points[asked] = believed < 1 - settings.doubt
        return dilate(unlike, settings.doubt_growth_px)


def _depth(mask: Mask) -> FloatImage:
    depth: FloatImage = np.minimum(distance_to(~mask), _FAR / 2)
    return depth


def _largest_but(values: FloatImage, left_out: int) -> float:
    """The largest value but so many; 0 where there are no more."""
    if left_out >= values.size:
        return 0.0
    return float(np.partition(values, values.size - 1 - left_out)[values.size - 1 - left_out])
