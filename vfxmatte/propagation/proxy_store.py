"""Store the proxies, labels and flows of one segment on disk while it is processed.

Labels are compressed losslessly, flows stored in half precision; pictures are stored as they are,
because fast compression hardly shrinks grain. A segment of thousands of frames thus needs little
memory and a bounded amount of disk.
"""

from __future__ import annotations

import math
import shutil
import zlib
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import OutputError
from vfxmatte.io.stills.halves import narrowed, widened
from vfxmatte.propagation.flow import FlowPair, halved_shape
from vfxmatte.propagation.keyframe_look import Look
from vfxmatte.types import Labels, Mask, Picture


class ProxyStore:
    """Pictures, labels and flows of (h, w) proxies by frame number, in a folder of their own.

    Threads may put and get different frames at once. Putting raises OutputError if the disk
    refuses; only what was put may be read.
    """

    def __init__(self, folder: Path, shape: tuple[int, int]) -> None:
        self._folder, self._shape = folder, shape

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) of the proxies."""
        return self._shape

    def open(self) -> None:
        """Create the folder."""
        try:
            self._folder.mkdir(parents=True)
        except OSError as error:
            raise _refused(error, self._folder) from error

    def clear(self) -> None:
        """Remove the folder and its content."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def put_picture(self, number: int, picture: Picture) -> None:
        """Store an (h, w, 3) uint8 picture."""
        self._write(f"picture.{number}.rgb", picture.tobytes())

    def drop_picture(self, number: int) -> None:
        """Remove a frame's picture."""
        (self._folder / f"picture.{number}.rgb").unlink(missing_ok=True)

    def picture(self, number: int) -> Picture:
        """Read a frame's (h, w, 3) uint8 picture."""
        data = self._read(f"picture.{number}.rgb", np.uint8)
        return cast(Picture, data.reshape(*self._shape, 3))

    def put_labels(self, number: int, labels: Labels) -> None:
        """Store (h, w) uint8 labels."""
        self._write(f"labels.{number}.z", zlib.compress(labels.tobytes(), 1))

    def labels(self, number: int) -> Labels:
        """Read a frame's (h, w) uint8 labels."""
        data = zlib.decompress((self._folder / f"labels.{number}.z").read_bytes())
        return np.frombuffer(data, np.uint8).reshape(self._shape)

    def put_beyond(self, number: int, beyond: Mask | None) -> None:
        """Store an (h, w) mask, see `Side.beyond`; None stores nothing."""
        if beyond is not None:
            self._write(f"beyond.{number}.z", zlib.compress(np.packbits(beyond).tobytes(), 1))

    def beyond(self, number: int) -> Mask | None:
        """Read it again."""
        path = self._folder / f"beyond.{number}.z"
        if not path.exists():
            return None
        bits = np.frombuffer(zlib.decompress(path.read_bytes()), np.uint8)
        return np.unpackbits(bits, count=math.prod(self._shape)).reshape(self._shape).view(bool)

    def put_look(self, number: int, look: Look) -> None:
        """Store how a keyframe shows a frame, at half the proxies' size."""
        self._write(f"look.{number}.z", zlib.compress(look.planes().tobytes(), 1))

    def look(self, number: int) -> Look:
        """Read how a keyframe shows a frame."""
        data = zlib.decompress((self._folder / f"look.{number}.z").read_bytes())
        shape = (3, *halved_shape(self._shape))
        return Look.of_planes(np.frombuffer(data, np.uint8).reshape(shape))

    def put_flow(self, number: int, pair: FlowPair) -> None:
        """Store flows of half the proxies' size, see `flow_pair`."""
        both = narrowed(np.stack([pair.forward, pair.backward]))
        self._write(f"flow.{number}.half", both.tobytes())

    def flow(self, number: int) -> FlowPair:
        """Read a frame's flows, rounded to half precision."""
        both = self._read(f"flow.{number}.half", np.float16)
        forward, backward = widened(both.reshape(2, *halved_shape(self._shape), 2))
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
