"""Convert decoded video frames to RGB floats: planes, chroma siting, matrix and range.

Grey and RGB pictures are full range regardless of the movie's tags, as in FFmpeg, whose own
conversions leave them tagged as legal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from vfxmatte.errors import PlateError
from vfxmatte.io.movies.pixel_formats import Layout, layout_of
from vfxmatte.types import FloatImage

UNTAGGED = (0, 2, 3)
"""Matrix numbers without a Y'CbCr matrix: RGB (also ProRes' unknown), unspecified, reserved."""

# Kr and Kb of ITU-R BT.709, BT.601, SMPTE 240M, BT.2020 and of FCC, by FFmpeg's numbers.
_WEIGHTS = {
    1: ("Rec.709", 0.2126, 0.0722),
    4: ("FCC", 0.30, 0.11),
    5: ("Rec.601", 0.299, 0.114),
    6: ("Rec.601", 0.299, 0.114),
    7: ("SMPTE 240M", 0.212, 0.087),
    9: ("Rec.2020", 0.2627, 0.0593),
}
_UNSUPPORTED = {
    8: "YCgCo", 10: "Rec.2020 constant luminance", 11: "SMPTE 2085", 12: "chroma-derived",
    13: "chroma-derived constant luminance", 14: "ICtCp", 15: "IPT-C2", 16: "YCgCo-Re",
    17: "YCgCo-Ro",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """Encoding of R'G'B' as Y'CbCr: weights of red and blue, and the range of code values."""

    matrix: str
    kr: float = 0.0
    kb: float = 0.0
    full_range: bool = True
    assumed: bool = False
    """The matrix is not tagged and was chosen by the picture's size."""

    @classmethod
    def of(cls, frame: Any, *, matrix_tag: int = 2, range_tag: int = 0) -> Encoding:
        """Determine the encoding from a frame's tags, else the container's, else its size.

        Untagged pictures of 720 lines or 1280 columns and more are Rec.709, smaller ones Rec.601;
        an untagged range is legal.

        Args:
            matrix_tag, range_tag: the container's, for frames without.
        Raises:
            PlateError: the pixel format or the matrix is not supported.
        """
        layout = layout_of(frame.format.name)
        if frame.format.name == "pal8" or (layout is not None and layout.kind == "rgb"):
            return cls(matrix="RGB")
        if layout is None:
            raise _unsupported_format(frame.format.name)
        if layout.kind == "grey":
            return cls(matrix="grey")
        tag = int(frame.colorspace)
        if tag in UNTAGGED:
            tag = matrix_tag
        assumed = tag in UNTAGGED
        if assumed:
            tag = 1 if frame.height >= 720 or frame.width >= 1280 else 6
        if tag not in _WEIGHTS:
            raise PlateError(
                f"unsupported colour matrix: {_UNSUPPORTED.get(tag, tag)}",
                hint="convert the movie to Rec.709 or Rec.2020 non-constant luminance",
            )
        spread = int(frame.color_range) or range_tag
        full = spread == 2 or frame.format.name.startswith("yuvj")
        matrix, kr, kb = _WEIGHTS[tag]
        return cls(matrix=matrix, kr=kr, kb=kb, full_range=full, assumed=assumed)

    @property
    def description(self) -> str:
        assumed = " (assumed, not tagged)" if self.assumed else ""
        return f"{self.matrix}{assumed}, {'full' if self.full_range else 'legal'} range"

    def affine(self, bits: int) -> FloatImage:
        """Return the (3, 4) matrix from code values Y, Cb, Cr, 1 to R'G'B'."""
        step = float(1 << (bits - 8))
        top = float((1 << bits) - 1)
        low, luma = (0.0, top) if self.full_range else (16 * step, 219 * step)
        chroma, middle = (top if self.full_range else 224 * step), 128 * step
        kr, kb = self.kr, self.kb
        kg = 1 - kr - kb
        red, blue = 2 * (1 - kr), 2 * (1 - kb)
        turn = np.array([[1, 0, red], [1, -blue * kb / kg, -red * kr / kg], [1, blue, 0]])
        scale = turn / np.array([luma, chroma, chroma])
        offset = -scale @ np.array([low, middle, middle])
        return np.hstack([scale, offset[:, None]]).astype(np.float32)


def picture_of(frame: Any, encoding: Encoding) -> FloatImage:
    """Convert a decoded frame to (H, W, 3) float32 R'G'B', unclipped and without alpha.

    Raises:
        PlateError: the pixel format is not supported.
    """
    if frame.format.name == "pal8":
        return _from_palette(frame)
    layout = layout_of(frame.format.name)
    if layout is None:
        raise _unsupported_format(frame.format.name)
    if layout.kind == "yuv":
        return _from_yuv(frame, layout, encoding)
    levels = [layout.levels(frame, component) for component in layout.components]
    return np.stack(levels * (3 // len(levels)), axis=-1)


def alpha_of(frame: Any) -> FloatImage | None:
    """Return a decoded frame's (H, W) float32 alpha; None for a pixel format without."""
    layout = layout_of(frame.format.name)
    if layout is None or layout.alpha is None:
        return None
    return layout.levels(frame, layout.alpha)


def _from_yuv(frame: Any, layout: Layout, encoding: Encoding) -> FloatImage:
    luma, *chroma = (layout.values(frame, index) for index in range(3))
    full = [_upsampled(plane, luma.shape, layout.subsampling) for plane in chroma]
    matrix = encoding.affine(layout.components[0].bits)
    return np.asarray(cv2.transform(cv2.merge([luma, *full]), matrix))


def _from_palette(frame: Any) -> FloatImage:
    rows = np.ndarray((frame.height, frame.planes[0].line_size), np.uint8, frame.planes[0])
    palette = np.frombuffer(frame.planes[1], np.uint32, 256)  # 0xAARRGGBB in native order
    colours = np.stack([palette >> shift & 255 for shift in (16, 8, 0)], axis=-1)
    levels: FloatImage = colours.astype(np.float32) / np.float32(255)
    return np.asarray(levels[rows[:, : frame.width]])


def _upsampled(
    plane: FloatImage, shape: tuple[int, int], subsampling: tuple[int, int]
) -> FloatImage:
    """Enlarge chroma to luma's size; sited on the left luma sample, between rows (MPEG-2)."""
    if subsampling == (1, 1):
        return plane
    (height, width), (across, down) = shape, subsampling
    inverse = np.array([[1 / across, 0, 0], [0, 1 / down, (1 / down - 1) / 2]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(
            plane, inverse, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
    )


def _unsupported_format(name: str) -> PlateError:
    return PlateError(
        f"pixel format {name} is not supported",
        hint="convert the movie first: ffmpeg -i MOVIE -pix_fmt gbrp16le -c:v ffv1 converted.mkv",
    )
