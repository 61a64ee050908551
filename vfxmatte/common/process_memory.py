"""How much memory this process has held: the most so far, as far as the system tells."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_rss_bytes() -> int | None:
    """The most memory this process has held since it was started; None where nobody knows."""
    try:  # unlike getrusage, the kernel's own figure leaves out what the parent process held
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def peak_gpu_bytes(device: str) -> int | None:
    """The most of a GPU's memory that torch has given to this process; None without a GPU."""
    import torch

    if not device.startswith("cuda"):
        return None
    return torch.cuda.max_memory_allocated(torch.device(device.split(" ")[0]))
