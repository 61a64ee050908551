"""How arrays get onto the device and back: at once, or on a stream beside the computing one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor


class Transfer(Protocol):
    """To and from one device.

    ahead: how many frames may be launched beyond the one that is awaited. workers: threads that
    prepare frames.
    """

    ahead: int
    workers: int

    def room(self, rows: int, columns: int) -> Tensor:
        """Memory of this machine for (rows, columns) float32 that are to be sent."""

    def send(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The tensors on the device, in the order of its work: they may not be there yet."""

    def fetch(self, tensor: Tensor) -> Tensor:
        """The tensor as float32 in this machine's memory; there when what `mark` gave is over."""

    def mark(self) -> Mark:
        """The end of all that has been asked for so far."""


class Mark(Protocol):
    """A place in the device's work."""

    def synchronize(self) -> None:
        """Wait until the device has come so far."""


class Direct:
    """A device that computes when it is called, as a CPU does: nothing has to be waited for."""

    ahead, workers = 0, 1

    def room(self, rows: int, columns: int) -> Tensor:
        return torch.empty(rows, columns)

    def send(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return list(tensors)

    def fetch(self, tensor: Tensor) -> Tensor:
        return tensor.float()

    def mark(self) -> Mark:
        return self

    def synchronize(self) -> None:
        pass


class Streamed:
    """A GPU: pinned memory, copies to it on a stream of their own, one frame launched ahead."""

    ahead, workers = 1, 4

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._copies: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def room(self, rows: int, columns: int) -> Tensor:
        return torch.empty(rows, columns, pin_memory=True)

    def send(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        computing = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._copies):
            sent = [t.pin_memory().to(self._device, non_blocking=True) for t in tensors]
        computing.wait_stream(self._copies)
        for tensor in sent:
            tensor.record_stream(computing)
        return sent

    def fetch(self, tensor: Tensor) -> Tensor:
        there = torch.empty(tensor.shape, dtype=torch.float32, pin_memory=True)
        return there.copy_(tensor.float(), non_blocking=True)

    def mark(self) -> Mark:
        event: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event  # type: ignore[no-any-return]


def transfer_to(device: torch.device) -> Transfer:
    return Streamed(device) if device.type == "cuda" else Direct()
