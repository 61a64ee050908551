"""Mattes and trimaps to disk, and back.

A file is written to a hidden temporary name beside its place, forced to the disk, and renamed:
it is whole or not there. Alpha is linear coverage and passes through no colour conversion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from vfxmatte.common.checked import Checked
from vfxmatte.errors import OutputError, UsageError
from vfxmatte.io.attributes import carried
from vfxmatte.io.exr import write_exr
from vfxmatte.io.halves import narrowed
from vfxmatte.io.images import read_image
from vfxmatte.io.marked import marked
from vfxmatte.io.result_names import Format
from vfxmatte.io.still import Image
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.types import FloatImage, Frame, Matte, Trimap, Window

Rgba = Literal["premultiplied", "straight"]


@dataclass(frozen=True, kw_only=True)
class OutputSettings(Checked):
    """How mattes are written.

    pixel_type, compression: of EXR; PNG and TIFF are 16-bit grey, ZIP.
    rgba: None writes alpha alone; else the plate's R G B with it, multiplied by alpha or not.
    attributes: text to add to EXR headers; names are best put as `vfxmatte/weights`.
    """

    format: Format = "exr"
    pixel_type: Literal["half", "float"] = "half"
    compression: Literal["none", "zips", "zip", "piz", "dwaa"] = "zip"
    rgba: Rgba | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rgba is not None and self.format != "exr":
            raise UsageError(
                f"RGBA cannot be written as {self.format}",
                hint="the plate's colour is scene-linear: write RGBA as EXR",
            )


def alpha_type(settings: OutputSettings) -> str:
    """How a file of these settings holds alpha: `half`, `float`, or `uint16` of PNG and TIFF.

    EXR's compressions keep it exactly: DWAA's loss concerns colour alone.
    """
    return settings.pixel_type if settings.format == "exr" else "uint16"


def write_matte(matte: Matte, frame: Frame, settings: OutputSettings, path: str | Path) -> Path:
    """One matte with its plate's windows and attributes; returns the path.

    EXR: channel A (or R G B A), cropped to the frame's own data window. PNG and TIFF: the
    display window. Raises OutputError; nothing stays behind then.
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
    """(H, W) float32 alpha over the canvas, 0 outside the file's data window.

    Raises PlateError where the file is missing or damaged.
    """
    image = read_image(path)
    alpha = image.alpha if image.alpha is not None else image.pixels[:, :, -1]
    return lay_on(alpha, image.header.data_window, canvas)


def write_labels(trimap: Trimap, path: str | Path, canvas: Window) -> Path:
    """A trimap over the shot's canvas as an 8-bit grey PNG of the canvas' size; returns the path.

    The file carries the digest of its labels, see `marked`.

    Raises OutputError.
    """
    if trimap.labels.shape != canvas.shape:
        raise ValueError(f"labels are {trimap.labels.shape}, the canvas {canvas.shape}")
    path = Path(path)
    try:
        with renamed_when_whole(path) as temporary:
            png = cv2.imencode(".png", trimap.labels)[1]  # run lengths: quickest, and smallest
            temporary.write_bytes(marked(png.tobytes(), trimap.labels))
    except OutputError as error:
        error.path = str(path)
        raise error.at(frame=trimap.number) from error.__cause__
    return path


def read_values(path: str | Path) -> Image:
    """Any trimap or matte image as it is: PNG, TIFF, EXR; see `Image.colour` and `Image.alpha`.

    Integers are 0 to 1. Raises PlateError.
    """
    return read_image(path)


def crop(values: FloatImage, canvas: Window, window: Window) -> FloatImage:
    """The part of an array over `canvas` that covers `window`; 0 outside the canvas."""
    if canvas.contains(window):
        return values[window.slices_in(canvas)]
    return lay_on(values, canvas, window)


def lay_on(values: FloatImage, window: Window, canvas: Window) -> FloatImage:
    """An array over `window` laid on `canvas`: cut where it is larger, 0 where it is smaller."""
    if window == canvas:
        return np.ascontiguousarray(values)
    laid = np.zeros((*canvas.shape, *values.shape[2:]), values.dtype)
    common = window.intersection(canvas)
    if common is not None:
        laid[common.slices_in(canvas)] = values[common.slices_in(window)]
    return laid


def exr_attributes(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The plate's attributes as an EXR takes them; see `attributes` for what is left out."""
    return carried(metadata).values


def _write_exr_matte(path: Path, matte: Matte, frame: Frame, settings: OutputSettings) -> None:
    half = settings.pixel_type == "half"
    alpha = crop(matte.alpha, frame.canvas, frame.data_window)
    channels: dict[str, np.ndarray] = {"A": narrowed(alpha) if half else alpha}
    alpha = channels["A"].astype(np.float32, copy=False)  # colour goes with what is written
    if settings.rgba is not None:
        colour = crop(frame.pixels, frame.canvas, frame.data_window)
        if settings.rgba == "premultiplied":
            with np.errstate(invalid="ignore"):  # infinity where alpha is 0 is 0
                colour = np.where(alpha[:, :, None] > 0, colour * alpha[:, :, None], 0)
        values = narrowed(colour.clip(-65504, 65504)) if half else colour
        channels |= {name: values[:, :, i] for i, name in enumerate("RGB")}
    own = {"pixelAspectRatio": float(frame.pixel_aspect), **settings.attributes}
    write_exr(
        path,
        channels,
        data_window=frame.data_window,
        display_window=frame.display_window,
        attributes=exr_attributes({**frame.metadata, **own}),
        compression=settings.compression,
    )


def _write_grey(path: Path, values: np.ndarray) -> None:
    """(H, W) uint8 or uint16 as grey; encoded in memory, so that a full disk is noticed."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, 3]
    if path.suffix.startswith(".tif"):
        options = [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE]
    encoded = cv2.imencode(path.suffix, np.ascontiguousarray(values), options)[1]
    path.write_bytes(encoded.tobytes())
