"""Small pictures and small results of one segment, kept on disk while the segment is worked on.

Everything is lossless and compressed (PNG) or half precision (flows at half size), so a segment of
thousands of frames needs little memory and a bounded amount of disk. Knows nothing of trimaps.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import OutputError
from vfxmatte.flow import FlowPair

Picture = NDArray[np.uint8]
_FAST_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)


class PictureStore:
    """uint8 pictures, (h, w) or (h, w, 3), by kind and index in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, kind: str, index: int, picture: Picture) -> None:
        """Store one picture; raises OutputError where the disk refuses it."""
        done, data = cv2.imencode(".png", picture, _FAST_PNG)
        if not done:
            raise ValueError(f"cannot encode {kind} {index}: {picture.shape} {picture.dtype}")
        _write(self._path(kind, index), data.tobytes())

    def get(self, kind: str, index: int) -> Picture:
        """The picture as it was put in."""
        data = np.frombuffer(self._path(kind, index).read_bytes(), np.uint8)
        return cast(Picture, cv2.imdecode(data, cv2.IMREAD_UNCHANGED))

    def _path(self, kind: str, index: int) -> Path:
        return self._folder / f"{kind}.{index}.png"


class FlowStore:
    """Pairs of flows by index in one folder, as half floats at half size."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, index: int, pair: FlowPair) -> None:
        both = np.dstack([pair.forward, pair.backward])
        size = (max(1, both.shape[1] // 2), max(1, both.shape[0] // 2))
        half = cv2.resize(both, size, interpolation=cv2.INTER_AREA).astype(np.float16)
        _write(self._path(index), half.tobytes())

    def get(self, index: int, shape: tuple[int, int]) -> FlowPair:
        """The pair at (h, w); smooth, as it was at half size."""
        half_shape = (max(1, shape[0] // 2), max(1, shape[1] // 2), 4)
        half = np.frombuffer(self._path(index).read_bytes(), np.float16).reshape(half_shape)
        both = cv2.resize(half.astype(np.float32), (shape[1], shape[0]))
        return FlowPair(
            forward=np.ascontiguousarray(both[..., :2]),
            backward=np.ascontiguousarray(both[..., 2:]),
        )

    def _path(self, index: int) -> Path:
        return self._folder / f"flow.{index}.half"


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise OutputError(
            f"intermediate results cannot be stored: {error.strerror or error}",
            path=path,
            hint="is the disk full? free some space, or give another --output",
        ) from error
