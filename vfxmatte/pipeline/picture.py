"""Matting one picture: arrays in, array out."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfxmatte.colour import ColourConfig
from vfxmatte.engines.answers import solve_one
from vfxmatte.engines.protocol import Engine, EngineSettings, Task
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import UsageError
from vfxmatte.pipeline.limits import Limits
from vfxmatte.trimaps import labels_from_image
from vfxmatte.types import FloatImage, Trimap


def matte(
    image: NDArray[Any],
    trimap: NDArray[Any],
    *,
    colorspace: str = "sRGB - Texture",
    engine: EngineSettings | Engine | None = None,
    ocio: str | Path | None = None,
    garbage: NDArray[Any] | None = None,
    core: NDArray[Any] | None = None,
) -> FloatImage:
    """Compute the alpha of one picture.

    Args:
        image: (H, W, 3) RGB in `colorspace`; uint8 and uint16 count as 0 to 1, floats as they
            are (scene-linear values above 1 and below 0 are welcome).
        trimap: (H, W), or (H, W, C) as painted: 0 background, 0.5 unknown, 1 foreground, as
            float, uint8 (0, 128, 255) or uint16.
        colorspace: an OpenColorIO colour space, e.g. "ACEScg".
        engine: which engine, weights and device; None takes the defaults. The engine stays
            loaded for the next call with the same settings, and is loaded again where its weights
            have been replaced. Or an engine that is open already.
        ocio: an OpenColorIO configuration; None is $OCIO as it stands now, else the built-in ACES
            one. A file that has changed is read again.
        garbage, core: (H, W) coverage, of the trimap's dtypes: alpha is 0 outside of the one and
            1 inside the other, as `limits.Limits` has it; None for none.

    Returns:
        (H, W) float32 in [0, 1]; known pixels are exactly 0 or 1.

    Raises:
        UsageError: arrays of other shapes or dtypes.
        TrimapError, ColourError, WeightsError, DeviceError: as their names say.
    """
    pixels = _as_float(image, "image")
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise UsageError(f"image must be (H, W, 3), found {pixels.shape}")
    values = _as_float(trimap, "trimap")
    if values.ndim not in (2, 3) or values.shape[:2] != pixels.shape[:2]:
        raise UsageError(f"trimap is {values.shape}, the image is {pixels.shape}")
    limits = limits_from(pixels.shape[:2], garbage=garbage, core=core)
    labels = limits.labels(labels_from_image(values))
    source = str(ocio or os.environ.get("OCIO") or "")
    encoded = _colours(source, _signature(Path(source))).encode(pixels, colorspace)
    task = Task(image=encoded, trimap=Trimap(number=0, labels=labels, is_keyframe=True))
    if engine is None or isinstance(engine, EngineSettings):
        settings = engine or EngineSettings()
        engine = _engine(settings, _signature(settings.weights_path))
    return limits.alpha(solve_one(engine, task).alpha)


def limits_from(shape: tuple[int, ...], **mattes: NDArray[Any] | None) -> Limits:
    """Make the limits of a picture from arrays.

    Args:
        shape: (H, W) of the picture.
        mattes: `garbage` and `core`, (H, W) float, uint8 or uint16; None for none.

    Raises:
        UsageError: of another shape or dtype, or NaN.
    """
    coverage = {
        name: _coverage(values, shape, f"the {name} matte")
        for name, values in mattes.items()
        if values is not None
    }
    return Limits(**coverage)


def _coverage(array: NDArray[Any], shape: tuple[int, ...], name: str) -> FloatImage:
    values = _as_float(array, name)
    if values.shape != shape:
        raise UsageError(f"{name} is {values.shape}, the image is {shape}")
    if not np.isfinite(values).all():
        raise UsageError(f"{name} has NaN or infinite values")
    return values.clip(0, 1)


def _as_float(array: NDArray[Any], name: str) -> FloatImage:
    if array.dtype.kind == "f":
        return np.ascontiguousarray(array, np.float32)
    if array.dtype in (np.uint8, np.uint16):
        return (array / np.float32(np.iinfo(array.dtype).max)).astype(np.float32)
    raise UsageError(f"{name} must be float, uint8 or uint16, found {array.dtype}")


@functools.lru_cache(maxsize=1)
def _colours(source: str, signature: object) -> ColourConfig:
    return ColourConfig.load(source or None)


@functools.lru_cache(maxsize=1)
def _engine(settings: EngineSettings, signature: object) -> Engine:
    return open_engine(settings)


def _signature(path: Path) -> object:
    """Return a value that changes when the file does; None without a file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
