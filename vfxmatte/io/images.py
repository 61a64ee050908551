"""One still file to floats: EXR through `exr`, everything else through OpenImageIO.

Colour and alpha come as the file has them: nothing is premultiplied, un-premultiplied, converted
or rotated. Knows nothing of shots.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio

from vfxmatte.errors import PlateError
from vfxmatte.io.exr import read_exr_header, read_exr_pixels
from vfxmatte.io.still import Image, ImageHeader, ValueType
from vfxmatte.types import FloatImage, Window

__all__ = ["Image", "ImageHeader", "read_header", "read_image", "read_pixels"]

_VALUE_TYPES: dict[str, ValueType] = {
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "half": "half",
    "float": "float",
}
_FILE_TYPES = {"jpeg": "JPEG", "webp": "WebP", "targa": "TGA"}


def read_image(
    path: str | Path, *, layer: str | None = None, part: int | str | None = None
) -> Image:
    """A still: its header, and (H, W, C) float32 pixels over its data window.

    Integers are scaled to 0 to 1; floats are kept, also below 0 and above 1.
    Raises PlateError: not an image, damaged, no such layer.
    """
    header = read_header(path, layer=layer, part=part)
    return Image(header=header, pixels=read_pixels(header))


def read_header(
    path: str | Path, *, layer: str | None = None, part: int | str | None = None
) -> ImageHeader:
    """What can be known without reading pixels; raises PlateError."""
    path = Path(path)
    if path.suffix.lower() in (".exr", ".sxr"):
        return read_exr_header(path, layer=layer, part=part)
    if layer is not None or part is not None:
        raise PlateError("only EXR files have layers and parts", path=path)
    opened = _open(path)
    try:
        return _header(path, opened.format_name(), opened.spec())
    finally:
        opened.close()


def read_pixels(header: ImageHeader) -> FloatImage:
    """(H, W, C) float32 over `header.data_window`; raises PlateError where any of it is damaged."""
    if header.file_type == "EXR":
        return read_exr_pixels(header)
    opened = _open(header.path)
    try:
        pixels = opened.read_image(0, 0, 0, len(header.channels), "float")
        problem = " ".join(opened.geterror().split())
    finally:
        opened.close()
    if pixels is None or problem:
        raise PlateError(
            f"the {header.file_type} is damaged or incomplete: {problem or 'no reason given'}",
            path=header.path,
            hint="render or copy this frame again",
        )
    shape = (*header.data_window.shape, len(header.channels))
    return np.ascontiguousarray(pixels.reshape(shape), dtype=np.float32)


def _open(path: Path) -> Any:
    if not path.is_file():
        raise PlateError("no such file", path=path)
    wanted = oiio.ImageSpec()
    wanted.attribute("oiio:UnassociatedAlpha", 1)  # leave colour under alpha alone
    opened = oiio.ImageInput.open(str(path), wanted)
    if opened is None:
        reason = " ".join(oiio.geterror().split())
        raise PlateError(f"cannot read this image: {reason}", path=path)
    return opened


def _header(path: Path, format_name: str, spec: Any) -> ImageHeader:
    names = tuple(spec.channelnames)
    count = min(len(names), 4)
    has_alpha = spec.alpha_channel == count - 1 and count in (2, 4)
    value_type = _VALUE_TYPES.get(str(spec.format), "float")
    default_bits = {"uint8": 8, "uint16": 16, "half": 16}.get(value_type, 32)
    return ImageHeader(
        path=path,
        file_type=_FILE_TYPES.get(format_name, format_name.upper()),
        channels=names[:count] if has_alpha or count != 4 else names[:3],
        other_channels=names[count:],
        has_alpha=has_alpha,
        data_window=_window(spec.x, spec.y, spec.width, spec.height),
        display_window=_window(spec.full_x, spec.full_y, spec.full_width, spec.full_height),
        pixel_aspect=float(spec.get_float_attribute("PixelAspectRatio", 1.0)) or 1.0,
        value_type=value_type,
        bits=spec.get_int_attribute("oiio:BitsPerSample", default_bits),
        metadata={p.name: p.value for p in spec.extra_attribs},
    )


def _window(x: int, y: int, width: int, height: int) -> Window:
    return Window(x_min=x, y_min=y, x_max=x + width - 1, y_max=y + height - 1)
