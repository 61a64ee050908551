"""How long a GPU was busy: the time in which at least one of its kernels or copies ran."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

Span = tuple[float, float]


class Busy:
    """Records what the device does while the context is open; then `seconds` says how long.

    Kernels of all threads and streams count, each moment once. Recording costs some speed, so
    frame rates are not to be taken from a run that is recorded. device_type "cpu" records the
    processor's operators instead, by the same code.
    """

    def __init__(self, device_type: str = "cuda") -> None:
        on_gpu = device_type == "cuda"
        self._kind = DeviceType.CUDA if on_gpu else DeviceType.CPU
        activity = ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU
        self._profile: Any = profile(activities=[activity])
        self.seconds = 0.0

    def __enter__(self) -> Busy:
        self._profile.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._kind == DeviceType.CUDA:
            torch.cuda.synchronize()
        self._profile.__exit__(kind, error, trace)
        events = [event for event in self._profile.events() if event.device_type == self._kind]
        spans = ((event.time_range.start, event.time_range.end) for event in events)
        self.seconds = covered(spans) / 1e6


def covered(spans: Iterable[Span]) -> float:
    """Total length of the union of (start, end) spans."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        if end > reached:
            total += end - max(start, reached)
            reached = end
    return total
