"""A review's score on frames that are truly bad: sample shots, as solved and spoiled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tests.benchmarks.spoiling import TUNED, UNSEEN, Spoil
from vfxmatte.io.mattes import read_matte
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.shot import Shot
from vfxmatte.propagation.flow import FlowPair
from vfxmatte.review.exact import exact_figures
from vfxmatte.review.figures import figures_of
from vfxmatte.review.flags import reviewed
from vfxmatte.review.footage import Footage, ReviewFrame, Take
from vfxmatte.review.measures import measured, plate_motion
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage

BAD = 2.0
"""A frame is truly bad with a SAD, over all pixels, of more than this many times the median."""

_SPOILED = 2.2  # times the median: frames are spoiled until they have it
_TRIES = 8
_SLIPPED = 6  # frames that a matte of a wrong frame is off
_RUNS = ((1,), (2,), (3,), (1, 1), (2, 1))
"""Lengths of the runs of spoiled frames in a shot of 25."""

AS_SOLVED, SLIPPED = "as solved", "slipped"


@dataclass(frozen=True, kw_only=True)
class Score:
    """One shot with one kind of fault."""

    shot: str
    kind: str
    is_tuned: bool
    """Whether thresholds were chosen with this kind in sight."""
    frames: int
    bad: tuple[int, ...]
    """Truly bad frames."""
    flagged: tuple[int, ...]

    @property
    def hits(self) -> int:
        return len(set(self.bad) & set(self.flagged))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shot:
    name: str
    frames: Sequence[ReviewFrame]
    truths: Sequence[FloatImage]
    motion: Mapping[tuple[int, int], FlowPair | None]

    def sads(self, frames: Sequence[ReviewFrame]) -> list[float]:
        return [sad(frame, truth) for frame, truth in zip(frames, self.truths, strict=True)]

    def flagged(self, frames: Sequence[ReviewFrame]) -> list[int]:
        passed = measured(frames, motion=lambda a, b: self.motion[a.number, b.number])
        listed = reviewed([figures_of(one.frame, one.measures) for one in passed])
        return [frame.number for frame in listed if frame.rank]


def scores(
    shots: Sequence[Path], mattes: Path | None, *, seeds: range, lasting: int | None = None
) -> Iterator[Score]:
    """Yield a score for each shot as it was solved, and for each kind of fault.

    Args:
        shots: folders with plate, keyframes and true alpha.
        mattes: a folder with the results of each by the shot's name; None takes SHOT/matte.
        seeds: a shot is spoiled with each kind for each of these.
        lasting: length of the one run of spoiled frames; None takes one or two of up to three.
    """
    runs = _RUNS if lasting is None else ((lasting,),)
    kinds = {SLIPPED: None, **TUNED, **UNSEEN}
    for place, folder in enumerate(shots):
        shot = _read(folder, None if mattes is None else mattes / folder.name)
        yield _score(shot, AS_SOLVED, shot.frames)
        for index, (kind, spoil) in enumerate(kinds.items()):
            for seed in seeds:
                chance = np.random.default_rng([seed, place, index])
                yield _score(shot, kind, _spoiled(shot, spoil, chance, runs))


def sad(frame: ReviewFrame, truth: FloatImage) -> float:
    """Return the sum of absolute differences over all pixels, in thousands."""
    assert frame.alpha is not None
    return float(np.abs(frame.alpha - truth).sum() / 1000)


def _read(folder: Path, output: Path | None) -> _Shot:
    shot = Shot.open(folder, output=output)
    with PreparedRun(shot) as run:
        takes = [Take.of(run, shot.output, folder.name)]
        frames = [frame for (frame,) in Footage(run=run, takes=takes).frames()]
        alpha, canvas = folder / "alpha", run.plate.info.canvas
        truths = [read_matte(alpha / f"alpha.{f.number}.exr", canvas) for f in frames]
    pairs = zip(frames[1:], frames, strict=False)
    motion = {(a.number, b.number): plate_motion(a, b) for a, b in pairs}
    return _Shot(name=folder.name, frames=frames, truths=truths, motion=motion)


def _score(shot: _Shot, kind: str, frames: Sequence[ReviewFrame]) -> Score:
    sads = shot.sads(frames)
    limit = BAD * float(np.median(sads))
    return Score(
        shot=shot.name,
        kind=kind,
        is_tuned=kind not in UNSEEN,
        frames=len(frames),
        bad=tuple(f.number for f, value in zip(frames, sads, strict=True) if value > limit),
        flagged=tuple(shot.flagged(frames)),
    )


def _spoiled(
    shot: _Shot,
    spoil: Spoil | None,
    chance: np.random.Generator,
    runs: Sequence[tuple[int, ...]],
) -> list[ReviewFrame]:
    """Spoil one or two runs of frames; without a kind, with the matte of another frame."""
    frames = list(shot.frames)
    limit = _SPOILED * float(np.median(shot.sads(frames)))
    for start, length in _runs(len(frames), chance, runs):
        seed = int(chance.integers(1 << 30))
        for index in range(start, start + length):
            if spoil is None:
                off = (
                    start - _SLIPPED
                    if start >= _SLIPPED
                    else min(len(frames) - 1, start + length + _SLIPPED)
                )
                alpha = shot.frames[off].alpha
                assert alpha is not None
                frames[index] = _with(frames[index], alpha)
                continue
            for attempt in range(_TRIES):
                same = np.random.default_rng([seed, attempt])  # alike in all frames of a run
                alpha = frames[index].alpha
                assert alpha is not None
                frames[index] = _with(frames[index], spoil(alpha, frames[index], same))
                if sad(frames[index], shot.truths[index]) > limit:
                    break
    return frames


def _runs(
    count: int, chance: np.random.Generator, runs: Sequence[tuple[int, ...]]
) -> list[tuple[int, int]]:
    """Choose (start, length) of runs of frames, apart from each other."""
    lengths = runs[chance.integers(len(runs))]
    part = count // len(lengths)
    return [
        (place * part + int(chance.integers(part - length)), length)
        for place, length in enumerate(lengths)
    ]


def _with(frame: ReviewFrame, alpha: FloatImage) -> ReviewFrame:
    """Give a frame another alpha, and a trimap that agrees with it: as wrong as the matte."""
    assert frame.alpha is not None and frame.labels is not None
    alpha = np.clip(alpha, 0, 1).astype(np.float32)
    labels = frame.labels.copy()
    wrong = ((labels == BACKGROUND) & (alpha > 0)) | ((labels == FOREGROUND) & (alpha < 1))
    labels[wrong] = UNKNOWN
    labels[wrong & (alpha <= 0)], labels[wrong & (alpha >= 1)] = BACKGROUND, FOREGROUND
    return replace(frame, alpha=alpha, labels=labels, exact=exact_figures(alpha, labels))


def table(listed: Sequence[Score]) -> list[tuple[str, str, str, str]]:
    """Return rows of kind, truly bad frames, share of them flagged, share of all flagged."""
    rows = []
    for kind in dict.fromkeys(score.kind for score in listed):
        rows.append(_row(kind, [score for score in listed if score.kind == kind]))
    rows.append(_row("thresholds chosen in sight", [s for s in listed if s.is_tuned]))
    rows.append(_row("never seen", [s for s in listed if not s.is_tuned]))
    rows.append(_row("all", listed))
    return rows


def _row(name: str, listed: Sequence[Score]) -> tuple[str, str, str, str]:
    bad, hits = sum(len(s.bad) for s in listed), sum(s.hits for s in listed)
    flagged, frames = sum(len(s.flagged) for s in listed), sum(s.frames for s in listed)
    found = f"{100 * hits / bad:.1f} %" if bad else "–"
    return name, str(bad), found, f"{100 * flagged / max(1, frames):.1f} %"
