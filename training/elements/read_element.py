"""Conversion of an element's files to the colour and alpha that a pack holds.

EXR is premultiplied and scene-linear: it is un-premultiplied, exposed and sRGB-encoded. All other
formats are encoded already, and straight but for TIFF that says that its alpha is associated.
Colour that is missing under low alpha is extended.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.elements.extend_colour import TRUSTED_ALPHA, extend_colour
from training.elements.library import ElementFile
from training.elements.pack import Background, Element
from vfxmatte.colour import encode_for_network
from vfxmatte.errors import TrainingError
from vfxmatte.io.stills.image import ImageHeader
from vfxmatte.types import FloatImage

EXPOSED_TO = 0.9
"""Scene-linear value that an EXR element's highlights are exposed to, if out of range."""

_HIGHLIGHTS = 99.5  # percentile, so that a few sparkles do not decide
_DARKEST_HIGHLIGHTS = 0.2  # darker highlights are taken for underexposure


@dataclass(frozen=True, kw_only=True, eq=False)
class RawElement:
    """An element as stored in its files."""

    colour: FloatImage
    """(H, W, 3) float32: straight and encoded, NaN where a file has none; or premultiplied and
    scene-linear."""
    alpha: FloatImage | None
    """(H, W) float32 as stored, or None."""
    is_linear: bool
    """Whether colour is premultiplied and scene-linear (EXR)."""
    is_deep: bool
    """Whether alpha has more than 8 bits."""


def read_raw(element: ElementFile) -> RawElement:
    """Read an element's files.

    Raises:
        PlateError: a file cannot be read.
        TrainingError: colour and alpha differ in size.
    """
    from vfxmatte.io.stills.reading import read_image

    image = read_image(element.path)
    header = image.header
    colour = _on_display_window(image.colour, header)
    alpha = None if image.alpha is None else _on_display_window(image.alpha, header)
    if alpha is not None and _is_associated(header):
        colour = _straight(colour, alpha)
    deep = header.bits > 8
    if element.alpha_path is not None:
        matte = read_image(element.alpha_path)
        plane = matte.alpha if matte.alpha is not None else matte.pixels[..., 0]
        alpha, deep = _on_display_window(plane, matte.header), matte.header.bits > 8
        if alpha.shape != colour.shape[:2]:
            raise TrainingError(
                f"colour is {colour.shape[1]}x{colour.shape[0]}, alpha "
                f"{alpha.shape[1]}x{alpha.shape[0]}",
                path=element.alpha_path,
            )
    return RawElement(colour=colour, alpha=alpha, is_linear=header.file_type == "EXR", is_deep=deep)


def _on_display_window(plane: FloatImage, header: ImageHeader) -> FloatImage:
    """Return the picture's display window, 0 where the file has no data."""
    data, display = header.data_window, header.display_window
    if data == display:
        return plane
    canvas = np.zeros((*display.shape, *plane.shape[2:]), np.float32)
    common = data.intersection(display)
    if common is not None:
        canvas[common.slices_in(display)] = plane[common.slices_in(data)]
    return canvas


def _is_associated(header: ImageHeader) -> bool:
    """Return True for encoded colour that is premultiplied."""
    return header.file_type == "TIFF" and not header.metadata.get("oiio:UnassociatedAlpha")


def straight_linear_colour(raw: RawElement, alpha: FloatImage) -> FloatImage:
    """Un-premultiply a scene-linear element; NaN where alpha is too low."""
    return _straight(raw.colour, alpha)


def _straight(colour: FloatImage, alpha: FloatImage) -> FloatImage:
    with np.errstate(divide="ignore", invalid="ignore"):
        straight = colour / alpha[..., None]
    return np.where(alpha[..., None] >= TRUSTED_ALPHA / 4, straight, np.nan).astype(np.float32)


def exposure(straight: FloatImage, alpha: FloatImage) -> float:
    """Compute the factor that brings a scene-linear element's highlights into range.

    The 99.5th percentile of the largest channel, where alpha > 0.5, goes to `EXPOSED_TO` if it is
    above that or below 0.2; else the factor is 1.
    """
    brightest = straight.max(axis=2)[alpha > 0.5]
    brightest = brightest[np.isfinite(brightest)]
    if not brightest.size:
        return 1.0
    highlights = float(np.percentile(brightest, _HIGHLIGHTS))
    if _DARKEST_HIGHLIGHTS <= highlights <= EXPOSED_TO or highlights <= 0:
        return 1.0
    return EXPOSED_TO / highlights


