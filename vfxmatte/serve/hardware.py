"""The list of devices, best first; loads torch."""

from __future__ import annotations

import platform


def devices() -> list[dict[str, str]]:
    """Return `{"device": "cuda:0", "name": …}` for each GPU, then for the processor."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = [{"device": f"cuda:{i}", "name": torch.cuda.get_device_name(i)} for i in range(count)]
    return [*gpus, {"device": "cpu", "name": platform.processor() or platform.machine()}]
