"""The canvas of a shot: the union of its display window and all data windows, within reason.

A frame whose window would blow the canvas up is left out of it, with the reason: one stray window
must not cost the other frames their memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median_low

from vfxmatte.io.limits import size_text, too_large
from vfxmatte.io.still import ImageHeader
from vfxmatte.types import Window

_PIXEL_BYTES = 12  # R, G, B in single precision
_FAR = 16  # times the picture, beyond which a canvas is mostly empty …
_CHEAP = 64 << 20  # … which does not matter up to here


def canvas_of(headers: Mapping[int, ImageHeader], display: Window) -> tuple[Window, dict[int, str]]:
    """The canvas over the frames' data windows, and why single frames are left out of it.

    headers: by frame number. display: the shot's display window.
    """
    canvas, refused = display, {}
    # A display window may be smaller than every picture: what all frames are cannot be stray.
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
    """Why a shot with this display window cannot be worked on; "" where it can."""
    problem = too_large(_area(display) * _PIXEL_BYTES)
    return f"the display window {display} would {problem}" if problem else ""


def _problem(canvas: Window, picture: int) -> str:
    """Why a canvas is too large; picture: pixels that are there."""
    needed = _area(canvas) * _PIXEL_BYTES
    ratio = _area(canvas) / picture
    if needed > _CHEAP and ratio > _FAR:
        return f"have {ratio:,.0f} times its pixels and take {size_text(needed)} a frame"
    return too_large(needed)


def _area(window: Window) -> int:
    return window.width * window.height
