"""Small pictures and small results of one segment, kept on disk while the segment is worked on.

Labels are lossless and compressed, flows half precision; pictures, whose grain no quick
compression makes much smaller, are stored as they are. So a segment of thousands of frames needs
little memory and a bounded amount of disk. Knows nothing of keyframes or of time.
"""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import OutputError
from vfxmatte.propagation.flow import FlowPair, halved_shape
from vfxmatte.types import Labels, Picture


class ProxyStore:
    """Pictures, labels and flows of (h, w) proxies by frame number, in a folder of their own.

    Different threads may put and get different frames at once. What is put raises OutputError
    where the disk refuses it; what is got must have been put.
    """

    def __init__(self, folder: Path, shape: tuple[int, int]) -> None:
        self._folder, self._shape = folder, shape

    def open(self) -> None:
        """Make the folder."""
        try:
            self._folder.mkdir(parents=True)
        except OSError as error:
            raise _refused(error, self._folder) from error

    def clear(self) -> None:
        """Remove the folder with all that is in it."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def put_picture(self, number: int, picture: Picture) -> None:
        """(h, w, 3) uint8."""
        self._write(f"picture.{number}.rgb", picture.tobytes())

    def picture(self, number: int) -> Picture:
        """As it was put in."""
        data = self._read(f"picture.{number}.rgb", np.uint8)
        return cast(Picture, data.reshape(*self._shape, 3))

    def put_labels(self, number: int, labels: Labels) -> None:
        """(h, w) uint8."""
        self._write(f"labels.{number}.z", zlib.compress(labels.tobytes(), 1))

    def labels(self, number: int) -> Labels:
        """As they were put in."""
        data = zlib.decompress((self._folder / f"labels.{number}.z").read_bytes())
        return np.frombuffer(data, np.uint8).reshape(self._shape)

    def put_flow(self, number: int, pair: FlowPair) -> None:
        """Flows of half the proxies' size, as `flow_pair` gives them."""
        both = np.stack([pair.forward, pair.backward]).astype(np.float16)
        self._write(f"flow.{number}.half", both.tobytes())

    def flow(self, number: int) -> FlowPair:
        """As it was put in, rounded to half precision."""
        both = self._read(f"flow.{number}.half", np.float16).astype(np.float32)
        forward, backward = both.reshape(2, *halved_shape(self._shape), 2)
        return FlowPair(forward=forward, backward=backward)

    def _read(self, name: str, dtype: type) -> NDArray[Any]:
        return np.fromfile(self._folder / name, dtype)

    def _write(self, name: str, data: bytes) -> None:
        path = self._folder / name
        try:
            path.write_bytes(data)
        except OSError as error:
            raise _refused(error, path) from error


def _refused(error: OSError, path: Path) -> OutputError:
    return OutputError(
        f"intermediate results cannot be stored: {error.strerror or error}",
        path=path,
        hint="is the disk full? free some space, or give another --output",
    )
