"""Speed and memory of a training: samples per second, the share of time spent on data."""

from __future__ import annotations

import time

import torch

from vfxmatte.common.process_memory import peak_gpu_bytes, peak_rss_bytes


class Clock:
    """A stopwatch read at every report; as a context manager it times the making of data."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.samples, self.making, self.started = 0, 0.0, time.perf_counter()

    def __enter__(self) -> None:
        self._entered = self._now()

    def __exit__(self, *_: object) -> None:
        self.making += self._now() - self._entered

    def read(self) -> tuple[float, float]:
        """Return samples per second and the share of time spent on data, since the last call."""
        spent = max(1e-9, self._now() - self.started)
        rate, share = self.samples / spent, self.making / spent
        self.samples, self.making, self.started = 0, 0.0, time.perf_counter()
        return rate, share

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def peak_memory(device: torch.device) -> int:
    """Return the peak memory so far in bytes, of the GPU or the process; 0 where unknown."""
    return peak_gpu_bytes(str(device)) or peak_rss_bytes() or 0
