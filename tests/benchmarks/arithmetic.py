"""How much arithmetic the network is, and how much of it the device could do.

One multiplication and one addition count as two operations, as in a device's data sheet.
Everything runs on a CPU too, with the same code; only then the clock is the processor's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from vfxmatte.bench.timing import Timing
from vfxmatte.engines.protocol import Task
from vfxmatte.network.dim import STRIDE, DeepImageMatting

_WINDOW = (1024, 1024)
_MATRIX = 8192
_COUNTED = 2 * STRIDE  # sides of the picture that the operations are counted on


def convolution_flops(network: nn.Module, height: int, width: int) -> int:
    """Operations of all convolutions of one dense pass over (height, width), multiples of 32.

    Counted on a small picture: each layer's work is proportional to the picture's area.
    """
    if height % STRIDE or width % STRIDE:
        raise ValueError(f"sides must be multiples of {STRIDE}, found {height}, {width}")
    first = next(network.parameters())
    small = torch.zeros(1, 4, _COUNTED, _COUNTED, device=first.device, dtype=first.dtype)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network(small)
    return _convolutions(counter) * height * width // _COUNTED**2


def solver_flops(solve: Callable[[Sequence[Task]], object], tasks: Sequence[Task]) -> int | None:
    """Operations of all convolutions and matrix products while the tasks are solved.

    None where none were seen: a compiled or recorded graph hides them.
    """
    with FlopCounterMode(display=False) as counter:
        solve(tasks)
    return int(counter.get_total_flops()) or None


def _convolutions(counter: FlopCounterMode) -> int:
    counts = counter.get_flop_counts().get("Global", {})
    return sum(int(count) for name, count in counts.items() if "conv" in str(name))


def matrix_peak(
    device: torch.device, dtype: torch.dtype, *, size: int = _MATRIX, repeats: int = 10
) -> Timing:
    """Times of one product of two random (size, size) matrices: 2·size³ operations."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return device_timing(lambda: left @ right, device, repeats=repeats, warmup=3)


def device_timing(
    work: Callable[[], object], device: torch.device, *, repeats: int, warmup: int
) -> Timing:
    """Seconds that the device needs, by its own clock on a GPU."""
    once = _once_on_gpu if device.type == "cuda" else _once_on_cpu
    with torch.inference_mode():
        for _ in range(warmup):
            work()
        return Timing(seconds=tuple(once(work) for _ in range(repeats)))


def _once_on_gpu(work: Callable[[], object]) -> float:
    start: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    end: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1000


def _once_on_cpu(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """The device's measured peak, and the network's dense forward on it, alone.

    matrix_flops_per_s: of a large matrix product in the network's precision; half on a GPU.
    forward_flops_per_s: of the convolutions over the whole forward's time.
    convolution_flops_per_s: the same over the time of the convolutions themselves.
    """

    device: str
    precision: str
    matrix_size: int
    matrix_seconds: dict[str, Any]
    matrix_flops_per_s: float
    window: tuple[int, int]
    batch: int
    forward_seconds: dict[str, Any]
    forward_flops: int
    forward_flops_per_s: float
    convolution_flops_per_s: float | None

    def as_dict(self) -> dict[str, Any]:
        convolutions = self.convolution_flops_per_s
        return {
            **asdict(self),
            "forward_share_of_peak": self.forward_flops_per_s / self.matrix_flops_per_s,
            "convolution_share_of_peak": None
            if convolutions is None
            else convolutions / self.matrix_flops_per_s,
        }


def measure_arithmetic(
    network: DeepImageMatting,
    device: torch.device,
    dtype: torch.dtype,
    *,
    window: tuple[int, int] = _WINDOW,
    batch: int = 4,
    matrix_size: int = _MATRIX,
    repeats: int = 10,
) -> Arithmetic:
    """Take both figures. The network is moved to the device, channels last, eager."""
    matrix = matrix_peak(device, dtype, size=matrix_size, repeats=repeats)
    network = network.eval().requires_grad_(False).to(device, dtype)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    pictures = torch.rand(batch, 4, *window).to(device, dtype)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    forward = device_timing(lambda: network(pictures), device, repeats=repeats, warmup=2)
    flops = convolution_flops(network, *window) * batch
    within = convolution_seconds(network, pictures)
    return Arithmetic(
        device=_name(device),
        precision=str(dtype).removeprefix("torch."),
        matrix_size=matrix_size,
        matrix_seconds=matrix.as_dict(),
        matrix_flops_per_s=2 * matrix_size**3 / matrix.median,
        window=window,
        batch=batch,
        forward_seconds=forward.as_dict(),
        forward_flops=flops,
        forward_flops_per_s=flops / forward.median,
        convolution_flops_per_s=flops / within if within else None,
    )


def convolution_seconds(network: nn.Module, pictures: Tensor) -> float:
    """Time that the device spends inside the convolutions of one forward, by the profiler."""
    on_gpu = pictures.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with torch.inference_mode(), profile(activities=activities) as seen:
        network(pictures)
        if on_gpu:
            torch.cuda.synchronize()
    rows = [row for row in seen.key_averages() if row.key == "aten::conv2d"]
    spent = sum(row.device_time_total if on_gpu else row.cpu_time_total for row in rows)
    return float(spent) / 1e6


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
