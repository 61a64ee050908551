"""Read one still into floats: EXR through `exr`, everything else through OpenImageIO.

Colour and alpha are returned as stored: nothing is premultiplied, converted or rotated; what is
ignored (an orientation, further pictures) becomes a note. What is not certainly colour is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio

from vfxmatte.errors import PlateError
from vfxmatte.io.sequence import EXR_SUFFIXES
from vfxmatte.io.stills.bmp import check_bmp
from vfxmatte.io.stills.dpx import film_metadata
from vfxmatte.io.stills.exr import read_exr_header, read_exr_pixels
from vfxmatte.io.stills.image import Image, ImageHeader, ValueType, damaged, usable_aspect
from vfxmatte.io.stills.limits import check_size, memory_bytes
from vfxmatte.io.stills.png import check_png
from vfxmatte.io.texts import error_of, readable
from vfxmatte.types import FloatImage, Window

__all__ = ["Image", "ImageHeader", "read_header", "read_image", "read_pixels"]

_VALUE_TYPES: dict[str, ValueType] = {
    "uint8": "uint8",
    "uint16": "uint16",
    "half": "half",
    "float": "float",
    "double": "float",
}
_BYTES = {"uint8": 1, "uint16": 2, "half": 2, "float": 4}
_NOT_COLOUR = {"CIELAB": "CIELAB", "ICCLAB": "CIELAB", "ITULAB": "CIELAB",
               "color separated": "inks"}  # fmt: skip
_LAB = {8: "CIELAB", 9: "CIELAB", 10: "CIELAB"}  # TIFF's PhotometricInterpretation
_TIFF_GREY = (0, 1)  # PhotometricInterpretation; a second channel is ignored
# OpenImageIO formats whose pixels are verified to be read correctly.
_FORMATS = frozenset({
    "bmp", "cineon", "dpx", "hdr", "jpeg", "jpeg2000", "jpegxl", "png", "pnm", "sgi", "targa",
    "tiff", "webp",
})  # fmt: skip
_ONE_PICTURE = frozenset({"jpeg", "png", "dpx", "cineon", "hdr"})
_UPRIGHT = 1
_FILE_LAYOUT = frozenset({"compression", "planarconfig", "PixelAspectRatio"})
_FILE_TYPES = {"jpeg": "JPEG", "webp": "WebP", "targa": "TGA"}


def read_image(
    path: str | Path, *, layer: str | None = None, part: int | str | None = None
) -> Image:
    """Read a still: its header, and (H, W, C) float32 pixels over its data window.

    Integers are scaled to 0 to 1; floats are not clipped. Raises PlateError: not an image, damaged,
    no such layer.
    """
    header = read_header(path, layer=layer, part=part)
    return Image(header=header, pixels=read_pixels(header))


def read_header(
    path: str | Path, *, layer: str | None = None, part: int | str | None = None
) -> ImageHeader:
    """Read a still's header; raises PlateError."""
    path = Path(path)
    if path.suffix.lower() in EXR_SUFFIXES:
        return read_exr_header(path, layer=layer, part=part)
    if layer is not None or part is not None:
        raise PlateError("only EXR files have layers and parts", path=path)
    opened = _open(path)
    try:
        return _header(path, opened)
    finally:
        opened.close()


def read_pixels(header: ImageHeader) -> FloatImage:
    """Read (H, W, C) float32 over `header.data_window`; raises PlateError for damaged pixels."""
    if header.file_type == "EXR":
        return read_exr_pixels(header)
    opened = _open(header.path)
    try:
        pixels = opened.read_image(0, 0, 0, len(header.channels), "float")
        problem = error_of(opened)
    finally:
        opened.close()
    if pixels is None or problem:
        raise damaged(header, problem)
    shape = (*header.data_window.shape, len(header.channels))
    if pixels.size != math.prod(shape):
        raise PlateError(
            "the picture changed while it was read",
            path=header.path,
            hint="is it being rendered or copied? run again when that is done",
        )
    return np.ascontiguousarray(pixels.reshape(shape), dtype=np.float32)


def _open(path: Path) -> Any:
    if not path.is_file():
        raise PlateError("no such file", path=path)
    check_png(path)
    oiio.attribute("limits:imagesize_MB", max(1, memory_bytes() >> 22))
    options = oiio.ImageSpec()
    options.attribute("oiio:UnassociatedAlpha", 1)  # do not premultiply
    opened = oiio.ImageInput.open(str(path), options)
    if opened is None:
        raise PlateError(f"cannot read this image: {error_of(oiio)}", path=path)
    if opened.format_name() not in _FORMATS:
        opened.close()
        raise PlateError(
            f"{opened.format_name().upper()} files are not taken as plates or trimaps",
            path=path,
            hint="write it as EXR, PNG or TIFF",
        )
    return opened


