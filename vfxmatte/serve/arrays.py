"""Pixels that travel beside the messages: in a file of raw values, or in shared memory."""

from __future__ import annotations

import math
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfxmatte.serve.params import Params
from vfxmatte.serve.rpc import INVALID_PARAMS, RpcError

_TYPES = ("float32", "float16", "uint8", "uint16")
_MAX_BYTES = 1 << 34


@dataclass(frozen=True, kw_only=True)
class RemoteArray:
    """The location of a C-contiguous array in native byte order, in a file or in shared memory."""

    shape: tuple[int, ...]
    """One to three sizes."""
    dtype: str
    """float32, float16, uint8 or uint16."""
    file: Path | None
    """The client's file, large enough for the array; None for shared memory."""
    shared_memory: str | None
    """Name of the client's shared memory; None for a file."""
    offset: int = 0
    """Position of the first value, in bytes."""

    @classmethod
    def from_record(cls, record: Mapping[str, Any], name: str) -> RemoteArray:
        """Read the location from the parameter `name` of a request; raises RpcError."""
        params = Params(record, within=f"{name}.")
        array = cls(
            shape=params.shape("shape"),
            dtype=params.choice("dtype", _TYPES),
            file=params.path("file"),
            shared_memory=params.text("shared_memory"),
            offset=params.whole("offset"),
        )
        params.end()
        if (array.file is None) == (array.shared_memory is None):
            raise RpcError(INVALID_PARAMS, f"{name} needs either file or shared_memory")
        if array.nbytes > _MAX_BYTES:
            raise RpcError(INVALID_PARAMS, f"{name} is too large: {array.shape}")
        return array

    @property
    def nbytes(self) -> int:
        """Size of the array in bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def read(self) -> NDArray[Any]:
        """Return a copy of the array; raises RpcError where it cannot be read."""
        return np.frombuffer(self._transfer(None), self.dtype).reshape(self.shape)

    def write(self, values: NDArray[Any]) -> None:
        """Write values of the same shape; raises RpcError."""
        if values.shape != self.shape:
            raise RpcError(INVALID_PARAMS, f"the array is {self.shape}, found {values.shape}")
        self._transfer(np.ascontiguousarray(values, self.dtype).tobytes())

    def _transfer(self, new: bytes | None) -> bytes:
        """Write `new`, or return the array's bytes where it is None."""
        try:
            if self.file is None:
                return self._transfer_memory(new)
            return self._transfer_file(self.file, new)
        except (OSError, ValueError) as error:
            where = self.file or self.shared_memory
            raise RpcError(INVALID_PARAMS, f"no array in {where}: {error}") from error

    def _transfer_file(self, file: Path, new: bytes | None) -> bytes:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ValueError("it is no file")
        with file.open("rb" if new is None else "r+b") as stream:
            self._check_size(os.fstat(stream.fileno()).st_size)
            stream.seek(self.offset)
            if new is None:
                return stream.read(self.nbytes)
            stream.write(new)
            return b""

    def _transfer_memory(self, new: bytes | None) -> bytes:
        memory = attach(str(self.shared_memory))
        try:
            self._check_size(memory.size)
            if memory.buf is None:
                raise ValueError("it is closed")
            with memory.buf[self.offset : self.offset + self.nbytes] as view:
                if new is None:
                    return bytes(view)
                view[:] = new
                return b""
        finally:
            memory.close()

    def _check_size(self, size: int) -> None:
        if size < self.offset + self.nbytes:
            raise ValueError(f"it has {size} bytes, {self.offset + self.nbytes} are needed")


def attach(name: str) -> SharedMemory:
    """Open the shared memory of another process, which remains responsible for removing it."""
    memory = SharedMemory(name)
    if sys.platform != "win32":  # Python before 3.13 would remove it when this process ends
        resource_tracker.unregister(memory._name, "shared_memory")  # type: ignore[attr-defined]
    return memory
