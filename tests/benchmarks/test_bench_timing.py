"""Repeats in turns, and the figures that are told of them; a made-up clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.benchmarks.interleaving import interleaved, per
from vfxmatte.bench.timing import Timing, timed


class Clock:
    """Goes on only when work is done."""

    def __init__(self) -> None:
        self.now = 50.0
        self.done: list[str] = []

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: float) -> Callable[[], None]:
        def do() -> None:
            self.now += seconds
            self.done.append(name)

        return do


def test_figures_of_repeats() -> None:
    timing = Timing(seconds=(1.0, 4.0, 2.0))
    assert timing.median == 2.0 and timing.spread == pytest.approx(1.5)
    assert timing.as_dict() == {
        "raw": [1.0, 4.0, 2.0],
        "median": 2.0,
        "fastest": 1.0,
        "slowest": 4.0,
        "spread": 1.5,
    }
    assert per(timing, 4).seconds == (0.25, 1.0, 0.5)
    assert Timing(seconds=(1.0, 2.0)).median == 1.5


def test_work_is_done_in_turns_and_each_begins_once() -> None:
    clock = Clock()
    work = {name: clock.work(name, seconds) for name, seconds in (("a", 1), ("b", 2), ("c", 3))}
    found = interleaved(work, repeats=3, warmup=1, clock=clock)
    rounds = ["".join(clock.done[i : i + 3]) for i in range(0, 12, 3)]
    assert [sorted(each) for each in rounds] == [["a", "b", "c"]] * 4
    assert {each[0] for each in rounds[1:]} == {"a", "b", "c"}
    assert {name: timing.seconds for name, timing in found.items()} == {
        "a": (1.0, 1.0, 1.0),
        "b": (2.0, 2.0, 2.0),
        "c": (3.0, 3.0, 3.0),
    }


def test_warm_up_does_not_count() -> None:
    clock = Clock()
    lengths = iter([100.0, 100.0, 1.0, 2.0])

    def work() -> None:
        clock.now += next(lengths)

    assert timed(work, repeats=2, warmup=2, clock=clock).seconds == (1.0, 2.0)


def test_nothing_to_do_takes_no_time() -> None:
    assert interleaved({}, repeats=2, warmup=1) == {}


def test_senseless_repeats_are_refused() -> None:
    with pytest.raises(ValueError, match="repeats must be 1 or more"):
        timed(lambda: None, repeats=0, warmup=0)
    with pytest.raises(ValueError, match="a timing has repeats"):
        Timing(seconds=())
