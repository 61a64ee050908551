"""Write mattes and trimaps.

Files are written atomically. Alpha is linear coverage and never colour-converted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from vfxmatte.common.checked import Checked, limited
from vfxmatte.errors import OutputError, UsageError
from vfxmatte.io.canvas import crop
from vfxmatte.io.layers import Layer, need_colours, need_trimaps, parse_layers
from vfxmatte.io.marked import marked
from vfxmatte.io.result_names import Format
from vfxmatte.io.stills.attributes import carried
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.stills.halves import narrowed, widened
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
    """Write the plate's R G B with alpha, multiplied by it or not."""
    foreground: Rgba | None = None
    """Write the foreground's estimated R G B, free of the background's, multiplied by alpha or
    not."""
    despill: float = limited(0.0, at_least=0, at_most=1)
    """Share of the background's colour to take out of the foreground."""
    layers: tuple[str, ...] = ()
    """Layers beside alpha: foreground, despill, background, trimap, confidence; under another name:
    `foreground=hero_fg`."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Texts to add to EXR headers, by name."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_layers()
        if self.rgba is not None and self.format != "exr":
            raise UsageError(
                f"RGBA cannot be written as {self.format}",
                hint="the plate's colour is scene-linear: write RGBA as EXR",
            )

    def _check_layers(self) -> None:
        layers = self.parsed_layers  # raises for an unknown name
        if self.format != "exr" and (self.foreground is not None or layers):
            what = "a foreground" if self.foreground is not None else "layers"
            raise UsageError(
                f"{what} cannot be written as {self.format}", hint="write it as EXR: --format exr"
            )
        if self.rgba is not None and self.foreground is not None:
            raise UsageError(
                "rgba and foreground are both for R G B: the plate's colour, or the foreground's",
                hint="give one of them",
            )
        if self.despill > 0 and not self.needs_colours:
            raise UsageError(
                "despill changes the foreground's colour, and no foreground is written",
                hint="give --foreground straight or premultiplied, or --layers foreground",
            )

    @property
    def parsed_layers(self) -> tuple[Layer, ...]:
        """The layers with their names and channels."""
        return parse_layers(self.layers)

    @property
    def needs_colours(self) -> bool:
        """Return True if the file holds estimated colours."""
        return self.foreground is not None or need_colours(self.parsed_layers)

    @property
    def needs_plate(self) -> bool:
        """True if the file holds colours that come from the plate's."""
        return self.rgba is not None or self.needs_colours

    @property
    def needs_trimaps(self) -> bool:
        """Return True if the file holds what is made from the trimap."""
        return need_trimaps(self.parsed_layers)


def alpha_type(settings: OutputSettings) -> str:
    """Return how a file stores alpha: `half`, `float`, or `uint16` for PNG and TIFF.

    EXR's compressions are lossless for it: DWAA's loss concerns colour alone.
    """
    return settings.pixel_type if settings.format == "exr" else "uint16"


def alpha_as_written(alpha: FloatImage, settings: OutputSettings) -> FloatImage:
    """Return alpha (H, W) float32 as an EXR of these settings holds it."""
    return widened(narrowed(alpha)) if settings.pixel_type == "half" else alpha


def write_matte(
    matte: Matte,
    frame: Frame,
    settings: OutputSettings,
    path: str | Path,
    *,
    planes: Mapping[str, FloatImage] | None = None,
) -> Path:
    """Write one matte with its plate's windows and attributes; return the path.

    EXR: channel A (or R G B A), cropped to the frame's own data window. PNG and TIFF: the
    display window. Raises OutputError and leaves no file then.

    Args:
        planes: (H, W) float32 over the canvas, further channels of an EXR by their names.
    """
    if matte.alpha.shape != frame.canvas.shape:
        raise ValueError(f"the matte is {matte.alpha.shape}, the canvas {frame.canvas.shape}")
    path = Path(path)
    try:
        with renamed_when_whole(path) as temporary:
            if settings.format == "exr":
                _write_exr_matte(temporary, matte, frame, settings, planes or {})
            else:
                alpha = crop(matte.alpha, frame.canvas, frame.display_window)
                _write_grey(temporary, np.rint(alpha * 65535).astype(np.uint16))
    except OutputError as error:
        error.path = str(path)
        raise error.at(frame=frame.number) from error.__cause__
    return path


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


def _write_exr_matte(
    path: Path,
    matte: Matte,
    frame: Frame,
    settings: OutputSettings,
    planes: Mapping[str, FloatImage],
) -> None:
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
    for name, plane in planes.items():
        values = crop(plane, frame.canvas, frame.data_window)
        channels[name] = narrowed(_within_half(values)) if half else values
    own = {"pixelAspectRatio": float(frame.pixel_aspect), **settings.attributes}
    write_exr(
        path,
        channels,
        data_window=frame.data_window,
        display_window=frame.display_window,
        attributes=carried({**frame.metadata, **own}).values,
        compression=settings.compression,
    )


def _within_half(values: FloatImage) -> FloatImage:
    """Limit finite values to the largest half float; the plate's own infinity stays."""
    return np.where(np.isinf(values), values, values.clip(-_MAX_HALF, _MAX_HALF))


def _write_grey(path: Path, values: np.ndarray) -> None:
    """Write (H, W) uint16 grey; encoded in memory, so that a full disk is noticed."""
    options = [cv2.IMWRITE_PNG_COMPRESSION, 3]
    if path.suffix.startswith(".tif"):
        options = [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_ADOBE_DEFLATE]
    encoded = cv2.imencode(path.suffix, np.ascontiguousarray(values), options)[1]
    path.write_bytes(encoded.tobytes())
