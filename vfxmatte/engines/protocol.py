"""The protocol of engines, which solve mattes, with their tasks and settings.

An engine takes a stream of tasks and yields their mattes in the same order; where that helps it
works on several frames at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np

from vfxmatte.common.checked import Checked, limited
from vfxmatte.engines.classical.settings import ClassicalSettings
from vfxmatte.errors import UsageError
from vfxmatte.network.sidecar import named_weights
from vfxmatte.types import FOREGROUND, Failure, FloatImage, Labels, Matte, Trimap

Precision = Literal["auto", "float32", "bfloat16", "float16"]
Mode = Literal["exact", "fast", "windows", "dense"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """One frame to solve: its picture and its trimap."""

    image: FloatImage
    """(H, W, 3) float32 RGB, network-encoded, see `colour.encode_for_network`."""
    trimap: Trimap
    """The trimap, of the same size."""
    subject: str = ""
    """Whose matte it is, where a shot has several subjects."""
    coarse: bool = True
    """False for one size alone, where an engine sees a frame at half its size too."""
    corrected: bool = True
    """False without the corrections along colour lines that an engine makes last."""

    def __post_init__(self) -> None:
        if self.image.shape != (*self.trimap.labels.shape, 3) or self.image.dtype != np.float32:
            raise ValueError(
                f"image {self.image.dtype} {self.image.shape} does not fit the trimap "
                f"{self.trimap.labels.shape}"
            )

    @property
    def number(self) -> int:
        return self.trimap.number


@dataclass(frozen=True, kw_only=True)
class EngineSettings(Checked):
    """The choice of an engine, and how it runs.

    Engines without a network ignore weights, precision, mode, prior and batch.
    """

    name: str = "dim"
    """dim, closed-form, knn, gmm, kmeans, trimap, or a registered engine."""
    weights: Path | None = None
    """A .safetensors file, or the name of shipped weights (`dim`); None for the default ones."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N; a run also takes several: cuda:0,1 or cuda:all."""
    precision: Precision = "auto"
    """The network's number format; auto is float16 on a GPU and float32 on a CPU."""
    mode: Mode = "exact"
    """exact computes what the unknown pixels depend on, with the dense result; fast looks half as
    far, with a small error; windows computes windows around them; dense the whole picture."""
    prior: bool = True
    """Give alpha priors to networks that take them; without, frames are sooner and less exact."""
    max_window_px: int | None = limited(None, at_least=1)
    """Most pixels that the network sees at once, or unknown pixels that a classical engine solves
    at once; None chooses from the memory."""
    batch: int | None = limited(None, at_least=1)
    """Windows at once, in the modes windows and dense; None chooses."""
    classical: ClassicalSettings = field(default_factory=ClassicalSettings)
    """Settings of engines without a network."""

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise UsageError(
                f"no precision {self.precision!r}", hint=f"use {', '.join(get_args(Precision))}"
            )
        if self.mode not in get_args(Mode):
            raise UsageError(f"no mode {self.mode!r}", hint=f"use {', '.join(get_args(Mode))}")
        super().__post_init__()

    @property
    def weights_path(self) -> Path:
        """The weights' file."""
        return named_weights(self.weights)


class Engine(Protocol):
    """Anything that turns tasks into mattes."""

    @property
    def device(self) -> str:
        """The device's display name: `cpu`, `cuda:0 (NVIDIA …)`."""

    def describe(self) -> Mapping[str, Any]:
        """Return everything that decides the pixels: plain values, stored with the results.

        Engines of equal descriptions give the same mattes (within rounding)."""

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte | Failure]:
        """Yield one matte per task, in order, or a `Failure` where a frame cannot be solved.

        Known pixels are exactly 0 or 1. An engine that raises loses the frames in progress: callers
        use `answers`, which solves each of them again by itself to find the faulty one.

        Raises:
            DeviceError: the device failed, which concerns all frames.
        """

    def close(self) -> None:
        """Release the device's memory."""


def known_alpha(labels: Labels) -> FloatImage:
    """Return (H, W) float32: 1 where the labels are foreground, 0 elsewhere."""
    return np.asarray(labels == FOREGROUND, dtype=np.float32)
