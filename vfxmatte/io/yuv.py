"""A decoded video frame to RGB floats: planes, chroma siting, matrix and range.

Knows no files and no transfer curves.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vfxmatte.errors import PlateError
from vfxmatte.types import FloatImage

# Kr and Kb of ITU-R BT.709, BT.601, SMPTE 240M, BT.2020 and of FCC, by FFmpeg's numbers.
_WEIGHTS = {
    1: ("Rec.709", 0.2126, 0.0722),
    4: ("FCC", 0.30, 0.11),
    5: ("Rec.601", 0.299, 0.114),
    6: ("Rec.601", 0.299, 0.114),
    7: ("SMPTE 240M", 0.212, 0.087),
    9: ("Rec.2020", 0.2627, 0.0593),
}
_SAME_PLANES = {  # packed or half-planar formats and their planar twins, without loss
    "nv12": "yuv420p", "nv21": "yuv420p", "p010le": "yuv420p10le", "p016le": "yuv420p16le",
    "nv16": "yuv422p", "p210le": "yuv422p10le", "yuyv422": "yuv422p", "uyvy422": "yuv422p",
    "v210": "yuv422p10le",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How Y'CbCr encodes R'G'B': weights of red and blue, and the range of the code values."""

    matrix: str
    kr: float
    kb: float
    full_range: bool

    @classmethod
    def of(cls, frame: Any, path: Path) -> Encoding:
        """From a frame's tags; an untagged one by its size (HD is Rec.709), in legal range."""
        tag = int(frame.colorspace)
        if frame.format.is_rgb or tag == 0:
            return cls(matrix="RGB", kr=0.0, kb=0.0, full_range=int(frame.color_range) != 1)
        if tag in (2, 3):
            tag = 1 if frame.height >= 720 or frame.width >= 1280 else 6
        if tag not in _WEIGHTS:
            raise PlateError(
                f"unsupported colour matrix {frame.colorspace}",
                path=path,
                hint="convert the movie to Rec.709 or Rec.2020 non-constant luminance",
            )
        full = int(frame.color_range) == 2 or frame.format.name.startswith("yuvj")
        matrix, kr, kb = _WEIGHTS[tag]
        return cls(matrix=matrix, kr=kr, kb=kb, full_range=full)

    def affine(self, bits: int) -> FloatImage:
        """(3, 4): code values Y, Cb, Cr (and 1) to R'G'B'."""
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
    """(H, W, 3) float32 R'G'B' of a decoded frame, unclipped."""
    planar = _planar(frame)
    if planar.format.is_rgb:
        return _from_rgb(planar, encoding)
    bits = planar.format.components[0].bits
    luma = _plane(planar, 0).astype(np.float32)
    matrix = encoding.affine(bits)
    if len(planar.format.components) < 3:
        grey = (luma - _black(encoding, bits)) * matrix[0, 0]
        return np.repeat(grey[:, :, None], 3, axis=2)
    chroma = [_upsampled(_plane(planar, i).astype(np.float32), luma.shape) for i in (1, 2)]
    return np.asarray(cv2.transform(cv2.merge([luma, *chroma]), matrix))


def _black(encoding: Encoding, bits: int) -> float:
    return 0.0 if encoding.full_range else float(16 << (bits - 8))


def _planar(frame: Any) -> Any:
    """The frame in planar Y'CbCr or planar RGB."""
    name = frame.format.name
    if name in _SAME_PLANES:
        return frame.reformat(format=_SAME_PLANES[name])
    if frame.format.is_rgb and not name.startswith("gbr"):
        return frame.reformat(format="gbrp16le" if frame.format.components[0].bits > 8 else "gbrp")
    if name.startswith(("yuv", "gbr", "gray")) and not name.endswith("be"):
        return frame
    return frame.reformat(format="yuv444p16le")


def _plane(frame: Any, index: int) -> np.ndarray:
    component, plane = frame.format.components[index], frame.planes[index]
    wide = component.bits > 8
    values = np.frombuffer(plane, np.uint16 if wide else np.uint8)
    rows = values.reshape(-1, plane.line_size // (2 if wide else 1))
    return rows[: plane.height, : plane.width]


def _upsampled(plane: FloatImage, shape: tuple[int, int]) -> FloatImage:
    """Chroma at luma's size. It sits on the left luma sample, and between two rows (MPEG-2)."""
    height, width = shape
    if plane.shape == shape:
        return plane
    across, down = -(-width // plane.shape[1]), -(-height // plane.shape[0])
    inverse = np.array([[1 / across, 0, 0], [0, 1 / down, (1 / down - 1) / 2]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(
        cv2.warpAffine(
            plane, inverse, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
    )


def _from_rgb(frame: Any, encoding: Encoding) -> FloatImage:
    bits = frame.format.components[0].bits
    stacked = np.stack([_plane(frame, i) for i in (2, 0, 1)], axis=-1).astype(np.float32)  # GBR
    if encoding.full_range:
        return stacked / np.float32((1 << bits) - 1)
    return (stacked - np.float32(16 << (bits - 8))) / np.float32(219 << (bits - 8))
