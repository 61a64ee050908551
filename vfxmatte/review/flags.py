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
    frames = [_reviewed(usual, index) for index in range(len(shot))]
    worst = sorted((f for f in frames if f.flags), key=lambda f: (-f.severity, f.number))
    ranks = {frame.number: rank for rank, frame in enumerate(worst, start=1)}
    return [replace(frame, rank=ranks.get(frame.number)) for frame in frames]


def _reviewed(usual: _Usual, index: int) -> FrameReview:
    figures = usual.shot[index]
    values = dict(figures.values)
    values["departs"], values["jump"] = usual.departs(index), usual.jump(index)
    flags = [Flag(check="missing", text=text, severity=_MISSING) for text in figures.problems]
    severities = {
        "departs": usual.departs_severity(index),
        "jump": usual.outlying(index, "jump"),
        "look": max(usual.outlying(index, name) for name in _LOOKS),
        "holes": _over(values["holes"], _FRESH_PARTS),
        "islands": _over(values["islands"], _FRESH_PARTS),
        "border": usual.above_around(index, "border", _BORDER),
        "leak": usual.above_around(index, "leak", _RIM),
        "clip": usual.above_around(index, "clip", _RIM),
        "contradicted": _over(values["contradicted"], _CONTRADICTED),
    }
    flags += [
        Flag(check=check, text=_TEXTS[check], severity=round(severity, 3))
        for check, severity in severities.items()
        if severity >= 1
    ]
    return FrameReview(
        number=figures.number,
        is_keyframe=figures.is_keyframe,
        values=values,
        flags=tuple(sorted(flags, key=lambda flag: -flag.severity)),
        problems=figures.problems,
    )


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

_MISSING = 10.0  # severity of a frame without a matte
_AROUND = 5  # frames to either side that a frame is compared with
_LOOKS = ("coverage", "softness", "detail")
_DEPARTS, _DEPARTS_RATIO = 0.008, 3.0  # at least, in bands, and times the shot's usual
_DEPARTS_KEYFRAME = 4.0  # a painted keyframe is better than its neighbours, and so differs
_OUTLYING = 6.0  # standard deviations
_LEAST = {"jump": 0.01, "coverage": 0.03, "softness": 0.05, "detail": 0.10}
_FRESH_PARTS = 0.01
_RIM = 0.15
_BORDER = 0.05
_CONTRADICTED = 0.001


class _Usual:
    """What is usual in a shot, and how far its frames are from it."""

    def __init__(self, shot: Sequence[Figures]) -> None:
        self.shot = shot
        solved = [figures for figures in shot if figures.area is not None]
        self.band = median([f.measures.band for f in solved]) if solved else 1.0
        self.band = max(self.band, 1e-4)
        self._apart = [
            _median(f.measures.apart[k] for f in solved if not f.is_keyframe)
            for k in range(len(DISTANCES))
        ]
        self._residuals = {name: self._all_residuals(name) for name in (*_LOOKS, "jump")}

    def departs(self, index: int) -> float | None:
        """Return what neither neighbour has, at the distance where it is most."""
        apart = [one for one in self.shot[index].measures.apart if one is not None]
        return max(apart) / self.band if apart else None

    def departs_severity(self, index: int) -> float:
        """Return the same against what is usual."""
        figures = self.shot[index]
        eased = _DEPARTS_KEYFRAME if figures.is_keyframe else 1.0
        return max(
            (
                value / (eased * max(_DEPARTS * self.band, _DEPARTS_RATIO * usual))
                for value, usual in zip(figures.measures.apart, self._apart, strict=True)
                if value is not None
            ),
            default=0.0,
        )

    def jump(self, index: int) -> float | None:
        """Return the change of area against the frames around, in bands."""
        return self._residuals["jump"][index]

    def outlying(self, index: int, name: str) -> float:
        """Return how far a figure is from those of the frames around, 1 where it matters."""
        residual = self._residuals[name][index]
        if residual is None or (name != "jump" and self.shot[index].is_keyframe):
            return 0.0
        known = [abs(one) for one in self._residuals[name] if one is not None]
        return residual / max(_LEAST[name], _OUTLYING * 1.48 * median(known))

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


def _over(value: float | None, most: float) -> float:
    return 0.0 if value is None else value / most
