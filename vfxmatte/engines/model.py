"""The network on its device: what every way of running it shares."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import torch

from vfxmatte.engines.protocol import Precision, Task
from vfxmatte.errors import DeviceError, VfxmatteError, WeightsError
from vfxmatte.network.dim import DeepImageMatting, DimConfig
from vfxmatte.network.weights import WeightsInfo
from vfxmatte.prior.alpha_prior import alpha_priors
from vfxmatte.types import UNKNOWN, FloatImage, Labels

SMALLEST_PX = 256 * 256
"""No device is taken to be too small for so many pixels at once."""

_MEMORY_SHARE = 0.25
_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, eq=False)
class Model:
    """A network in inference mode, its weights' sidecar, and where and in which format it runs.

    prior: whether the network is shown alpha priors, where it takes any.
    """

    network: DeepImageMatting
    info: WeightsInfo
    device: torch.device
    dtype: torch.dtype
    prior: bool = True

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
        network = network.eval().requires_grad_(False).to(device, dtype)
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(network, info, device, dtype, prior)

    @property
    def name(self) -> str:
        """The device, for the screen."""
        if self.device.type == "cuda":
            return f"{self.device} ({torch.cuda.get_device_name(self.device)})"
        return str(self.device)

    @property
    def precision(self) -> str:
        return str(self.dtype).removeprefix("torch.")

    @property
    def channels(self) -> int:
        """Of the network's input: RGB, trimap and priors."""
        return 4 + self.info.network.priors

    def priors(self, task: Task) -> FloatImage:
        """See `priors_of`."""
        return priors_of(task, self.info.network, shown=self.prior)

    def affordable_px(self, planes: float) -> int:
        """How many pixels fit into a quarter of the device's memory at so many values of the
        widest layer a pixel: of the memory's size, not of what is free now, so that the same
        machine always cuts the same pieces."""
        if self.device.type == "cuda":
            memory = torch.cuda.get_device_properties(self.device).total_memory
        else:
            memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        per_pixel = planes * self.network.config.channels(64) * self.dtype.itemsize
        return max(SMALLEST_PX, int(memory * _MEMORY_SHARE / per_pixel))

    def check_finite(self, alpha: FloatImage, frame: int) -> None:
        """Raises WeightsError for a result that is not a number."""
        if not np.isfinite(alpha).all():
            raise WeightsError(
                f"the network's result is not a number in {self.precision}",
                frame=frame,
                path=self.info.path,
                hint="use --precision bfloat16 or float32, or other weights",
            )

    def out_of_memory(self, error: BaseException) -> bool:
        """Whether an error says that the device's memory was too little."""
        text = str(error)
        return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text

    def lost(self, error: Exception, frame: int) -> Exception:
        """A device that failed or vanished in the middle of the work, as an error that says so;
        any other error as it is."""
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
        """Give back what the device's allocator keeps."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def priors_of(task: Task, network: DimConfig, *, shown: bool = True) -> FloatImage:
    """Compute what the network takes beside picture and trimap.

    Args:
        shown: False puts the trimap in the place of the alpha priors.
    Returns:
        (H, W, priors) float32; no priors for a network that takes none.
    """
    labels = task.trimap.labels
    if not network.prior:
        return np.empty((*labels.shape, 0), np.float32)
    if shown:
        return alpha_priors(task.image, labels)
    return np.repeat(trimap_values(labels)[:, :, None], network.priors, axis=2)


def network_input(task: Task, priors: FloatImage) -> FloatImage:
    """(H, W, 4 + priors) float32: the picture, the trimap as 0, 0.5, 1, and the priors."""
    return np.concatenate((task.image, trimap_values(task.trimap.labels)[:, :, None], priors), 2)


def trimap_values(labels: Labels) -> FloatImage:
    """(H, W) float32, 0, 0.5 and 1, as the network sees the labels."""
    values = np.asarray(labels / np.float32(255), np.float32)
    values[labels == UNKNOWN] = 0.5
    return values


def choose_device(name: str) -> torch.device:
    """auto, cpu, cuda or cuda:N as a torch device.

    Raises:
        DeviceError: a GPU that is not there, or a name that torch does not know.
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
                f"{name} was asked for, and torch sees {count} GPUs",
                hint="use --device cpu, or install a torch build with CUDA and its driver",
            )
    elif device.type != "cpu":
        raise DeviceError(f"{name} is not supported", hint="use auto, cpu, cuda or cuda:N")
    return device


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The number format of the network's activations."""
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    return _DTYPES[precision]
