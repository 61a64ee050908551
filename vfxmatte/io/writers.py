"""Write mattes and trimaps, and read mattes.

Files are written atomically. Alpha is linear coverage and never colour-converted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from vfxmatte.common.checked import Checked
from vfxmatte.errors import OutputError, UsageError
from vfxmatte.io.canvas import crop, lay_on
from vfxmatte.io.marked import marked
from vfxmatte.io.result_names import Format
from vfxmatte.io.stills.attributes import carried
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.stills.halves import narrowed
from vfxmatte.io.stills.reading import read_image
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.types import FloatImage, Frame, Matte, Trimap, Window

Rgba = Literal["premultiplied", "straight"]

_MAX_HALF = 65504  # the largest finite half float


@dataclass(frozen=True, kw_only=True)
class OutputSettings(Checked):
    """Settings of the files that mattes are written to."""

    format: Format = "exr"
    pixel_type: Literal["half", "float"] = "half"
    """Pixel type of EXR mattes; PNG and TIFF are 16-bit grey."""
    compression: Literal["none", "zips", "zip", "piz", "dwaa"] = "zip"
    """Compression of EXR mattes; PNG and TIFF are ZIP."""
    rgba: Rgba | None = None
    """Write the plate's R G B with alpha, multiplied by it or not; None for alpha alone."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Text to add to EXR headers, with names such as `vfxmatte/weights`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rgba is not None and self.format != "exr":
            raise UsageError(
                f"RGBA cannot be written as {self.format}",
                hint="the plate's colour is scene-linear: write RGBA as EXR",
            )


def alpha_type(settings: OutputSettings) -> str:
    """Return how a file stores alpha: `half`, `float`, or `uint16` for PNG and TIFF.

    EXR's compressions are lossless for it: DWAA's loss concerns colour alone.
    """
    return settings.pixel_type if settings.format == "exr" else "uint16"


def write_matte(matte: Matte, frame: Frame, settings: OutputSettings, path: str | Path) -> Path:
    """Write one matte with its plate's windows and attributes; return the path.

    EXR: channel A (or R G B A), cropped to the frame's own data window. PNG and TIFF: the
    display window. Raises OutputError and leaves no file then.
    """
    if matte.alpha.shape != frame.canvas.shape:
        raise ValueError(f"the matte is {matte.alpha.shape}, the canvas {frame.canvas.shape}")
    path = Path(path)
    try:
        with renamed_when_whole(path) as temporary:
            if settings.format == "exr":
                _write_exr_matte(temporary, matte, frame, settings)
            else:
                alpha = crop(matte.alpha, frame.canvas, frame.display_window)
                _write_grey(temporary, np.rint(alpha * 65535).astype(np.uint16))
    except OutputError as error:
        error.path = str(path)
        raise error.at(frame=frame.number) from error.__cause__
    return path


def read_matte(path: str | Path, canvas: Window) -> FloatImage:
    """Read (H, W) float32 alpha over the canvas, 0 outside the file's data window.

    Raises PlateError if the file is missing or damaged.
    """
    image = read_image(path)
    alpha = image.alpha if image.alpha is not None else image.pixels[:, :, -1]
    return lay_on(alpha, image.header.data_window, canvas)


def write_labels(trimap: Trimap, path: str | Path, canvas: Window) -> Path:
    """Write a trimap as an 8-bit grey PNG of the canvas' size, with a digest; return the path.

    Raises OutputError.
    """
    if trimap.labels.shape != canvas.shape:
        raise ValueError(f"labels are {trimap.labels.shape}, the canvas {canvas.shape}")
    path = Path(path)
    try:
        with renamed_when_whole(path) as temporary:
            png = cv2.imencode(".png", trimap.labels)[1]  # run-length encoded: fastest and smallest
            temporary.write_bytes(marked(png.tobytes(), trimap.labels))
    except OutputError as error:
        error.path = str(path)
        raise error.at(frame=trimap.number) from error.__cause__
    return path


def _write_exr_matte(path: Path, matte: Matte, frame: Frame, settings: OutputSettings) -> None:
    half = settings.pixel_type == "half"
    alpha = crop(matte.alpha, frame.canvas, frame.data_window)
    channels: dict[str, np.ndarray] = {"A": narrowed(alpha) if half else alpha}
    alpha = channels["A"].astype(np.float32, copy=False)  # colour is multiplied by alpha as written
    if settings.rgba is not None:
        colour = crop(frame.pixels, frame.canvas, frame.data_window)
        if settings.rgba == "premultiplied":
            with np.errstate(invalid="ignore"):  # infinity where alpha is 0 is 0
                colour = np.where(alpha[:, :, None] > 0, colour * alpha[:, :, None], 0)
        values = narrowed(colour.clip(-_MAX_HALF, _MAX_HALF)) if half else colour
        channels |= {name: values[:, :, i] for i, name in enumerate("RGB")}
    own = {"pixelAspectRatio": float(frame.pixel_aspect), **settings.attributes}
    write_exr(
        path,
        channels,
        data_window=frame.data_window,
        display_window=frame.display_window,
        attributes=carried({**frame.metadata, **own}).values,
        compression=settings.compression,
    )


def _write_grey(path: Path, values: np.ndarray) -> None:
    """Write (H, W) uint16 grey; encoded in memory, so that a full disk is noticed."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, 3]
    if path.suffix.startswith(".tif"):
        options = [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE]
    encoded = cv2.imencode(path.suffix, np.ascontiguousarray(values), options)[1]
    path.write_bytes(encoded.tobytes())
