"""Which frames a person should look at, and why.

A frame is compared with its neighbours and with what is usual in the shot: a matte that is equally
soft, or flickers equally, everywhere is no reason to look at one of its frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from vfxmatte.review.footage import ReviewFrame
from vfxmatte.review.measures import DISTANCES, Measures

CHECKS: Mapping[str, str] = {
    "flicker": "mean difference to the previous frame's matte, motion taken out, in the band",
    "departs": "what neither neighbour has, in areas of the band; neighbours are 1, 2 and 4 frames "
    "away",
    "jump": "change of the matte's area against the frames around it, in areas of the band",
    "holes": "holes that neither neighbour has, in areas of the band",
    "islands": "islands that neither neighbour has, in areas of the band",
    "leak": "share of the trimap's rim towards the background where the matte is not empty: the "
    "trimap is too tight there",
    "clip": "share of the trimap's rim towards the foreground where the matte is not solid",
    "border": "share of the picture's border that the matte touches without foreground in the "
    "trimap",
    "contradicted": "share of the known pixels that are not 0 or 1 as the trimap has them",
    "unknown": "share of unknown pixels",
    "confidence": "of the carried trimap, 0 to 1; 1 for keyframes",
}
"""The figures of a review and what they mean. The band is the unknown region."""

Values = Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One reason to look at a frame."""

    check: str
    """One of `CHECKS`, or "missing"."""
    text: str
    severity: float
    """1 where it begins to matter."""


@dataclass(frozen=True, kw_only=True)
class FrameReview:
    """The figures of one frame, and why it is flagged."""

    number: int
    is_keyframe: bool
    values: Values
    """By the names of `CHECKS`; None where it cannot be known."""
    flags: tuple[Flag, ...]
    """Worst first."""
    problems: tuple[str, ...]
    """What is missing."""
    rank: int | None = None
    """1 for the worst of the flagged frames."""

    @property
    def is_missing(self) -> bool:
        """True if there is no matte."""
        return any(problem.startswith("no matte") for problem in self.problems)

    @property
    def severity(self) -> float:
        """Severity of the worst flag; 0 without any."""
        return max((flag.severity for flag in self.flags), default=0.0)


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What is known of one frame without its pictures."""

    number: int
    is_keyframe: bool
    measures: Measures
    area: float | None
    """Mean alpha over the picture."""
    values: Values
    problems: tuple[str, ...]


def figures_of(frame: ReviewFrame, measures: Measures) -> Figures:
    """Collect a frame's figures; "departs" and "jump" need the whole shot and are None."""
    exact = frame.exact
    names = ("leak", "clip", "border", "contradicted", "unknown")
    values: dict[str, float | None] = dict.fromkeys(CHECKS)
    values |= {name: None if exact is None else getattr(exact, name) for name in names}
    values |= {name: getattr(measures, name) for name in ("flicker", "holes", "islands")}
    values["confidence"] = 1.0 if frame.is_keyframe else frame.confidence
    return Figures(
        number=frame.number,
        is_keyframe=frame.is_keyframe,
        measures=measures,
        area=None if exact is None else exact.area,
        values=values,
        problems=frame.problems,
    )


def reviewed(shot: Sequence[Figures]) -> list[FrameReview]:
    """Flag the frames of a shot, given in order."""
    usual = _Usual(shot)
    severities = [_severities(usual, index) for index in range(len(shot))]
    departs = _blamed(usual, [max(one.values()) for one in severities])
    frames = [
        _reviewed(usual, index, {**severities[index], "departs": departs[index]})
        for index in range(len(shot))
    ]
    worst = sorted((f for f in frames if f.flags), key=lambda f: (-f.severity, f.number))
    ranks = {frame.number: rank for rank, frame in enumerate(worst, start=1)}
    return [replace(frame, rank=ranks.get(frame.number)) for frame in frames]


def _blamed(usual: _Usual, others: Sequence[float]) -> list[float]:
    """Return how far each frame departs from its neighbours, where that is not their fault.

    Args:
        others: the severity of each frame by all other checks.
    """
    count = len(usual.shot)
    first = [usual.departing(index) for index in range(count)]
    whole = [
        max([other, *(one.severity for one in own)])
        for other, own in zip(others, first, strict=True)
    ]
    return [
        max(
            one.severity
            for one in [*own, _NOTHING]
            if all(whole[index + offset] <= _WORSE * one.severity for offset in one.offsets)
        )
        for index, own in enumerate(first)
    ]


def _severities(usual: _Usual, index: int) -> dict[str, float]:
    """Return how bad a frame is by every check but that of `_Usual.departing`."""
    figures = usual.shot[index]
    severities = {
        "contradicted": _over(figures.values["contradicted"], _CONTRADICTED),
        "jump": usual.outlying(index, "jump"),
    }
    if not figures.is_keyframe:  # its trimap is painted, and unlike its neighbours'
        severities |= _of_carried(usual, index)
    return severities


