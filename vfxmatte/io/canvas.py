"""Compute the canvas of a shot: the union of its display window and all data windows.

A frame whose window would enlarge the canvas excessively is left out, with the reason: one stray
window must not exhaust the memory of the other frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median_low

import numpy as np

from vfxmatte.io.stills.image import ImageHeader
from vfxmatte.io.stills.limits import size_text, too_large
from vfxmatte.types import FloatImage, Window

_PIXEL_BYTES = 12  # R, G, B in single precision
_FAR = 16  # a canvas of more than this many times the picture is mostly empty …
_CHEAP = 64 << 20  # … which does not matter up to this many bytes


def canvas_of(headers: Mapping[int, ImageHeader], display: Window) -> tuple[Window, dict[int, str]]:
    """Return the canvas over the frames' data windows, and why single frames are left out.

    Args:
        headers: by frame number.
        display: the shot's display window.
    """
    canvas, refused = display, {}
    # A display window may be smaller than every picture: what is usual cannot be stray.
    usual = median_low([_area(header.data_window) for header in headers.values()])
    picture = max(_area(display), usual)
    for number, header in headers.items():
        larger = canvas.union(header.data_window)
        problem = _problem(larger, picture) if larger != canvas else ""
        if problem:
            refused[number] = (
                f"its data window {header.data_window} lies far outside the display window "
                f"{display}: a canvas that holds both would {problem}"
            )
        else:
            canvas = larger
    return canvas, refused


def display_problem(display: Window) -> str:
    """Explain why a shot with this display window does not fit; "" if it does."""
    problem = too_large(_area(display) * _PIXEL_BYTES)
    return f"the display window {display} would {problem}" if problem else ""


def crop(values: FloatImage, canvas: Window, window: Window) -> FloatImage:
    """Crop an array over `canvas` to `window`; 0 outside the canvas."""
    if canvas.contains(window):
        return values[window.slices_in(canvas)]
    return lay_on(values, canvas, window)


def lay_on(values: FloatImage, window: Window, canvas: Window) -> FloatImage:
    """Place an array over `window` on `canvas`: cropped where larger, 0 where smaller."""
    if window == canvas:
        return np.ascontiguousarray(values)
    laid = np.zeros((*canvas.shape, *values.shape[2:]), values.dtype)
    common = window.intersection(canvas)
    if common is not None:
        laid[common.slices_in(canvas)] = values[common.slices_in(window)]
    return laid


def _problem(canvas: Window, picture: int) -> str:
    """Explain why a canvas is too large for a picture of so many pixels; "" if it is not."""
    needed = _area(canvas) * _PIXEL_BYTES
    ratio = _area(canvas) / picture
    if needed > _CHEAP and ratio > _FAR:
        return f"have {ratio:,.0f} times its pixels and take {size_text(needed)} a frame"
    return too_large(needed)


def _area(window: Window) -> int:
    return window.width * window.height
