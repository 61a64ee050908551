"""The look of a frame by a keyframe: colours to compare, and how deep the keyframe's band is.

Foreground is looked up along the foreground's motion and background along the background's, so
that a frame's picture can be compared with what the keyframe says is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.propagation.flow import halved, halved_shape, looked_up, positions
from vfxmatte.propagation.one_direction import Step
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Mask, Picture

UNSEEN = 255
"""A difference where the keyframe shows nothing of this label."""

_BLUR_PX = 0.5  # standard deviation, at half size
_AROUND = np.ones((3, 3), np.uint8)  # colours within a pixel at half size count as equal
_LARGEST = 254.0

Plane = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """One frame as seen from keyframes; (h/2, w/2) uint8 planes."""

    foreground: Plane
    """Colour difference from the keyframes' foreground, in 8-bit Lab units, or UNSEEN."""
    background: Plane
    """Colour difference from their background."""
    depth: Plane
    """How deep in solid foreground the painted band reaches around here, in px of the proxy."""

    def joined(self, other: Look) -> Look:
        """Combine with another keyframe's: the smaller differences and the larger depth."""
        return Look(
            foreground=np.minimum(self.foreground, other.foreground),
            background=np.minimum(self.background, other.background),
            depth=np.maximum(self.depth, other.depth),
        )

    def difference(self, labels: Labels) -> FloatImage:
        """Measure how far a picture is from what the keyframe shows of each pixel's label.

        Args:
            labels: (h, w) uint8, the keyframe's own, tracked to the picture.

        Returns:
            (h, w) float32 in 8-bit Lab units; UNSEEN where the keyframe shows nothing of a label,
            the smaller difference where a label is unknown.
        """
        either = np.minimum(self.foreground, self.background)
        size = labels.shape[::-1]
        foreground, background, unknown = (
            cv2.resize(plane, size, interpolation=cv2.INTER_NEAREST)
            for plane in (self.foreground, self.background, either)
        )
        certain = np.where(labels == FOREGROUND, foreground, background)
        return np.where(labels == UNKNOWN, unknown, certain).astype(np.float32)

    def planes(self) -> Plane:
        """Return (3, h/2, w/2) uint8."""
        return np.stack([self.foreground, self.background, self.depth])

    @classmethod
    def of_planes(cls, planes: Plane) -> Look:
        """Reverse `planes`."""
        return cls(foreground=planes[0], background=planes[1], depth=planes[2])


class KeyframeLook:
    """The colours and the band's depth of one keyframe; may be used in several threads."""

    def __init__(self, labels: Labels, picture: Picture, depth: FloatImage) -> None:
        """Take (h, w) labels, their (h, w, 3) picture, and the (h, w) depth in px of the band."""
        colours = compared_colours(picture)
        self._ends = cv2.erode(colours, _AROUND), cv2.dilate(colours, _AROUND)
        shape = halved_shape(labels.shape)
        self._is = {label: certain(labels == label, shape) for label in (BACKGROUND, FOREGROUND)}
        ceiled = np.ceil(np.minimum(depth, _LARGEST)).astype(np.uint8)
        self._depth = cv2.resize(
            cv2.dilate(ceiled, _AROUND), shape[::-1], interpolation=cv2.INTER_NEAREST
        )

    def look(self, picture: Picture, step: Step) -> Look:
        """Compare an (h, w, 3) picture, which `step` has tracked the keyframe to, with it."""
        colours, start = compared_colours(picture), positions(step.away.shape[:2])
        front, behind = start + step.away, start + step.behind
        return Look(
            foreground=self._difference(colours, front, FOREGROUND),
            background=self._difference(colours, behind, BACKGROUND),
            depth=cast(Plane, looked_up(self._depth, front, cv2.INTER_NEAREST)),
        )

    def _difference(self, colours: FloatImage, where: FloatImage, label: int) -> Plane:
        low, high = (looked_up(end, where) for end in self._ends)
        distance = np.minimum(beyond_range(colours, low, high), _LARGEST)
        second_map: Any = None
        seen = cv2.remap(self._is[label], where, second_map, cv2.INTER_NEAREST)  # 0 outside
        return np.where(seen > 0, np.rint(distance), UNSEEN).astype(np.uint8)


_ONES = np.ones((1, 3), np.float32)


def compared_colours(picture: Picture) -> FloatImage:
    """Return (h/2, w/2, 3) float32 colours of an (h, w, 3) picture, in 8-bit Lab units."""
    lab = cv2.cvtColor(halved(picture), cv2.COLOR_RGB2Lab).astype(np.float32)
    return cast(FloatImage, cv2.GaussianBlur(lab, (0, 0), _BLUR_PX))


def beyond_range(colours: NDArray[Any], low: FloatImage, high: FloatImage) -> FloatImage:
    """Measure how far (h, w, 3) colours lie outside a range, (h, w) float32; 0 inside."""
    beyond = np.maximum(np.maximum(low - colours, colours - high), 0)
    return cast(FloatImage, np.sqrt(cv2.transform(beyond * beyond, _ONES)))


def certain(region: Mask, shape: tuple[int, int]) -> Plane:
    """Reduce a region to half size: 1 where all of a pixel is inside, else 0."""
    share = cv2.resize(region.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return (share > 0.99).astype(np.uint8)