def prepare(
    raw: RawElement,
    element: ElementFile,
    *,
    exposure_factor: float | None = None,
    longest_side_px: int | None = None,
) -> Element:
    """Convert an element to the form of a pack.

    Args:
        raw: its pictures.
        element: its files.
        exposure_factor: for EXR; computed from this picture by default. Frames of one sequence
            must share one.
        longest_side_px: larger elements are reduced to this.

    Raises:
        TrainingError: there is no alpha.
    """
    if raw.alpha is None:
        raise TrainingError("the element has no alpha", path=element.path)
    alpha = np.clip(np.nan_to_num(raw.alpha), 0, 1).astype(np.float32)
    colour = _encoded_straight(raw, alpha, exposure_factor)
    colour, alpha = _reduced(extend_colour(colour, alpha), alpha, longest_side_px)
    return Element(
        name=element.name,
        kind=element.kind,
        colour=_as_bytes(colour),
        alpha=_as_deep(alpha) if raw.is_deep else _as_bytes(alpha),
        sequence=element.sequence,
        frame=element.frame,
    )


def _encoded_straight(raw: RawElement, alpha: FloatImage, factor: float | None) -> FloatImage:
    if not raw.is_linear:
        return raw.colour
    straight = straight_linear_colour(raw, alpha)
    factor = exposure(straight, alpha) if factor is None else factor
    missing = ~np.isfinite(straight).all(axis=2)
    encoded = encode_for_network(np.clip(np.nan_to_num(straight * np.float32(factor)), 0, 1))
    encoded[missing] = np.nan
    return np.asarray(encoded, np.float32)


def _reduced(
    colour: FloatImage, alpha: FloatImage, longest_side_px: int | None
) -> tuple[FloatImage, FloatImage]:
    scale = (longest_side_px or max(alpha.shape)) / max(alpha.shape)
    if scale >= 1:
        return colour, alpha
    size = (max(1, round(alpha.shape[1] * scale)), max(1, round(alpha.shape[0] * scale)))
    weight = alpha[..., None] + np.float32(1e-4)  # not 0, to reduce the extended colour too
    weighed = cv2.resize(colour * weight, size, interpolation=cv2.INTER_AREA)
    weights = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    smaller = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    return (weighed / weights[..., None]).astype(np.float32), smaller.astype(np.float32)


def _as_bytes(values: FloatImage) -> NDArray[np.uint8]:
    return np.asarray(np.clip(np.nan_to_num(values) * 255 + 0.5, 0, 255), np.uint8)


def _as_deep(alpha: FloatImage) -> NDArray[np.uint16]:
    return np.asarray(np.clip(alpha * 65535 + 0.5, 0, 65535), np.uint16)


def read_encoded(path: Path) -> FloatImage:
    """Read a picture's colour (H, W, 3) float32, network-encoded.

    Pictures of 8 or 16 bits are taken as they are, EXR is encoded. Raises PlateError.
    """
    from vfxmatte.io.stills.reading import read_image

    image = read_image(path)
    colour = image.colour
    if image.header.file_type == "EXR":
        colour = encode_for_network(colour)
    return np.ascontiguousarray(colour, np.float32)


def read_background(path: Path, *, name: str, shorter_side_px: int | None = None) -> Background:
    """Read an image as a background; EXR is exposed and encoded. Raises PlateError."""
    from vfxmatte.io.stills.reading import read_image

    image = read_image(path)
    colour = image.colour
    if image.header.file_type == "EXR":
        factor = exposure(colour, np.ones(colour.shape[:2], np.float32))
        colour = encode_for_network(np.clip(np.nan_to_num(colour * np.float32(factor)), 0, 1))
    return background_from(colour, name=name, shorter_side_px=shorter_side_px)


def background_from(
    colour: FloatImage, *, name: str, shorter_side_px: int | None = None
) -> Background:
    """Create a background from (H, W, 3) float32 encoded colour, reduced but never enlarged."""
    scale = (shorter_side_px or min(colour.shape[:2])) / min(colour.shape[:2])
    if scale < 1:
        size = (round(colour.shape[1] * scale), round(colour.shape[0] * scale))
        colour = cv2.resize(colour, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return Background(name=name, colour=_as_bytes(colour))
