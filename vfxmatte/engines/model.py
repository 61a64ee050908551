"""A network on its device, which both solvers share."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from vfxmatte.common.wording import counted
from vfxmatte.engines.protocol import Precision, Task
from vfxmatte.errors import DeviceError, VfxmatteError, WeightsError
from vfxmatte.network.dim import DeepImageMatting, DimConfig
from vfxmatte.network.weights import WeightsInfo
from vfxmatte.prior.alpha_prior import alpha_priors
from vfxmatte.types import UNKNOWN, FloatImage, Labels

SMALLEST_PX = 256 * 256
"""Pixels at once that are tried on any device."""

_MEMORY_SHARE = 0.25  # of the device's memory, for one piece or batch
_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, eq=False)
class Model:
    """A network in inference mode on a device."""

    network: DeepImageMatting
    info: WeightsInfo
    """The sidecar of its weights."""
    device: torch.device
    dtype: torch.dtype
    """Number format of the activations."""
    prior: bool = True
    """Whether a network that takes alpha priors is given them."""

    @classmethod
    def on(
        cls,
        device: torch.device,
        dtype: torch.dtype,
        network: DeepImageMatting,
        info: WeightsInfo,
        *,
        prior: bool = True,
    ) -> Model:
        return cls(placed(network.eval(), device, dtype), info, device, dtype, prior)

    @property
    def name(self) -> str:
        """The device's display name."""
        if self.device.type == "cuda":
            return f"{self.device} ({torch.cuda.get_device_name(self.device)})"
        return str(self.device)

    @property
    def precision(self) -> str:
        return str(self.dtype).removeprefix("torch.")

    @property
    def channels(self) -> int:
        """Number of input channels: RGB, trimap and alpha priors."""
        return 4 + self.info.network.priors

    def priors(self, task: Task) -> FloatImage:
        """Compute the priors that this network takes, see `priors_of`."""
        return priors_of(task, self.info.network, self.device, use_alpha_priors=self.prior)

    def affordable_px(self, planes: float) -> int:
        """Return how many pixels fit into a quarter of the device's memory.

        Counts all of its memory, not what is free now, so that a machine always cuts the same
        pieces.

        Args:
            planes: values of the widest layer that are alive per pixel.
        """
        if self.device.type == "cuda":
            memory = torch.cuda.get_device_properties(self.device).total_memory
        else:
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        per_pixel = planes * self.network.config.channels(64) * self.dtype.itemsize
        return max(SMALLEST_PX, int(memory * _MEMORY_SHARE / per_pixel))

    def check_finite(self, alpha: FloatImage, frame: int) -> None:
        """Raise WeightsError if a result is not finite."""
        if not np.isfinite(alpha).all():
            raise not_a_number(self.dtype, frame=frame, path=self.info.path)

    def out_of_memory(self, error: BaseException) -> bool:
        """Return True if an error reports too little memory on the device."""
        text = str(error)
        return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text

    def lost(self, error: Exception, frame: int) -> Exception:
        """Return a DeviceError for a GPU that failed during the work; any other error unchanged."""
        if isinstance(error, VfxmatteError) or self.device.type != "cuda":
            return error
        if "CUDA" not in str(error) and not isinstance(error, torch.AcceleratorError):
            return error
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return DeviceError(
            f"{self.device} failed: {first_line}",
            frame=frame,
            hint="finished frames are kept: run again when the GPU is back, or with --device cpu",
        )

    def free_memory(self) -> None:
        """Release the memory that the device's allocator caches."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


NetworkT = TypeVar("NetworkT", bound=nn.Module)


def not_a_number(dtype: torch.dtype, *, frame: int, path: Path) -> WeightsError:
    """Create the error for a result that is not finite."""
    return WeightsError(
        f"the network's result is not a number in {str(dtype).removeprefix('torch.')}",
        frame=frame,
        path=path,
        hint="use --precision bfloat16 or float32, or other weights"
        if dtype == torch.float16
        else "use other weights",  # the other precisions have float32's range
    )


def placed(network: NetworkT, device: torch.device, dtype: torch.dtype) -> NetworkT:
    """Bring a network that learns no more to its device, in the memory format that is fastest.

    float32 then means float32 on a GPU too, where torch would round what it multiplies to ten bits.
    """
    if device.type == "cuda" and dtype == torch.float32:
        torch.backends.cudnn.allow_tf32 = False
    network = network.requires_grad_(False).to(device, dtype)
    return network.to(memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


def priors_of(
    task: Task, network: DimConfig, device: torch.device, *, use_alpha_priors: bool = True
) -> FloatImage:
    """Compute what the network takes beside picture and trimap.

    Args:
        use_alpha_priors: False puts the trimap in the place of the alpha priors.
    Returns:
        (H, W, priors) float32; no priors for a network that takes none.
    """
    labels = task.trimap.labels
    if not network.prior:
        return np.empty((*labels.shape, 0), np.float32)
    if use_alpha_priors:
        return alpha_priors(task.image, labels, device=device)
    return np.repeat(trimap_values(labels)[:, :, None], network.priors, axis=2)


def network_input(task: Task, priors: FloatImage) -> FloatImage:
    """Stack picture, trimap (0, 0.5, 1) and priors: (H, W, 4 + priors) float32."""
    return np.concatenate((task.image, trimap_values(task.trimap.labels)[:, :, None], priors), 2)


def trimap_values(labels: Labels) -> FloatImage:
    """Return labels as the network's input: float32 of the same shape, 0, 0.5 and 1."""
    values = np.asarray(labels / np.float32(255), np.float32)
    values[labels == UNKNOWN] = 0.5
    return values


def choose_device(name: str) -> torch.device:
    """Return the torch device of auto, cpu, cuda or cuda:N.

    Raises:
        DeviceError: no such GPU, or an unknown name.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"no device {name!r}", hint="use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise DeviceError(
                f"{name} was asked for, and torch sees {counted(count, 'GPU')}",
                hint="use --device cpu, or install a torch build with CUDA and its driver",
            )
    elif device.type != "cpu":
        raise DeviceError(f"{name} is not supported", hint="use auto, cpu, cuda or cuda:N")
    return device


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the dtype of the network's activations."""
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    return _DTYPES[precision]