def _reviewed(usual: _Usual, index: int, severities: Mapping[str, float]) -> FrameReview:
    figures = usual.shot[index]
    flags = [Flag(check="missing", text=text, severity=_MISSING) for text in figures.problems]
    flags += [
        Flag(check=check, text=_TEXTS[check], severity=round(severity, 3))
        for check, severity in severities.items()
        if severity >= 1
    ]
    return FrameReview(
        number=figures.number,
        is_keyframe=figures.is_keyframe,
        values={**figures.values, "departs": usual.departs(index), "jump": usual.jump(index)},
        flags=tuple(sorted(flags, key=lambda flag: -flag.severity)),
        problems=figures.problems,
    )


def _of_carried(usual: _Usual, index: int) -> dict[str, float]:
    """Return the severities that only a frame with a carried trimap has."""
    values = usual.shot[index].values
    return {
        "look": max(usual.outlying(index, name) for name in _LOOKS),
        "holes": _over(values["holes"], _FRESH_PARTS),
        "islands": _over(values["islands"], _FRESH_PARTS),
        "border": usual.above_around(index, "border", _BORDER),
        "leak": usual.above_around(index, "leak", _RIM),
        "clip": usual.above_around(index, "clip", _RIM),
    }


_TEXTS = {
    "departs": "differs from the frames before and after",
    "jump": "its area jumps",
    "look": "softer, harder or fuller than the frames around it",
    "holes": "holes that the frames around it do not have",
    "islands": "islands that the frames around it do not have",
    "border": "touches the picture's border where the trimap has no foreground",
    "leak": "the trimap is too tight towards the background",
    "clip": "the trimap is too tight towards the foreground",
    "contradicted": "known pixels of the trimap are contradicted",
}

_NORMAL = 1.4826  # standard deviations in a median of absolute deviations
_MISSING = 10.0  # severity of a frame without a matte
_AROUND = 5  # frames to either side that a frame is compared with
_LOOKS = ("coverage", "softness", "detail")
_DEPARTS, _DEPARTS_RATIO = 0.012, 4.5  # at least, in bands, and times the shot's usual
_DEPARTS_SPREAD = 8.0  # standard deviations above the usual
_DEPARTS_KEYFRAME = 3.0  # a painted keyframe is better than its neighbours, and so differs
_DEPARTS_ONE_SIDED = 3.0
_WORSE = 2.0  # a neighbour that is so much worse is why a frame differs from it
_OUTLYING = 8.0  # standard deviations
_LEAST = {"jump": 0.01, "coverage": 0.03, "softness": 0.05, "detail": 0.10}
_FRESH_PARTS = 0.02
_RIM = 0.25
_BORDER = 0.08
_CONTRADICTED = 0.001


@dataclass(frozen=True, kw_only=True)
class _Departure:
    """How far a frame departs from some of its neighbours, 1 where it matters."""

    severity: float
    offsets: tuple[int, ...]
    """The neighbours, counted from the frame."""


_NOTHING = _Departure(severity=0.0, offsets=())


class _Usual:
    """What is usual in a shot, and how far its frames are from it."""

    def __init__(self, shot: Sequence[Figures]) -> None:
        self.shot = shot
        solved = [figures for figures in shot if figures.area is not None]
        self.band = median([f.measures.band for f in solved]) if solved else 1.0
        self.band = max(self.band, 1e-4)
        self._apart = [
            _middle_and_spread(f.measures.apart[k] for f in solved if not f.is_keyframe)
            for k in range(len(DISTANCES))
        ]
        self._residuals = {name: self._all_residuals(name) for name in (*_LOOKS, "jump")}

    def departs(self, index: int) -> float | None:
        """Return what neither neighbour has, at the distance where it is most."""
        apart = [one for one in self.shot[index].measures.apart if one is not None]
        return max(apart) / self.band if apart else None

    def departing(self, index: int) -> list[_Departure]:
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
            limit *= _DEPARTS_KEYFRAME if figures.is_keyframe else 1.0
            limit *= _DEPARTS_ONE_SIDED if min(offsets) * max(offsets) > 0 else 1.0
            departures.append(_Departure(severity=value / limit, offsets=offsets))
        return departures

    def jump(self, index: int) -> float | None:
        """Return the change of area against the frames around, in bands."""
        return self._residuals["jump"][index]

    def outlying(self, index: int, name: str) -> float:
        """Return how far a figure is from those of the frames around, 1 where it matters."""
        residual = self._residuals[name][index]
        if residual is None:
            return 0.0
        known = [abs(one) for one in self._residuals[name] if one is not None]
        return residual / max(_LEAST[name], _OUTLYING * _NORMAL * median(known))

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
            return None if figures.area is None else figures.area / self.band
        value: float | None = getattr(figures.measures, name)
        return value

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


def _over(value: float | None, most: float) -> float:
    return 0.0 if value is None else value / most
