"""Settings of the temporal filter."""

from __future__ import annotations

from dataclasses import dataclass

from vfxmatte.common.checked import Checked, limited


@dataclass(frozen=True, kw_only=True)
class TemporalSettings(Checked):
    """Settings of the filter that averages each matte with its neighbours'."""

    strength: float = limited(1.0, at_least=0, at_most=1)
    """How far unknown pixels go towards the average with both neighbours along the motion, where
    the pictures agree; keyframes stay. 0 is frame by frame."""

    def __bool__(self) -> bool:
        return self.strength > 0
