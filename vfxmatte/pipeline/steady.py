"""Averaging mattes with their neighbours', see `temporal.steadying`.

A frame's neighbours count whether they are to be solved or not, as long as the plate has them: one
that is not to be solved is solved aside. So a frame is the same in every range, chunk and run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock

from vfxmatte.common.parallel import close
from vfxmatte.pipeline.frame import FrameState, by_number
from vfxmatte.pipeline.parts import REACH, Part
from vfxmatte.propagation.flow import FlowPair
from vfxmatte.temporal.jumps import jumped_px
from vfxmatte.temporal.moment import Moment, Neighbour, flows_between
from vfxmatte.temporal.steadying import steadied
from vfxmatte.types import UNKNOWN, Picture


@dataclass(kw_only=True, eq=False)
class _Motion:
    """The motion between two frames, estimated once for both and for all subjects."""

    first: Picture
    second: Picture
    _lock: Lock = field(default_factory=Lock)
    _flows: FlowPair | None = None

    def flows(self) -> FlowPair:
        with self._lock:
            if self._flows is None:
                self._flows = flows_between(self.first, self.second)
            return self._flows


@dataclass(frozen=True, kw_only=True, eq=False)
class Surroundings:
    """A frame's matte as it was solved, and those before and after it, the nearest first, each with
    the motion between it and the one nearer to the frame."""

    now: Moment
    before: list[tuple[Moment, _Motion]]
    after: list[tuple[Moment, _Motion]]

    def neighbours(self) -> list[Neighbour]:
        """Return the neighbours, with those beyond them."""
        before = [(moment, motion.flows().reversed()) for moment, motion in self.before]
        after = [(moment, motion.flows()) for moment, motion in self.after]
        sides = (_chained(before), _chained(after))
        return [side for side in sides if side is not None]


def _chained(side: Iterable[tuple[Moment, FlowPair]]) -> Neighbour | None:
    neighbour: Neighbour | None = None
    for moment, flows in reversed([*side]):
        neighbour = Neighbour(moment=moment, flows=flows, beyond=neighbour)
    return neighbour


def surround(parts: Mapping[str, Part], states: Iterable[FrameState]) -> Generator[FrameState]:
    """Show every frame that is to be steadied its neighbours; drop those solved for that alone."""
    try:
        for instants, now in _with_those_around(map(_Instant.of, by_number(states))):
            for state in now.states:
                part = parts[state.subject]
                if not state.aside and state.number in part.steadied:
                    state.surroundings = _surroundings(part, now, instants)
                if not state.aside:
                    yield state
    finally:
        close(states)


def average(part: Part, state: FrameState) -> None:
    """Replace a matte by the average with its neighbours, if it is to be steadied."""
    if state.surroundings is None:
        return
    matte, surroundings = state.needed(state.matte), state.surroundings
    labels = state.needed(state.trimap).labels if matte.labels is None else matte.labels
    with state.timed("steady"):
        neighbours = surroundings.neighbours()
        state.jumped_px = jumped_px(surroundings.now, neighbours)
        alpha = steadied(
            surroundings.now,
            neighbours,
            labels == UNKNOWN,
            strength=part.run.settings.temporal.strength,
        )
    state.matte, state.surroundings = replace(matte, alpha=alpha), None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Instant:
    """The frames of one number, with their mattes as they were solved, by subject."""

    states: list[FrameState]
    moments: Mapping[str, Moment]
    motions: dict[int, _Motion] = field(default_factory=dict)
    """The motion to the frame of a number."""

    @classmethod
    def of(cls, states: list[FrameState]) -> _Instant:
        moments = {}
        for state in states:
            if state.matte is not None and state.picture is not None:
                moments[state.subject] = Moment(alpha=state.matte.alpha, picture=state.picture)
            state.picture = None
        return cls(states=states, moments=moments)

    @property
    def number(self) -> int:
        return self.states[0].number

    @property
    def picture(self) -> Picture | None:
        return next((moment.picture for moment in self.moments.values()), None)

    def motion_to(self, after: _Instant) -> _Motion | None:
        """Return the motion to the next frame; None if one of both is not there."""
        first, second = self.picture, after.picture
        if first is None or second is None:
            return None
        return self.motions.setdefault(after.number, _Motion(first=first, second=second))


def _surroundings(
    part: Part, now: _Instant, instants: Mapping[int, _Instant]
) -> Surroundings | None:
    """Return those of a part's frame; None if it was not solved."""
    if part.subject not in now.moments:
        return None

    def seen(numbers: Iterable[int]) -> Iterator[tuple[Moment, _Motion]]:
        nearer = now
        for number in numbers:
            other = instants.get(number)
            if other is None or part.subject not in other.moments:
                return
            first, second = sorted((nearer, other), key=lambda instant: instant.number)
            motion = first.motion_to(second)
            if motion is None:
                return
            yield other.moments[part.subject], motion
            nearer = other

    before, after = part.around(now.number)
    return Surroundings(now=now.moments[part.subject], before=[*seen(before)], after=[*seen(after)])


def _with_those_around(
    items: Iterable[_Instant],
) -> Iterator[tuple[Mapping[int, _Instant], _Instant]]:
    """Yield each instant with those of up to `REACH` frames before and after it, by number."""
    waiting: deque[_Instant] = deque()
    known: dict[int, _Instant] = {}
    for item in items:
        waiting.append(item)
        known[item.number] = item
        while waiting[0].number + REACH <= item.number:
            yield from _first_of(waiting, known)
    while waiting:
        yield from _first_of(waiting, known)


def _first_of(
    waiting: deque[_Instant], known: dict[int, _Instant]
) -> Iterator[tuple[Mapping[int, _Instant], _Instant]]:
    now = waiting.popleft()
    for number in [number for number in known if number < now.number - REACH]:
        del known[number]
    yield known, now
