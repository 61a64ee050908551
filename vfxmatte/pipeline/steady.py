"""Averaging mattes with their neighbours', see `temporal.steadying`.

A frame's neighbours count whether they are to be solved or not, as long as the plate has them: one
that is not to be solved is solved aside. So a frame is the same in every range, chunk and run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TypeVar

from vfxmatte.common.parallel import close
from vfxmatte.pipeline.frame import FrameState, by_number
from vfxmatte.pipeline.parts import Part
from vfxmatte.propagation.flow import FlowPair
from vfxmatte.temporal.steadying import Moment, Neighbour, flows_between, steadied
from vfxmatte.types import UNKNOWN, Picture

Item = TypeVar("Item")


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
    """A frame's matte as it was solved, and its neighbours'; None for one that is not there."""

    now: Moment
    before: tuple[Moment, _Motion] | None
    after: tuple[Moment, _Motion] | None

    def neighbours(self) -> Iterator[Neighbour]:
        """Yield the neighbours with the motion from this frame to them."""
        if self.before is not None:
            moment, motion = self.before
            yield Neighbour(moment=moment, flows=motion.flows().reversed())
        if self.after is not None:
            moment, motion = self.after
            yield Neighbour(moment=moment, flows=motion.flows())


def surround(parts: Mapping[str, Part], states: Iterable[FrameState]) -> Generator[FrameState]:
    """Show every frame that is to be steadied its neighbours; drop those solved for that alone."""
    instants = map(_Instant.of, by_number(states))
    try:
        for before, now, after in _in_threes(instants):
            for state in now.states:
                if not state.aside and state.number in parts[state.subject].steadied:
                    state.surroundings = now.surroundings(state.subject, before, after)
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
        alpha = steadied(
            surroundings.now,
            [*surroundings.neighbours()],
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

    def surroundings(
        self, subject: str, before: _Instant | None, after: _Instant | None
    ) -> Surroundings | None:
        """Return those of a subject; None if it was not solved here."""
        if subject not in self.moments:
            return None
        behind = None if before is None else before.motion_to(self)
        ahead = None if after is None else self.motion_to(after)
        return Surroundings(
            now=self.moments[subject],
            before=_at(before, subject, behind),
            after=_at(after, subject, ahead),
        )

    def motion_to(self, after: _Instant) -> _Motion | None:
        """Return the motion to the next frame; None if one of both is not there."""
        first, second = self.picture, after.picture
        if after.number != self.number + 1 or first is None or second is None:
            return None
        return self.motions.setdefault(after.number, _Motion(first=first, second=second))


def _at(
    instant: _Instant | None, subject: str, motion: _Motion | None
) -> tuple[Moment, _Motion] | None:
    if instant is None or motion is None or subject not in instant.moments:
        return None
    return instant.moments[subject], motion


def _in_threes(items: Iterable[Item]) -> Iterator[tuple[Item | None, Item, Item | None]]:
    """Yield each item between its neighbours."""
    before: Item | None = None
    now: Item | None = None
    for after in items:
        if now is not None:
            yield before, now, after
        before, now = now, after
    if now is not None:
        yield before, now, None
