"""The usual figures of a shot, and how far single frames are from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from vfxmatte.review.figures import Figures
from vfxmatte.review.measures import DISTANCES

LOOKS = ("coverage", "softness", "detail")
"""Fields of `Measures` that tell how a matte looks in the band."""

_NORMAL = 1.4826  # standard deviations in a median of absolute deviations
_AROUND = 5  # frames to either side that a frame is compared with
_DEPARTS, _DEPARTS_RATIO = 0.012, 4.5  # at least, in bands, and times the shot's usual
_DEPARTS_SPREAD = 8.0  # standard deviations above the usual
_EASED = (1.0, 3.0, 5.0)
"""Factors of the limit where none, one or both of these hold: the frame is a painted keyframe,
which is better than its neighbours and so differs; its neighbours are on one side, and tell less.
"""
_OUTLYING = 8.0  # standard deviations
_LEAST = {"jump": 0.01, "coverage": 0.03, "softness": 0.05, "detail": 0.10}


@dataclass(frozen=True, kw_only=True)
class Departure:
    """The departure of a frame from some of its neighbours."""

    severity: float
    """1 where it matters."""
    offsets: tuple[int, ...]
    """The neighbours, counted from the frame."""


NOTHING = Departure(severity=0.0, offsets=())
"""The departure of a frame without neighbours."""


class Usual:
    """The usual figures of a shot, and how far its frames are from them."""

    def __init__(self, shot: Sequence[Figures]) -> None:
        self.shot = shot
        solved = [figures for figures in shot if figures.values["area"] is not None]
        self.band = median([f.measures.band for f in solved]) if solved else 1.0
        self.band = max(self.band, 1e-4)
        self._apart = [
            _middle_and_spread(f.measures.apart[k] for f in solved if not f.is_keyframe)
            for k in range(len(DISTANCES))
        ]
        self._residuals = {name: self._all_residuals(name) for name in (*LOOKS, "jump")}
        self._limits = {name: self._limit(name) for name in self._residuals}

    def departs(self, index: int) -> float | None:
        """Return what neither neighbour has, at the distance where it is most."""
        apart = [one for one in self.shot[index].measures.apart if one is not None]
        return max(apart) / self.band if apart else None

    def departing(self, index: int) -> list[Departure]:
        """Return the same at each distance, against what is usual."""
        figures, departures = self.shot[index], []
        measures = figures.measures
        for value, offsets, usual in zip(
            measures.apart, measures.neighbours, self._apart, strict=True
        ):
            if value is None:
                continue
            middle, spread = usual
            limit = max(
                _DEPARTS * self.band, _DEPARTS_RATIO * middle, middle + _DEPARTS_SPREAD * spread
            )
            limit *= _EASED[figures.is_keyframe + (min(offsets) * max(offsets) > 0)]
            departures.append(Departure(severity=value / limit, offsets=offsets))
        return departures

    def jump(self, index: int) -> float | None:
        """Return the change of area against the frames around, in bands."""
        return self._residuals["jump"][index]

    def outlying(self, index: int, name: str) -> float:
        """Return how far a figure is from those of the frames around, 1 where it matters."""
        residual = self._residuals[name][index]
        return 0.0 if residual is None else residual / self._limits[name]

    def above_around(self, index: int, name: str, most: float) -> float:
        """Return how far a figure is above those of the frames around, 1 at `most`."""
        value = self.shot[index].values[name]
        around = [f.values[name] for f in self._around(index)]
        return 0.0 if value is None else (value - _median(around)) / most

    def _around(self, index: int) -> list[Figures]:
        near = self.shot[max(0, index - _AROUND) : index + _AROUND + 1]
        return [figures for figures in near if figures is not self.shot[index]]

    def _figure(self, figures: Figures, name: str) -> float | None:
        if name == "jump":
            area = figures.values["area"]
            return None if area is None else area / self.band
        value: float | None = getattr(figures.measures, name)
        return value

    def _limit(self, name: str) -> float:
        """Return from which distance on a figure is unusual."""
        return max(_LEAST[name], _OUTLYING * _NORMAL * _median(self._residuals[name]))

    def _all_residuals(self, name: str) -> list[float | None]:
        """Return each frame's distance from the median of those around: relative, but for areas."""
        residuals: list[float | None] = []
        for index, figures in enumerate(self.shot):
            value = self._figure(figures, name)
            around = [
                one
                for near in self._around(index)
                if name == "jump" or not near.is_keyframe
                if (one := self._figure(near, name)) is not None
            ]
            if value is None or not around:
                residuals.append(None)
                continue
            scale = 1.0 if name == "jump" else max(1e-3, median(around))
            residuals.append(abs(value - median(around)) / scale)
        return residuals


def _median(values: Iterable[float | None]) -> float:
    """Return the median of the known values; 0 without any."""
    known = [value for value in values if value is not None]
    return median(known) if known else 0.0


def _middle_and_spread(values: Iterable[float | None]) -> tuple[float, float]:
    """Return the median of the known values, and what would be the standard deviation of normal
    ones with the same spread around it."""
    known = [value for value in values if value is not None]
    middle = _median(known)
    return middle, _NORMAL * _median(abs(value - middle) for value in known)
