"""The light network as an engine: stage 1 whole and small, stage 2 in tiles.

On a CPU several frames are solved at once, each by one thread: oneDNN orders its sums by the number
of threads, and equal descriptions have to mean equal pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vfxmatte.engines.light_frame import Frame, Solved, solved
from vfxmatte.engines.model import (
    choose_device,
    choose_dtype,
    not_a_number,
    placed,
    trimap_values,
)
from vfxmatte.engines.protocol import EngineSettings, Task
from vfxmatte.engines.single_threaded import single_threaded_map
from vfxmatte.network.light import PRIORS, LightConfig, LightMatting
from vfxmatte.network.light_weights import load_light_weights
from vfxmatte.prior.alpha_prior import alpha_priors
from vfxmatte.prior.samples import Samples
from vfxmatte.types import FloatImage, Matte


@dataclass(eq=False)
class LightEngine:
    """A light network on one device. Make it with `open`.

    The settings' modes make no difference: stage 1 is small enough to be dense, and stage 2 gives
    the dense result wherever it runs.
    """

    network: LightMatting
    sha256: str
    path: Path
    place: torch.device
    dtype: torch.dtype
    prior: bool = True
    samples: Samples | None = None
    """Known pixels of other frames, for the priors."""

    @classmethod
    def open(cls, settings: EngineSettings) -> LightEngine:
        """Load the weights on the device that is asked for.

        Raises:
            WeightsError: no, damaged or unfitting weights. DeviceError: no such device.
        """
        place, path = choose_device(settings.device), settings.weights_path
        dtype = choose_dtype(settings.precision, place)
        network, sha256 = load_light_weights(path)
        return cls(placed(network, place, dtype), sha256, path, place, dtype, settings.prior)

    @property
    def device(self) -> str:
        if self.place.type == "cuda":
            return f"{self.place} ({torch.cuda.get_device_name(self.place)})"
        return str(self.place)

    def describe(self) -> Mapping[str, Any]:
        """Return what decides the pixels: nothing that the number of threads changes."""
        described: dict[str, Any] = {
            "engine": LightConfig.architecture,
            "weights": self.sha256,
            "precision": str(self.dtype).removeprefix("torch."),
        }
        return described if self.prior else {**described, "prior": "off"}

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte]:
        return self.each(self._matte, tasks)

    def each(self, function: Callable[[Task], Matte], tasks: Iterable[Task]) -> Iterator[Matte]:
        """Call a function that solves a task on each, in order: several at once on a CPU."""
        if self.place.type != "cpu":
            return map(function, tasks)
        return single_threaded_map(function, tasks)

    def close(self) -> None:
        self.network.to("cpu")
        if self.place.type == "cuda":
            torch.cuda.empty_cache()

    def _matte(self, task: Task) -> Matte:
        return Matte(number=task.number, alpha=self.solved(task).alpha)

    def solved(self, task: Task) -> Solved:
        """Solve one frame; raises WeightsError for a result that is not finite."""
        frame = Frame(image=task.image, labels=task.trimap.labels, priors=self._priors(task))
        solution = solved(self.network, frame, coarse=task.coarse, corrected=task.corrected)
        if not np.isfinite(solution.alpha).all():
            raise not_a_number(self.dtype, frame=task.number, path=self.path)
        return solution

    def _priors(self, task: Task) -> FloatImage:
        labels = task.trimap.labels
        if self.prior:
            return alpha_priors(task.image, labels, samples=self.samples, device=self.place)
        return np.repeat(trimap_values(labels)[:, :, None], PRIORS, axis=2)
