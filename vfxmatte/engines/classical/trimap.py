"""The trimap itself as a matte: the baseline of all other engines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vfxmatte.engines.classical.framewise import FramewiseEngine, Solution
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.types import UNKNOWN, Floats, Labels


def open_trimap(settings: EngineSettings) -> FramewiseEngine:
    """Open the engine."""
    return FramewiseEngine("trimap", Half(), settings.classical.light)


@dataclass(frozen=True)
class Half:
    """The method that gives every unknown pixel 0.5."""

    def describe(self) -> Mapping[str, Any]:
        return {}

    def solve(self, picture: Floats, labels: Labels) -> Solution:
        return Solution(alpha=np.full(np.count_nonzero(labels == UNKNOWN), 0.5, np.float32))
