"""What is compared on the network's stage: the engine in each of its modes, and a plain forward.

The plain forward is how public implementations run such a network: the full frame at once, float32,
NCHW, eager. It is the same network with the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, get_args

import torch

from vfxmatte.engines.answers import Answer
from vfxmatte.engines.model import choose_device, network_input, priors_of
from vfxmatte.engines.protocol import Engine, EngineSettings, Mode, Precision, Task
from vfxmatte.engines.registry import open_engine
from vfxmatte.network.dim import STRIDE, DeepImageMatting
from vfxmatte.network.sidecar import named_weights
from vfxmatte.network.tiling import pad_reflect, padded_size
from vfxmatte.network.weights import load_weights
from vfxmatte.types import Failure, FloatImage

PLAIN = "plain"
MODES = (*get_args(Mode), PLAIN)
"""Every mode of the engine, and the plain forward."""


@dataclass(frozen=True, kw_only=True)
class SolverSettings:
    """Which network on which device; see `EngineSettings`."""

    mode: str
    device: str = "auto"
    precision: Precision = "auto"
    weights: Path | None = None


class Solver(Protocol):
    """Solves tasks and waits until it is done."""

    @property
    def device(self) -> str: ...

    def describe(self) -> Mapping[str, Any]: ...

    def __call__(self, tasks: Sequence[Task]) -> list[FloatImage]:
        """One alpha (H, W) float32 per task; outside of the unknown pixels it may be anything."""

    def close(self) -> None: ...


def open_solver(settings: SolverSettings) -> Solver:
    """The plain forward for the mode "plain", else the engine in that mode.

    Raises UsageError, DeviceError, WeightsError.
    """
    if settings.mode == PLAIN:
        return PlainForward.open(settings)
    engine = open_engine(
        EngineSettings(
            mode=cast(Mode, settings.mode),
            device=settings.device,
            precision=settings.precision,
            weights=settings.weights,
        )
    )
    return EngineSolver(engine)


def _alpha_of(answer: Answer) -> FloatImage:
    if isinstance(answer, Failure):
        raise answer.error
    return answer.alpha


@dataclass(frozen=True)
class EngineSolver:
    """An open engine."""

    engine: Engine

    @property
    def device(self) -> str:
        return self.engine.device

    def describe(self) -> Mapping[str, Any]:
        return self.engine.describe()

    def __call__(self, tasks: Sequence[Task]) -> list[FloatImage]:
        return [_alpha_of(answer) for answer in self.engine.mattes(tasks)]

    def close(self) -> None:
        self.engine.close()


@dataclass(frozen=True)
class PlainForward:
    """The network as it is loaded, moved to the device, frame by frame."""

    network: DeepImageMatting
    torch_device: torch.device
    sha256: str

    @classmethod
    def open(cls, settings: SolverSettings) -> PlainForward:
        device = choose_device(settings.device)
        network, info = load_weights(named_weights(settings.weights))
        return cls(network.requires_grad_(False).to(device), device, info.sha256)

    @property
    def device(self) -> str:
        return str(self.torch_device)

    def describe(self) -> Mapping[str, Any]:
        return {"engine": PLAIN, "weights": self.sha256, "precision": "float32"}

    def __call__(self, tasks: Sequence[Task]) -> list[FloatImage]:
        return [self._alpha(task) for task in tasks]

    def _alpha(self, task: Task) -> FloatImage:
        height, width = task.trimap.labels.shape
        picture = network_input(task, priors_of(task, self.network.config, self.torch_device))
        stacked = pad_reflect(picture, *padded_size(height, width, STRIDE))
        batch = torch.from_numpy(stacked).permute(2, 0, 1)[None].contiguous()
        with torch.inference_mode():
            alpha = self.network(batch.to(self.torch_device)).alpha
        return cast(FloatImage, alpha[0, 0, :height, :width].cpu().numpy())

    def close(self) -> None:
        self.network.to("cpu")
