"""Deep Image Matting as an engine: a network on a device, and one of two solvers.

The modes `exact` and `fast` evaluate the network only at the pixels that the unknown region depends
on (`sparse`); `windows` and `dense` run it on windows of the picture (`windows`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vfxmatte.engines.model import Model, choose_device, choose_dtype
from vfxmatte.engines.protocol import EngineSettings, Task
from vfxmatte.engines.sparse import SparseSolver
from vfxmatte.engines.windows import WindowSolver
from vfxmatte.network.weights import load_weights
from vfxmatte.types import Failure, Matte

__all__ = ["DeepEngine", "choose_device", "choose_dtype"]


@dataclass(eq=False)
class DeepEngine:
    """The two-stage network on one device; see `open`."""

    model: Model
    solver: SparseSolver | WindowSolver

    @classmethod
    def open(cls, settings: EngineSettings) -> DeepEngine:
        """Load the configured weights on the configured device.

        Raises:
            WeightsError: missing, damaged or unfitting weights.
            DeviceError: no such device.
        """
        device = choose_device(settings.device)
        network, info = load_weights(settings.weights_path)
        model = Model.on(
            device, choose_dtype(settings.precision, device), network, info, prior=settings.prior
        )
        if settings.mode in ("exact", "fast"):
            return cls(model, SparseSolver.of(model, settings))
        return cls(model, WindowSolver.of(model, settings))

    @property
    def device(self) -> str:
        return self.model.name

    def describe(self) -> Mapping[str, Any]:
        described: dict[str, Any] = {
            "engine": "dim",
            "weights": self.model.info.sha256,
            "precision": self.model.precision,
        }
        if not self.model.prior:
            described["prior"] = "off"
        return {**described, **self.solver.describe()}

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte | Failure]:
        return self.solver.mattes(tasks)

    def close(self) -> None:
        self.solver.free_memory()
        self.model.network.to("cpu")
        self.model.free_memory()
