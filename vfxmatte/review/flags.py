"""The frames that a person should look at, and why.

A frame is compared with its neighbours and with what is usual in the shot: a matte that is equally
soft, or flickers equally, everywhere is no reason to look at one of its frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from vfxmatte.review.figures import Figures, Values
from vfxmatte.review.usual import LOOKS, NOTHING, Usual


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One reason to look at a frame."""

    check: str
    """The figure, or "look" or "missing"."""
    text: str
    severity: float
    """1 where it begins to matter."""


@dataclass(frozen=True, kw_only=True)
class FrameReview:
    """The figures of one frame, and why it is flagged."""

    number: int
    is_keyframe: bool
    values: Values
    """The figures by the names of `CHECKS`; None where one cannot be known."""
    flags: tuple[Flag, ...]
    """Worst first."""
    problems: tuple[str, ...]
    """The files that are missing."""
    rank: int | None = None
    """1 for the worst of the flagged frames."""

    @property
    def is_missing(self) -> bool:
        """Return True if there is no matte."""
        return any(problem.startswith("no matte") for problem in self.problems)

    @property
    def severity(self) -> float:
        """Severity of the worst flag; 0 without any."""
        return max((flag.severity for flag in self.flags), default=0.0)


def reviewed(shot: Sequence[Figures]) -> list[FrameReview]:
    """Flag the frames of a shot, given in order."""
    usual = Usual(shot)
    severities = [_severities(usual, index) for index in range(len(shot))]
    departs = _blamed(usual, [max(one.values()) for one in severities])
    frames = [
        _reviewed(usual, index, {**severities[index], "departs": departs[index]})
        for index in range(len(shot))
    ]
    worst = sorted((f for f in frames if f.flags), key=lambda f: (-f.severity, f.number))
    ranks = {frame.number: rank for rank, frame in enumerate(worst, start=1)}
    return [replace(frame, rank=ranks.get(frame.number)) for frame in frames]


def ranked(frames: Iterable[FrameReview]) -> list[FrameReview]:
    """Return the flagged frames, worst first."""
    return sorted((frame for frame in frames if frame.rank), key=lambda frame: frame.rank or 0)


def _blamed(usual: Usual, others: Sequence[float]) -> list[float]:
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
            for one in [*own, NOTHING]
            if all(whole[index + offset] <= _WORSE * one.severity for offset in one.offsets)
        )
        for index, own in enumerate(first)
    ]


def _severities(usual: Usual, index: int) -> dict[str, float]:
    """Return how bad a frame is by every check but that of `Usual.departing`."""
    figures = usual.shot[index]
    severities = {
        "contradicted": usual.above_around(index, "contradicted", _CONTRADICTED),
        "jump": usual.outlying(index, "jump"),
    }
    if not figures.is_keyframe:  # its trimap is painted, and unlike its neighbours'
        severities |= _of_carried(usual, index)
    return severities


def _reviewed(usual: Usual, index: int, severities: Mapping[str, float]) -> FrameReview:
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


def _of_carried(usual: Usual, index: int) -> dict[str, float]:
    """Return the severities that only a frame with a carried trimap has."""
    values = usual.shot[index].values
    return {
        "look": max(usual.outlying(index, name) for name in LOOKS),
        "holes": _over(values["holes"], _FRESH_PARTS),
        "islands": _over(values["islands"], _FRESH_PARTS),
        "border": usual.above_around(index, "border", _BORDER),
        "leak": usual.above_around(index, "leak", _RIM),
        "clip": usual.above_around(index, "clip", _RIM),
    }


_MISSING = 10.0  # severity of a frame without a matte
_WORSE = 2.0  # a neighbour that is so much worse is why a frame differs from it
_FRESH_PARTS = 0.02
_RIM = 0.25
_BORDER = 0.08
_CONTRADICTED = 0.001

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


def _over(value: float | None, most: float) -> float:
    return 0.0 if value is None else value / most
