"""Pixels that travel beside the messages: in a file of raw values, or in shared memory."""

from __future__ import annotations

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
_LARGEST_BYTES = 1 << 34


@dataclass(frozen=True, kw_only=True)
class RemoteArray:
    """Where an array lies: C-contiguous, native byte order, `offset` bytes from the beginning.

    file or shared_memory: one of them; the client owns it, and makes it large enough.
    """

    shape: tuple[int, ...]
    dtype: str
    file: Path | None
    shared_memory: str | None
    offset: int = 0

    @classmethod
    def of(cls, record: Mapping[str, Any], name: str) -> RemoteArray:
        """From a request; raises RpcError."""
        params = Params(record, within=f"{name}.")
        found = cls(
            shape=params.shape("shape"),
            dtype=params.choice("dtype", _TYPES),
            file=params.path("file"),
            shared_memory=params.text("shared_memory"),
            offset=params.whole("offset"),
        )
        params.end()
        if (found.file is None) == (found.shared_memory is None):
            raise RpcError(INVALID_PARAMS, f"{name} needs either file or shared_memory")
        if found.nbytes > _LARGEST_BYTES:
            raise RpcError(INVALID_PARAMS, f"{name} is too large: {found.shape}")
        return found

    @property
    def nbytes(self) -> int:
        count = 1
        for size in self.shape:
            count *= size
        return count * np.dtype(self.dtype).itemsize

    def read(self) -> NDArray[Any]:
        """A copy of the array; raises RpcError where it is not there as told."""
        return np.frombuffer(self._bytes(None), self.dtype).reshape(self.shape)

    def write(self, values: NDArray[Any]) -> None:
        """Put values of this shape there; raises RpcError."""
        if values.shape != self.shape:
            raise RpcError(INVALID_PARAMS, f"the array is {self.shape}, found {values.shape}")
        self._bytes(np.ascontiguousarray(values, self.dtype).tobytes())

    def _bytes(self, new: bytes | None) -> bytes:
        try:
            return self._in_memory(new) if self.file is None else self._in_file(self.file, new)
        except (OSError, ValueError) as error:
            where = self.file or self.shared_memory
            raise RpcError(INVALID_PARAMS, f"no array in {where}: {error}") from error

    def _in_file(self, file: Path, new: bytes | None) -> bytes:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ValueError("it is no file")
        with file.open("rb" if new is None else "r+b") as stream:
            self._check(os.fstat(stream.fileno()).st_size)
            stream.seek(self.offset)
            if new is None:
                return stream.read(self.nbytes)
            stream.write(new)
            return b""

    def _in_memory(self, new: bytes | None) -> bytes:
        memory = attached(str(self.shared_memory))
        try:
            self._check(memory.size)
            buffer = memory.buf
            if buffer is None:
                raise ValueError("it is closed")
            view = buffer[self.offset : self.offset + self.nbytes]
            try:
                if new is None:
                    return bytes(view)
                view[:] = new
                return b""
            finally:
                view.release()
        finally:
            memory.close()

    def _check(self, size: int) -> None:
        if size < self.offset + self.nbytes:
            raise ValueError(f"it has {size} bytes, {self.offset + self.nbytes} are needed")


def attached(name: str) -> SharedMemory:
    """Another process' shared memory, which that process will remove."""
    memory = SharedMemory(name)
    if sys.platform != "win32":  # Python before 3.13 would remove it when this process ends
        resource_tracker.unregister(memory._name, "shared_memory")  # type: ignore[attr-defined]
    return memory
