"""Arrays handed to a server, and the alpha back, through a file."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import ClientError

if TYPE_CHECKING:
    from .errors import Record

_ITEM_BYTES = {"float32": 4, "float16": 2, "uint16": 2, "uint8": 1}


class Array(NamedTuple):
    """An array in C order, top row first."""

    values: Any
    """Any object with the buffer protocol."""
    dtype: str
    """float32, float16, uint16 or uint8."""
    shape: tuple[int, ...]
    """(H, W, 3) or (H, W)."""


class PixelFile:
    """A file that only this user can read: in memory, where the system has a place for such files.

    multiprocessing's shared memory would start the host's program once more.

    Args:
        image: (H, W, 3).
        trimap: (H, W).
        garbage, core: (H, W), or None.

    Raises:
        ClientError: an object does not hold an array of its shape and type.
    """

    def __init__(
        self,
        image: Array,
        trimap: Array,
        garbage: Array | None = None,
        core: Array | None = None,
    ) -> None:
        arrays = {"image": image, "trimap": trimap, "garbage": garbage, "core": core}
        self._arrays = {name: array for name, array in arrays.items() if array is not None}
        self._views = {name: _view(array) for name, array in self._arrays.items()}
        height, width = trimap.shape
        self._alpha_bytes = height * width * _ITEM_BYTES["float32"]
        self._path = ""

    def __enter__(self) -> PixelFile:
        folder = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        descriptor, self._path = tempfile.mkstemp(prefix="vfxmatte-", suffix=".raw", dir=folder)
        with os.fdopen(descriptor, "wb") as stream:
            for view in self._views.values():
                stream.write(view)
            stream.truncate(stream.tell() + self._alpha_bytes)
        return self

    def __exit__(self, *_: object) -> None:
        os.unlink(self._path)

    def params(self) -> Record:
        """Return the arrays of the request and `alpha`: where each lies in the file."""
        params, offset = {}, 0
        for name, array in self._arrays.items():
            params[name] = self._place(array.shape, array.dtype, offset)
            offset += len(self._views[name])
        return {**params, "alpha": self._place(self._arrays["trimap"].shape, "float32", offset)}

    def _place(self, shape: tuple[int, ...], dtype: str, offset: int) -> Record:
        return {"file": self._path, "offset": offset, "shape": list(shape), "dtype": dtype}

    def alpha(self) -> bytes:
        """Return the alpha that the server has written: (H, W) native float32."""
        with open(self._path, "rb") as stream:
            stream.seek(-self._alpha_bytes, os.SEEK_END)
            return stream.read()


def _view(array: Array) -> memoryview:
    """Return the array's bytes; raises ClientError where the object does not hold such an array."""
    values, dtype, shape = array
    if dtype not in _ITEM_BYTES:
        known = ", ".join(sorted(_ITEM_BYTES))
        raise ClientError(f"no type {dtype!r}", kind="UsageError", hint="use " + known)
    expected = _ITEM_BYTES[dtype]
    for size in shape:
        expected *= size
    try:
        view = memoryview(values).cast("B")
    except TypeError as error:
        raise ClientError(
            f"an array must be contiguous, top row first: {error}", kind="UsageError"
        ) from error
    if len(view) != expected:
        raise ClientError(
            f"an array of {shape} {dtype} has {expected} bytes, found {len(view)}",
            kind="UsageError",
        )
    return view
