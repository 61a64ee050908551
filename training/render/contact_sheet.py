"""Contact sheets of rendered shots and elements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from training.measure.sheet import save_sheet
from training.render.finish import read_channels
from vfxmatte.colour import decode_srgb, encode_for_network
from vfxmatte.types import FloatImage


def shot_sheet(folder: Path, frames: range, path: Path, *, rows: int = 5) -> None:
    """Write plate, alpha, and plate over a checkerboard, for `rows` frames of a finished shot."""
    chosen = sorted({frames[round(i)] for i in np.linspace(0, len(frames) - 1, rows)})
    pictures = []
    for frame in chosen:
        plate = read_channels(folder / f"plate/plate.{frame}.exr", "RGB")
        alpha = read_channels(folder / f"alpha/alpha.{frame}.exr", "A")[..., 0]
        pictures.append([for_display(plate), alpha, for_display(over_checker(plate, alpha))])
    captions = [[f"plate {frame}", "alpha", "over a checker"] for frame in chosen]
    save_sheet(path, pictures, captions=captions, cell_px=426)


def element_sheet(
    files: Sequence[Path], path: Path, *, columns: int = 8, cell_px: int = 160
) -> None:
    """Write elements (WebP or EXR) over a checkerboard with their names."""
    pictures = [_element_picture(file) for file in files]
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    names = [[f.stem for f in files[i : i + columns]] for i in range(0, len(files), columns)]
    save_sheet(path, rows, captions=names, cell_px=cell_px)


def _element_picture(file: Path) -> FloatImage:
    if file.suffix == ".exr":
        linear = read_channels(file, "RGBA")
        return for_display(over_checker(linear[..., :3], linear[..., 3], premultiplied=True))
    stored = np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), dtype=np.float32)
    pixels = stored / np.float32(255)
    colour = decode_srgb(np.ascontiguousarray(pixels[..., 2::-1]))
    return for_display(over_checker(colour, pixels[..., 3]))


def over_checker(
    colour: FloatImage, alpha: FloatImage, *, premultiplied: bool = False
) -> FloatImage:
    """Lay scene-linear colour (H, W, 3) over a grey checkerboard by alpha (H, W)."""
    row, column = np.indices(alpha.shape)
    squares = np.where((row // 16 + column // 16) % 2, 0.3, 0.12).astype(np.float32)
    front = colour if premultiplied else colour * alpha[..., None]
    return np.asarray(front + (1 - alpha[..., None]) * squares[..., None], dtype=np.float32)


def for_display(linear: FloatImage) -> FloatImage:
    """Encode scene-linear light as sRGB, 0 to 1, with a soft shoulder for highlights."""
    light = np.maximum(linear, 0)
    rolled = np.clip(light * (1 + light / 36) / (1 + 0.45 * light), 0, 1)
    return np.asarray(encode_for_network(rolled))
