"""Create trimaps from painted values or mattes; place, grow, shrink and resize them.

A trimap's labels are (H, W) uint8 with 0 background, 128 unknown and 255 foreground. Distances are
measured to pixels inside the picture only, so no false band appears along the frame's edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import TrimapError
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Mask, Window

Value = TypeVar("Value", bound=np.generic)

BACKGROUND_BELOW = 0.05
"""Painted values up to this are background; tolerates video noise, 8-bit rounding and JPEG."""

FOREGROUND_ABOVE = 0.95
"""Painted values from this on are foreground; all between the two are unknown."""

SOFT_LOW, SOFT_HIGH = 0.02, 0.98
"""An alpha strictly between these is soft: such a pixel must be unknown in a good trimap."""


_SMALL_PX = 8  # up to this radius cv2.dilate is faster than a distance transform
_NEARLY_ALL = 0.8  # of a reduced pixel's area
_EDGE_DISTANCES = np.array((-2, -1.4, -1, 1, 1.4, 2), np.float32)


def labels_from_values(values: FloatImage) -> Labels:
    """Convert a painted picture with 0 background, 0.5 unknown, 1 foreground to labels.

    An anti-aliased edge from 0 to 1 becomes unknown, as it should: the pixel is partly both.

    Args:
        values: (H, W) float32, nominally in [0, 1].
    Raises:
        TrimapError: there are NaN pixels.
    """
    if np.isnan(values).any():
        raise TrimapError("the trimap has NaN pixels", hint="paint 0, 0.5 and 1 only")
    labels = np.full(values.shape, UNKNOWN, np.uint8)
    labels[values <= BACKGROUND_BELOW] = BACKGROUND
    labels[values >= FOREGROUND_ABOVE] = FOREGROUND
    return labels


def labels_from_image(pixels: FloatImage, names: Sequence[str] | None = None) -> Labels:
    """Convert a picture file's pixels to labels: grey, RGB, or a painted alpha channel.

    The alpha channel is used if it varies and the colour is constant, or if there is no colour.

    Args:
        pixels: (H, W) or (H, W, C) float32 in [0, 1], encoded as painted (no colour conversion).
        names: names of the C channels, e.g. ["R", "G", "B", "A"]; by default from their count.
    """
    planes = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    colour, alpha = _colour_and_alpha(planes, names)
    if colour is None or (alpha is not None and np.ptp(colour) == 0 and np.ptp(alpha) > 0):
        return labels_from_values(cast(FloatImage, alpha))
    return labels_from_values(colour)


def _colour_and_alpha(
    planes: FloatImage, names: Sequence[str] | None
) -> tuple[FloatImage | None, FloatImage | None]:
    """Return the mean of the colour planes, and the alpha plane; one of them may be None."""
    count = planes.shape[2]
    usual = {1: ["Y"], 2: ["Y", "A"], 3: ["R", "G", "B"], 4: ["R", "G", "B", "A"]}
    listed = list(names) if names is not None else usual.get(count, [])
    if len(listed) != count:
        raise TrimapError(
            f"a trimap with {count} channels and the names {listed} is not understood",
            hint="save it as grey, as RGB, or with the trimap in the alpha",
        )
    ends = [name.rsplit(".", 1)[-1].casefold() for name in listed]
    alphas = [i for i, end in enumerate(ends) if end in ("a", "alpha")]
    colours = [i for i, end in enumerate(ends) if end in ("r", "g", "b", "red", "green", "blue")]
    others = [i for i in range(count) if i not in alphas and i not in colours]
    chosen = colours or others[:1]
    colour = planes[..., chosen].mean(axis=2, dtype=np.float32) if chosen else None
    return colour, planes[..., alphas[0]] if alphas else None


def place(
    labels: NDArray[Value],
    window: Window | None,
    *,
    canvas: Window,
    display_window: Window,
    data_window: Window | None = None,
    name: str = "trimap",
) -> NDArray[Value]:
    """Fit a trimap, or another picture that was painted over the plate, to the shot's canvas.

    One that covers only a part of the canvas is extended outward by its edge.

    Args:
        labels: (h, w) labels or values as read.
        window: the window of the labels according to the file (EXR), or None.
        canvas: the window of the shot's frames; the result's shape.
        display_window, data_window: the plate's; a file without a window may have their size.
        name: of the kind of picture, for messages.
    Raises:
        TrimapError: the size is that of none of the windows.
    """
    covered = covered_window(
        labels.shape,
        window,
        canvas=canvas,
        display_window=display_window,
        data_window=data_window,
        name=name,
    )
    inside = covered.intersection(canvas)
    if inside is None:
        raise TrimapError(f"the {name}'s window {covered} lies outside of the plate's {canvas}")
    rows, columns = inside.slices_in(covered)
    top, bottom = inside.y_min - canvas.y_min, canvas.y_max - inside.y_max
    left, right = inside.x_min - canvas.x_min, canvas.x_max - inside.x_max
    return np.pad(labels[rows, columns], ((top, bottom), (left, right)), mode="edge")


def covered_window(
    shape: tuple[int, ...],
    window: Window | None,
    *,
    canvas: Window,
    display_window: Window,
    data_window: Window | None = None,
    name: str = "trimap",
) -> Window:
    """Return the window that a picture of (h, w) covers; for arguments and errors see `place`."""
    known = [w for w in (canvas, display_window, data_window) if w is not None]
    covered = window if window is not None and window.shape == shape else None
    if covered is None or covered.shape not in [w.shape for w in known]:
        covered = next((w for w in known if w.shape == shape), None)
    if covered is None:
        height, width = shape
        raise TrimapError(
            f"the {name} is {width}x{height}, the plate is "
            f"{display_window.width}x{display_window.height}",
            hint=f"paint the {name} at the plate's own size; nothing is ever resized to fit",
        )
    return covered


def distance_to(mask: Mask) -> FloatImage:
    """Compute the distance in px, (H, W) float32, of each pixel to an (H, W) mask; 0 inside.

    Euclidean; infinite everywhere for an empty mask.
    """
    if not mask.any():
        return np.full(mask.shape, np.inf, np.float32)
    away = np.ascontiguousarray(~mask, dtype=np.uint8)
    distance = cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_5)
    return cast(FloatImage, distance)


def dilate(mask: Mask, radius_px: float) -> Mask:
    """Dilate a mask by a disc: all pixels within `radius_px` by `distance_to`."""
    if radius_px <= 0 or not mask.any():
        return mask
    if radius_px <= _SMALL_PX:  # equal result, faster
        return cv2.dilate(mask.view(np.uint8), _disc(radius_px)).view(bool)
    grown, box = np.zeros_like(mask), box_around(mask, int(radius_px) + 2)
    grown[box] = distance_to(mask[box]) <= radius_px
    return grown


def box_around(mask: Mask, margin_px: int) -> tuple[slice, slice]:
    """Return rows and columns of the mask's bounding box plus a margin on each side.

    The mask must not be empty. The box may exceed the picture's lower and right edge.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(0, int(rows[0]) - margin_px), int(rows[-1]) + 1 + margin_px),
        slice(max(0, int(columns[0]) - margin_px), int(columns[-1]) + 1 + margin_px),
    )


