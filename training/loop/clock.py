"""How fast a training goes: samples per second, the share of time spent making data, memory."""

from __future__ import annotations

import sys
import time

import torch


class Clock:
    """Measures between two calls of `read`; as a context manager it times the making of data."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.samples, self.making, self.started = 0, 0.0, time.perf_counter()

    def __enter__(self) -> None:
        self._entered = self._now()

    def __exit__(self, *_: object) -> None:
        self.making += self._now() - self._entered

    def read(self) -> tuple[float, float]:
        """Samples per second and the share of making data, since the last call."""
        spent = max(1e-9, self._now() - self.started)
        rate, share = self.samples / spent, self.making / spent
        self.samples, self.making, self.started = 0, 0.0, time.perf_counter()
        return rate, share

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def peak_memory(device: torch.device) -> int:
    """The most memory used so far, in bytes: of the GPU, or of the process; 0 where unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
