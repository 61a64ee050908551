"""What other readers make of a picture: OpenEXR for EXR, Pillow for what it knows, else
OpenImageIO as it comes."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR

from vfxmatte.io.still import ImageHeader

_EXACT = 1e-6
_LEVELS = 3 / 255  # chroma of JPEG is enlarged in several ways, Y'CbCr is rounded in several
_CHROMA = 0.13  # libtiff and libjpeg enlarge chroma differently, which shows at edges
_LEVEL = 1.1 / 255  # 5 bits become 8 in two ways
_TIFF_YCBCR, _EXTRA_SAMPLES, _PREMULTIPLIED = 6, 338, 1
_LEAST = 0.6 / 255

Reference = tuple[str, np.ndarray, float]


def colour(path: Path, header: ImageHeader) -> Reference | None:
    """(reader, (H, W, 3) float32, tolerance); None where there is nobody to ask."""
    return _openexr(path, header) if header.file_type == "EXR" else _pillow(path, header)


def _openexr(path: Path, header: ImageHeader) -> Reference | None:
    try:
        with redirect_stdout(io.StringIO()):
            file = OpenEXR.File(str(path), separate_channels=True)
        channels = file.parts[header.part].channels
        planes = [channels[name].pixels.astype(np.float32) for name in header.colour_channels]
    except Exception:  # the module's own troubles are not what is tried here
        return None
    return "OpenEXR", _three(np.stack(planes, -1)), _EXACT


def _pillow(path: Path, header: ImageHeader) -> Reference | None:
    try:
        from PIL import Image
    except ImportError:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                picture.load()
                values, tolerance = _values(picture, header)
    except Exception:  # Pillow's own troubles are not what is tried here
        return None
    return None if values is None else ("Pillow", _three(values), tolerance)


def _values(picture: Any, header: ImageHeader) -> tuple[np.ndarray | None, float]:
    """Pillow's values as 0 to 1, and how near to them is the same."""
    mode = picture.mode
    if header.file_type == "TIFF" and header.metadata.get("Orientation", 1) != 1:
        return None, 0.0  # Pillow turns it
    if header.bits in range(9, 16):
        return None, 0.0
    if header.bits > 8 and not (mode.startswith("I;16") or mode == "F"):
        return None, 0.0  # Pillow keeps 8 bits of it
    if mode.startswith("I;16"):
        return np.asarray(picture, np.float32)[..., None] / 65535, 1 / 65535
    if mode == "F":
        return np.asarray(picture, np.float32)[..., None], _EXACT
    if mode in ("1", "L", "LA"):
        return np.asarray(picture.convert("L"), np.float32)[..., None] / 255, _LEAST
    if mode == "P":
        return np.asarray(picture.convert("RGBA"), np.float32)[..., :3] / 255, _LEVEL
    if mode in ("RGB", "RGBA", "RGBX"):
        values = np.asarray(picture, np.float32)[..., :3] / 255
        if getattr(picture, "tag_v2", {}).get(_EXTRA_SAMPLES) == (_PREMULTIPLIED,):
            return None, 0.0  # Pillow divides by alpha
        lossy = picture.info.get("compression") in ("jpeg", "tiff_jpeg")
        return values, _CHROMA if lossy else _tolerance(header)
    if mode in ("CMYK", "YCbCr"):
        return np.asarray(picture.convert("RGB"), np.float32) / 255, _LEVELS
    return None, 0.0


def _tolerance(header: ImageHeader) -> float:
    if header.metadata.get("tiff:PhotometricInterpretation") == _TIFF_YCBCR:
        return _CHROMA
    if header.file_type in ("JPEG", "TIFF", "WebP"):
        return _LEVELS
    return _LEVEL if header.file_type in ("BMP", "TGA") else _LEAST


def _three(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, np.float32)
    return values if values.shape[-1] == 3 else values[..., :1].repeat(3, axis=-1)
