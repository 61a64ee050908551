"""Parse names of devices, such as `cuda:0,1` for two of them."""

from __future__ import annotations

import os

from vfxmatte.errors import DeviceError, UsageError

_ALL = "cuda:all"
_HINT = "write cuda:0,1 or cuda:0,cuda:1, cuda:all, or one device"


def names_several(device: str) -> bool:
    """Return True if a setting may name several devices; queries no driver."""
    return "," in device or device.strip() == _ALL


def device_names(device: str) -> tuple[str, ...]:
    """Parse `cuda:0,1` or `cuda:0,cuda:1` as (cuda:0, cuda:1), `cuda:all` as all GPUs.

    A single device is returned unchanged. `cpu` may be repeated, a GPU may not.

    Raises:
        UsageError: not a list of devices.
        DeviceError: `cuda:all` without a GPU.
    """
    if device.strip() == _ALL:
        return tuple(f"cuda:{index}" for index in range(_gpu_count()))
    if not names_several(device):
        return (device,)
    names: list[str] = []
    for part in (part.strip() for part in device.split(",")):
        name = f"cuda:{part}" if part.isdecimal() and names else part
        if name != "cpu" and not (name.startswith("cuda:") and name[5:].isdecimal()):
            raise UsageError(f"{device!r} is not a list of devices", hint=_HINT)
        if name != "cpu" and name in names:
            raise UsageError(f"{device!r} names {name} twice", hint=_HINT)
        names.append(name)
    return tuple(names)


def check_devices(device: str) -> None:
    """Raise UsageError where `device_names` would; queries no driver."""
    if device.strip() != _ALL:
        device_names(device)


def environment(name: str, count: int) -> tuple[str, dict[str, str]]:
    """Return the device's name within a child process of its own, and its environment.

    The child sees only its own GPU, as cuda:0, so that it allocates nothing on others. `count`
    processes share the CPU cores.
    """
    variables = dict(os.environ)
    if name == "cpu":
        variables.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
        return name, variables
    index = int(name.partition(":")[2])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    listed = None if visible is None else [part.strip() for part in visible.split(",")]
    if listed is not None and index >= len(listed):
        return name, variables  # the engine reports the missing device
    variables["CUDA_VISIBLE_DEVICES"] = str(index) if listed is None else listed[index]
    return "cuda:0", variables


def _gpu_count() -> int:
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise DeviceError(
            "cuda:all was asked for, and torch sees no GPU",
            hint="use --device cpu, or install a torch build with CUDA and its driver",
        )
    return count
