"""Contact sheets: rows of labelled pictures in one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import OutputError

Picture = NDArray[Any]

_GAP_PX = 4
_TITLE_PX = 22
_PAPER = 40
_INK = (235, 235, 235)


def as_picture(picture: Picture) -> NDArray[np.uint8]:
    """Convert (H, W) or (H, W, 3), uint8 or float from 0 to 1, to (H, W, 3) uint8 RGB."""
    if picture.dtype != np.uint8:
        picture = np.clip(np.nan_to_num(picture) * 255 + 0.5, 0, 255).astype(np.uint8)
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def save_sheet(
    path: str | Path,
    rows: Sequence[Sequence[Picture]],
    *,
    titles: Sequence[str] = (),
    captions: Sequence[Sequence[str]] = (),
    cell_px: int = 256,
) -> None:
    """Write a PNG with one picture per cell, reduced to fit `cell_px` and never enlarged.

    Args:
        path: the PNG.
        rows: pictures as `as_picture` takes them.
        titles: one per column.
        captions: one per cell, written under it.
        cell_px: side of a cell.

    Raises:
        OutputError: the file cannot be written.
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise ValueError("a sheet needs at least one picture")
    strips = [_title_strip(titles, columns, cell_px)] if titles else []
    for number, row in enumerate(rows):
        cells = [_fitted(as_picture(picture), cell_px) for picture in row]
        strips.append(_strip(cells, columns, cell_px))
        if number < len(captions):
            strips.append(_title_strip(captions[number], columns, cell_px))
    sheet = np.ascontiguousarray(np.vstack(strips)[..., ::-1])
    try:
        Path(path).write_bytes(cv2.imencode(".png", sheet)[1].tobytes())
    except OSError as error:
        raise OutputError(f"the sheet cannot be written: {error}", path=path) from error


def _fitted(picture: NDArray[np.uint8], cell_px: int) -> NDArray[np.uint8]:
    scale = min(1.0, cell_px / max(picture.shape[:2]))
    if scale < 1:
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    return picture


def _strip(cells: list[NDArray[np.uint8]], columns: int, cell_px: int) -> NDArray[np.uint8]:
    height = max(cell.shape[0] for cell in cells)
    strip = np.full((height + _GAP_PX, columns * (cell_px + _GAP_PX), 3), _PAPER, np.uint8)
    for number, cell in enumerate(cells):
        left = number * (cell_px + _GAP_PX) + (cell_px - cell.shape[1]) // 2
        strip[: cell.shape[0], left : left + cell.shape[1]] = cell
    return strip


def _title_strip(titles: Sequence[str], columns: int, cell_px: int) -> NDArray[np.uint8]:
    strip = np.full((_TITLE_PX, columns * (cell_px + _GAP_PX), 3), _PAPER, np.uint8)
    for number, title in enumerate(titles[:columns]):
        place = (number * (cell_px + _GAP_PX) + 4, _TITLE_PX - 7)
        text = title if len(title) * 7 <= cell_px else title[: cell_px // 7 - 1] + "~"
        cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
    return strip
