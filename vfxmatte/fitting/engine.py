"""The engines of fitted shots: keyframes by the run's own engine, others by the fitted network.

The fitted network sees a frame at one size, the one that it has learned at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from vfxmatte.engines.light import LightEngine
from vfxmatte.engines.light_frame import Solved, corrected_alpha
from vfxmatte.engines.protocol import Engine, EngineSettings, Task
from vfxmatte.fitting.doubt import doubted, widened
from vfxmatte.fitting.kept import KeptFit
from vfxmatte.fitting.tightening import tightened
from vfxmatte.types import UNKNOWN, Failure, Labels, Matte


@dataclass(eq=False)
class FittedEngine:
    """Make it with `open`; closing it leaves the run's own engine open."""

    usual: Engine
    fitted: LightEngine
    kept: KeptFit

    @classmethod
    def open(cls, usual: Engine, kept: KeptFit, settings: EngineSettings) -> FittedEngine:
        """Load a fit's weights on the device of the settings.

        Raises:
            WeightsError, DeviceError: as their names say.
        """
        fitted = LightEngine.open(replace(settings, weights=kept.path))
        fitted.samples = kept.samples()
        return cls(usual, fitted, kept)

    @property
    def device(self) -> str:
        return self.usual.device

    def describe(self) -> Mapping[str, Any]:
        return {**self.usual.describe(), "fit": self.kept.name}

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte | Failure]:
        for is_keyframe, some in groupby(tasks, key=lambda task: task.trimap.is_keyframe):
            if is_keyframe:
                yield from self.usual.mattes(some)
            else:
                yield from self.fitted.each(self.matte, some)

    def close(self) -> None:
        self.fitted.close()

    def matte(self, task: Task) -> Matte:
        """Solve a frame between keyframes; raises WeightsError."""
        labels, limited = task.trimap.labels, task.trimap.limited
        if self.kept.record["doubts"] and (labels == UNKNOWN).any():
            seen = self._solved(task, widened(labels, limited)).alpha
            labels = doubted(seen, labels, limited)
        sure, margin = float(self.kept.record["sure"]), int(self.kept.record["margin"])
        solved = self._solved(task, labels)
        result = tightened(solved, labels, sure, margin)
        error = np.where(result.labels == UNKNOWN, solved.error, np.float32(0))
        alpha = corrected_alpha(task.image, result.alpha, error, device=self.fitted.place)
        return Matte(number=task.number, alpha=alpha, labels=result.labels)

    def _solved(self, task: Task, labels: Labels) -> Solved:
        trimap = replace(task.trimap, labels=labels)
        return self.fitted.solved(replace(task, trimap=trimap, coarse=False, corrected=False))


@dataclass(frozen=True, eq=False)
class SubjectsEngine:
    """The engine of several subjects, some of them fitted; closing it leaves all others open."""

    usual: Engine
    fits: Mapping[str, FittedEngine]
    """The engines of fitted subjects by name, at least one."""

    @property
    def device(self) -> str:
        return self.usual.device

    def describe(self) -> Mapping[str, Any]:
        return self.usual.describe()

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte | Failure]:
        for is_fitted, some in groupby(tasks, key=self._is_fitted):
            if is_fitted:  # of several subjects at once, which is faster on a CPU
                each = next(iter(self.fits.values())).fitted.each
                yield from each(lambda task: self.fits[task.subject].matte(task), some)
            else:
                yield from self.usual.mattes(some)

    def close(self) -> None:
        return

    def _is_fitted(self, task: Task) -> bool:
        return task.subject in self.fits and not task.trimap.is_keyframe