@lru_cache(maxsize=64)
def _disc(radius_px: float) -> NDArray[np.uint8]:
    side = 2 * int(radius_px) + 3
    point = np.zeros((3 * side, 3 * side), bool)
    point[len(point) // 2, len(point) // 2] = True
    return (distance_to(point) <= radius_px)[side:-side, side:-side].astype(np.uint8)


def from_matte(alpha: FloatImage, *, erode_px: float, dilate_px: float) -> Labels:
    """Create a trimap from a roto or a rough matte.

    Foreground is the solid part (alpha >= 0.98) eroded by a disc, background the complement of the
    support (alpha > 0.02) dilated by a disc. Soft pixels are always unknown.

    Args:
        alpha: (H, W) float32 in [0, 1].
        erode_px: reach of the unknown band into the solid part; not negative.
        dilate_px: its reach from the support into the background; not negative.
    """
    if erode_px < 0 or dilate_px < 0:
        raise ValueError(f"erode_px and dilate_px must not be negative: {erode_px}, {dilate_px}")
    solid, empty = alpha >= SOFT_HIGH, alpha <= SOFT_LOW
    labels = np.full(alpha.shape, UNKNOWN, np.uint8)
    labels[solid & (distance_to(~solid) > erode_px)] = FOREGROUND
    labels[empty & (distance_to(~empty) > dilate_px)] = BACKGROUND
    return labels


def grow(labels: Labels, radius_px: float) -> Labels:
    """Dilate the unknown region by a disc; below 0, `shrink` it."""
    if radius_px < 0:
        return shrink(labels, -radius_px)
    grown = labels.copy()
    grown[dilate(labels == UNKNOWN, radius_px)] = UNKNOWN
    return grown


def shrink(labels: Labels, radius_px: float) -> Labels:
    """Narrow the unknown region: foreground and background each grow into it by a disc.

    A pixel that both would reach stays unknown, so a narrow band keeps its middle line.
    """
    unknown = labels == UNKNOWN
    to_foreground = distance_to(labels == FOREGROUND)
    to_background = distance_to(labels == BACKGROUND)
    near_foreground, near_background = to_foreground <= radius_px, to_background <= radius_px
    shrunk = labels.copy()
    shrunk[unknown & near_foreground & ~near_background] = FOREGROUND
    shrunk[unknown & near_background & ~near_foreground] = BACKGROUND
    return shrunk


def oddity(labels: Labels) -> str:
    """Describe what is unusual about a painted trimap; "" if nothing is."""
    unknown = labels == UNKNOWN
    if not unknown.any():
        for label, name in ((FOREGROUND, "foreground"), (BACKGROUND, "background")):
            if (labels == label).all():
                return f"all of it is {name}"
        return "nothing is unknown: the trimap itself is the matte"
    if unknown.all():
        return "everything is unknown: paint what is certainly foreground and background"
    if not (labels == FOREGROUND).any():
        return "nothing is marked as foreground"
    if not (labels == BACKGROUND).any():
        return "nothing is marked as background"
    return ""


def band_px(labels: Labels) -> float:
    """Estimate the half-width in px of the painted band; 0 if nothing is unknown.

    The median distance to certain pixels along the unknown region's ridge: about r for a band
    painted with a brush of radius r, robust against single wide patches.
    """
    unknown = labels == UNKNOWN
    if not unknown.any() or unknown.all():
        return 0.0
    depth = distance_to(~unknown)
    ridge = unknown & (depth >= cv2.dilate(depth, np.ones((3, 3), np.uint8)) - 1e-3)
    return float(np.median(depth[ridge]))


def resized(labels: Labels, shape: tuple[int, int], *, growth_px: float = 0.0) -> Labels:
    """Resize labels with clean edges, and grow the unknown by growth_px of the new size.

    Enlarging interpolates signed distances, so edges stay smooth. Reducing keeps a pixel certain
    only if nearly all that it covers is, so thin bands survive.
    """
    height, width = shape
    if labels.shape == (height, width):
        return grow(labels, growth_px) if growth_px > 0 else labels.copy()
    resize = _enlarged if height * width > labels.size else _reduced
    background, foreground = (resize(labels == label, shape) for label in (BACKGROUND, FOREGROUND))
    result: Labels = np.invert(background, out=background).view(np.uint8)
    result *= np.uint8(UNKNOWN)
    np.copyto(result, np.uint8(FOREGROUND), where=foreground)
    return grow(result, growth_px) if growth_px > 0 else result


def of_blocks(ufunc: np.ufunc, labels: Labels, factor: int) -> Labels:
    """Reduce squares of `factor` pixels by a function of two arguments."""
    rows = ufunc.reduce([labels[first::factor] for first in range(factor)])
    return np.asarray(ufunc.reduce([rows[:, first::factor] for first in range(factor)]))


def _enlarged(mask: Mask, shape: tuple[int, int]) -> Mask:
    """Enlarge a mask to (H, W) bool."""
    signed = cv2.resize(_edge_distance(mask), shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(signed > 0)


def _reduced(mask: Mask, shape: tuple[int, int]) -> Mask:
    """Reduce a mask to (H, W) bool: True where nearly all of a pixel is inside."""
    share = cv2.resize(mask.astype(np.float32), shape[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(share > _NEARLY_ALL)


def _edge_distance(mask: Mask) -> FloatImage:
    """Compute the signed distance in px to the edge, positive inside, limited to 2 px.

    That is enough to interpolate an edge, which lies next to both of its pixels.
    """
    inside, cross = mask.view(np.uint8), _disc(1)[1:-1, 1:-1]
    square = np.ones((3, 3), np.uint8)
    steps = inside + cv2.erode(inside, cross) + cv2.erode(inside, square)
    steps += cv2.dilate(inside, cross) + cv2.dilate(inside, square)
    distances: FloatImage = _EDGE_DISTANCES[steps]
    return distances
