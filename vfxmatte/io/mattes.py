"""Read mattes: stills whose alpha may have layers of any kind beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vfxmatte.io.canvas import lay_on
from vfxmatte.io.sequence import EXR_SUFFIXES
from vfxmatte.io.stills.exr import read_exr_attributes
from vfxmatte.io.stills.exr_header import read_parts
from vfxmatte.io.stills.image import Image, ImageHeader
from vfxmatte.io.stills.reading import read_header, read_pixels
from vfxmatte.types import FloatImage, Window

_PICTURE = {"R", "G", "B", "Y"}


def matte_header(path: Path, *, alpha_alone: bool = False) -> ImageHeader:
    """Read the header of a matte; raises PlateError.

    Of an EXR whose bare channels are A and no picture, A is taken, whatever its layers hold.

    Args:
        alpha_alone: take A without the picture beside it, too.
    """
    return read_header(path, layer="A" if _is_alpha(path, alpha_alone) else None)


def matte_image(path: Path, *, alpha_alone: bool = False) -> Image:
    """Read a matte; raises PlateError if it is missing or damaged. See `matte_header`."""
    header = matte_header(path, alpha_alone=alpha_alone)
    return Image(header=header, pixels=read_pixels(header))


def read_matte(path: str | Path, canvas: Window) -> FloatImage:
    """Read (H, W) float32 alpha over the canvas, 0 outside the file's data window.

    Raises PlateError if the file is missing or damaged.
    """
    image = matte_image(Path(path), alpha_alone=True)
    alpha = image.alpha if image.alpha is not None else image.pixels[:, :, -1]
    return lay_on(alpha, image.header.data_window, canvas)


def read_attributes(path: Path) -> Mapping[str, Any]:
    """Read the attributes in a still's header, which need hold no picture; raises PlateError."""
    if path.suffix.lower() in EXR_SUFFIXES:
        return read_exr_attributes(path)
    return read_header(path).metadata


def _is_alpha(path: Path, alpha_alone: bool) -> bool:
    if path.suffix.lower() not in EXR_SUFFIXES:
        return False
    names = set(read_parts(path)[0].channel_names)
    return "A" in names and (alpha_alone or not names & _PICTURE)
