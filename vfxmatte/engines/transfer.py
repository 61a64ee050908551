"""Copies to the device and back: synchronous, or on a stream beside the computing one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor


class Transfer(Protocol):
    """Copies to and from one device."""

    ahead: int
    """Frames that may be launched beyond the awaited one."""
    workers: int
    """Threads that prepare frames."""

    def room(self, rows: int, columns: int) -> Tensor:
        """Allocate host memory for (rows, columns) float32 to be sent."""

    def send(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Copy tensors to the device; later work on it waits for them."""

    def fetch(self, tensor: Tensor) -> Tensor:
        """Copy a tensor to host memory as float32; complete once a later `mark` is reached."""

    def mark(self) -> Mark:
        """Mark the end of the work queued so far."""


class Mark(Protocol):
    """A place in the device's work."""

    def synchronize(self) -> None:
        """Wait until the device has reached this mark."""


class Direct:
    """A CPU, which computes synchronously."""

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
        pinned = torch.empty(tensor.shape, dtype=torch.float32, pin_memory=True)
        return pinned.copy_(tensor.float(), non_blocking=True)

    def mark(self) -> Mark:
        event: Any = torch.cuda.Event()  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self._device))
        return event  # type: ignore[no-any-return]


def transfer_to(device: torch.device) -> Transfer:
    return Streamed(device) if device.type == "cuda" else Direct()
