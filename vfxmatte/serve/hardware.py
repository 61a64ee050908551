"""Which devices there are, best first. Asking loads torch."""

from __future__ import annotations

import platform


def devices() -> list[dict[str, str]]:
    """`{"device": "cuda:0", "name": …}` for each GPU, then the processor."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = [
        {"device": f"cuda:{index}", "name": torch.cuda.get_device_name(index)}
        for index in range(count)
    ]
    return [*found, {"device": "cpu", "name": platform.processor() or platform.machine()}]
