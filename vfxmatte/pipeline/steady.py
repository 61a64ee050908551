"""The stage that averages mattes with their neighbours', see `temporal.steadying`.

A frame's neighbours count whether they are to be solved or not, as long as the plate has them: one
that is not to be solved is solved aside. So a frame is the same in every range, chunk and run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from vfxmatte.common.parallel import close, ordered_map
from vfxmatte.pipeline.frame import FrameState, by_number, failing_alone
from vfxmatte.pipeline.parts import Part
from vfxmatte.propagation.flow import FlowPair
from vfxmatte.temporal.steadying import Moment, Neighbour, flows_between, steadied
from vfxmatte.types import UNKNOWN, Picture

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True, eq=False)
class _Instant:
    """The frames of one number, with their mattes as they were solved, by subject."""

    states: list[FrameState]
    moments: Mapping[str, Moment]

    @property
    def number(self) -> int:
        return self.states[0].number

    @property
    def picture(self) -> Picture | None:
        return next((moment.picture for moment in self.moments.values()), None)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Linked:
    """An instant, and the motion to it from the frame before; None if that is not there."""

    instant: _Instant
    flows: FlowPair | None


def steady(parts: Mapping[str, Part], states: Iterable[FrameState]) -> Generator[FrameState]:
    """Average mattes with their neighbours', and drop frames that were solved for that alone."""
    workers = next(iter(parts.values())).run.workers
    steadied_states = _steadied(parts, states, workers) if _any(parts) else states
    try:
        for state in steadied_states:
            if not parts[state.subject].run.settings.output.needs_trimaps:
                state.trimap = None
            if not state.aside:
                yield state
    finally:
        close(steadied_states)
        close(states)


def _any(parts: Mapping[str, Part]) -> bool:
    return any(part.steadied for part in parts.values())


def _steadied(
    parts: Mapping[str, Part], states: Iterable[FrameState], workers: int
) -> Generator[FrameState]:
    instants = map(_instant, by_number(states))
    linked = ordered_map(_linked, _in_pairs(instants), workers=workers)

    def among_neighbours(three: tuple[_Linked | None, _Linked, _Linked | None]) -> _Instant:
        before, now, after = three
        for state in now.instant.states:
            failing_alone(
                lambda state: _average(parts[state.subject], state, before, now, after),
                state,
                parts[state.subject].run.concerns_all,
            )
        return now.instant

    done = ordered_map(among_neighbours, _in_threes(linked), workers=workers)
    try:
        for instant in done:
            yield from instant.states
    finally:
        close(done)
        close(linked)


def _instant(states: list[FrameState]) -> _Instant:
    moments = {}
    for state in states:
        if state.matte is not None and state.picture is not None:
            moments[state.subject] = Moment(alpha=state.matte.alpha, picture=state.picture)
        state.picture = None
    return _Instant(states=states, moments=moments)


def _linked(pair: tuple[_Instant | None, _Instant]) -> _Linked:
    before, now = pair
    if before is None or before.number != now.number - 1:
        return _Linked(instant=now, flows=None)
    first, second = before.picture, now.picture
    flows = None if first is None or second is None else flows_between(first, second)
    return _Linked(instant=now, flows=flows)


def _average(
    part: Part, state: FrameState, before: _Linked | None, now: _Linked, after: _Linked | None
) -> None:
    """Replace the matte of a frame that is to be steadied by the average."""
    name = state.subject
    if state.aside or state.number not in part.steadied or name not in now.instant.moments:
        return
    matte = state.needed(state.matte)
    labels = state.needed(state.trimap).labels if matte.labels is None else matte.labels
    neighbours = []
    if before is not None and now.flows is not None and name in before.instant.moments:
        neighbours.append(
            Neighbour(moment=before.instant.moments[name], flows=now.flows.reversed())
        )
    if after is not None and after.flows is not None and name in after.instant.moments:
        neighbours.append(Neighbour(moment=after.instant.moments[name], flows=after.flows))
    with state.timed("steady"):
        alpha = steadied(
            now.instant.moments[name],
            neighbours,
            labels == UNKNOWN,
            strength=part.run.settings.temporal.strength,
        )
    state.matte = replace(matte, alpha=alpha)


def _in_pairs(items: Iterable[Item]) -> Iterator[tuple[Item | None, Item]]:
    """Yield each item behind the one before."""
    before = None
    for item in items:
        yield before, item
        before = item


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