def _header(path: Path, opened: Any) -> ImageHeader:
    spec, format_name = opened.spec(), opened.format_name()
    if spec.depth > 1:
        raise PlateError("this is a volume, and no picture", path=path)
    if format_name == "bmp":
        check_bmp(path)
    channels = _picture_channels(path, spec)
    value_type = _value_type(path, spec)
    window = _window(path, spec.x, spec.y, spec.width, spec.height)
    check_size(path, window, len(channels), _BYTES[value_type])
    metadata = _metadata(spec)
    if format_name in ("dpx", "cineon"):
        metadata = film_metadata(path, metadata)
    return ImageHeader(
        path=path,
        file_type=_FILE_TYPES.get(format_name, format_name.upper()),
        channels=channels,
        other_channels=tuple(map(readable, spec.channelnames))[len(channels) :],
        has_alpha=len(channels) > 1 and spec.alpha_channel == len(channels) - 1,
        data_window=window,
        display_window=_window(path, spec.full_x, spec.full_y, spec.full_width, spec.full_height),
        pixel_aspect=usable_aspect(spec.get_float_attribute("PixelAspectRatio", 1.0)),
        value_type=value_type,
        bits=spec.get_int_attribute("oiio:BitsPerSample", 8 * _BYTES[value_type]),
        metadata=metadata,
        notes=tuple(_notes(opened, format_name, metadata)),
    )


def _picture_channels(path: Path, spec: Any) -> tuple[str, ...]:
    """Choose grey or R G B, and alpha after it; raises PlateError if there is neither."""
    names = tuple(map(readable, spec.channelnames))
    inks = _NOT_COLOUR.get(spec.get_string_attribute("tiff:ColorSpace"))
    inks = inks or _LAB.get(spec.get_int_attribute("tiff:PhotometricInterpretation"))
    if inks:
        raise PlateError(
            f"the picture is stored as {inks}, not as R G B", path=path, hint="write it as R G B"
        )
    if len(names) == 1:
        return names
    grey = spec.get_int_attribute("tiff:PhotometricInterpretation", -1) in _TIFF_GREY
    if len(names) == 2 and (spec.alpha_channel == 1 or grey):
        return names
    if tuple(name.upper() for name in names[:3]) == ("R", "G", "B"):
        return names[:4] if spec.alpha_channel == 3 else names[:3]
    raise PlateError(
        f"channels {' '.join(names[:8])} are neither grey nor R G B",
        path=path,
        hint="write it as R G B",
    )


def _value_type(path: Path, spec: Any) -> ValueType:
    kind = str(spec.format)
    if kind not in _VALUE_TYPES:
        raise PlateError(
            f"its values are of type {kind}: where white lies is not known",
            path=path,
            hint="write it with 8 or 16 bits without sign, or as float",
        )
    return _VALUE_TYPES[kind]


def _metadata(spec: Any) -> dict[str, Any]:
    """Collect attributes by name; None for values that OpenImageIO cannot return."""
    attributes = {}
    for attribute in spec.extra_attribs:
        if attribute.name in _FILE_LAYOUT:
            continue
        try:
            attributes[readable(attribute.name)] = attribute.value
        except (ValueError, TypeError, RuntimeError):
            attributes[readable(attribute.name)] = None
    return attributes


def _notes(opened: Any, format_name: str, metadata: Mapping[str, Any]) -> Iterator[str]:
    orientation = metadata.get("Orientation", _UPRIGHT)
    if orientation in range(2, 9):
        yield (
            f"the pictures are marked as rotated or mirrored (orientation {orientation}): they are "
            "used as they are stored; trimaps must lie the same way"
        )
    if format_name not in _ONE_PICTURE and opened.seek_subimage(1, 0):
        yield "the files hold more than one picture: the first is used"


def _window(path: Path, x: int, y: int, width: int, height: int) -> Window:
    if width < 1 or height < 1:
        raise PlateError(f"the picture is empty: {width}×{height} pixels", path=path)
    return Window(x_min=x, y_min=y, x_max=x + width - 1, y_max=y + height - 1)
