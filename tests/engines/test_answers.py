"""One answer a task, whatever an engine does: raises, looks ahead, ends early, answers wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pytest

from tests.engine_tasks import task
from vfxmatte.common.parallel import prefetch
from vfxmatte.engines.answers import answers, solve_one
from vfxmatte.engines.base import Task, known_alpha
from vfxmatte.errors import DeviceError, OutputError, SolveError
from vfxmatte.types import Failure, Matte

BAD = {3, 4, 8}


def solved(one: Task) -> Matte:
    if one.number in BAD:
        raise KeyError(f"frame {one.number}")
    return Matte(number=one.number, alpha=known_alpha(one.trimap.labels))


class Scripted:
    """An engine that does what the test wants with a stream of tasks."""

    device = "cpu"

    def __init__(self, mattes: Callable[[Iterable[Task]], Iterable[Any]]) -> None:
        self._mattes = mattes

    def describe(self) -> Mapping[str, Any]:
        return {"engine": "scripted"}

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Any]:
        yield from self._mattes(tasks)

    def close(self) -> None:
        pass


def one_by_one(tasks: Iterable[Task]) -> Iterator[Matte]:
    return map(solved, tasks)


def three_ahead(tasks: Iterable[Task]) -> Iterator[Matte]:
    """Takes three tasks before it gives a matte, as one on a GPU does."""
    coming = iter(tasks)
    waiting = list(islice(coming, 3))
    while waiting:
        yield solved(waiting.pop(0))
        waiting += islice(coming, 1)


def in_threads(tasks: Iterable[Task]) -> Iterator[Matte]:
    return map(solved, prefetch(tasks, depth=4))


def blames_the_first(tasks: Iterable[Task]) -> Iterator[Matte]:
    """Solves batches of four, and says of the first what is wrong with any."""
    coming = iter(tasks)
    while batch := list(islice(coming, 4)):
        try:
            yield from [solved(one) for one in batch]
        except KeyError as error:
            raise SolveError("the batch failed", frame=batch[0].number) from error


def as_values(tasks: Iterable[Task]) -> Iterator[Matte | Failure]:
    for one in tasks:
        try:
            yield solved(one)
        except KeyError as error:
            yield Failure(number=one.number, error=error)


def shy(tasks: Iterable[Task]) -> Iterator[Matte]:
    """Gives two mattes, and no more."""
    return islice(map(solved, tasks), 2)


def idle(tasks: Iterable[Task]) -> Iterator[Matte]:
    return iter(())


def numberless(tasks: Iterable[Task]) -> Iterator[Matte]:
    """Calls every matte's frame 0."""
    return (Matte(number=0, alpha=solved(one).alpha) for one in tasks)


def bare(tasks: Iterable[Task]) -> Iterator[Any]:
    return (solved(one).alpha for one in tasks)


def transposed(tasks: Iterable[Task]) -> Iterator[Matte]:
    for one in tasks:
        yield Matte(number=one.number, alpha=np.ascontiguousarray(solved(one).alpha.T))


TASKS = [task(32, 48, number) for number in range(1, 10)]


@pytest.mark.parametrize(
    "how", [one_by_one, three_ahead, in_threads, blames_the_first, as_values, shy]
)
def test_the_frames_at_fault_fail_and_no_others(how: Any) -> None:
    found = list(answers(Scripted(how), iter(TASKS)))
    assert [one.number for one in found] == list(range(1, 10))
    failed = {one.number: one.error for one in found if isinstance(one, Failure)}
    assert failed.keys() == BAD
    for number, error in failed.items():
        cause = error.__cause__ if isinstance(error, SolveError) else error
        assert str(cause) == f"'frame {number}'"


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (idle, "no mattes"),
        (numberless, "another frame or size .0, 48x32"),
        (bare, "no matte"),
        (transposed, "another frame or size .1, 32x48"),
    ],
)
def test_an_engine_that_breaks_its_word_fails_frame_by_frame(how: Any, says: str) -> None:
    found = list(answers(Scripted(how), iter(TASKS)))
    assert [one.number for one in found] == list(range(1, 10))
    assert all(isinstance(one, Failure) for one in found)
    with pytest.raises(SolveError, match=says):
        solve_one(Scripted(how), TASKS[0])


@pytest.mark.parametrize(
    "error",
    [
        DeviceError("lost"),
        RuntimeError("CUDA error: an illegal memory access"),
        KeyboardInterrupt(),
    ],
)
@pytest.mark.parametrize("ahead", [1, 3])
def test_what_concerns_all_frames_is_raised_once(error: BaseException, ahead: int) -> None:
    calls: list[int] = []

    def lose(tasks: Iterable[Task]) -> Iterator[Matte]:
        for one in list(islice(tasks, ahead)):
            calls.append(one.number)
            raise error
            yield solved(one)

    expected = DeviceError if isinstance(error, Exception) else KeyboardInterrupt
    with pytest.raises(expected):
        list(answers(Scripted(lose), iter(TASKS)))
    assert calls == [1]


def test_an_error_of_what_comes_before_the_engine_is_not_the_engine_s() -> None:
    def tasks() -> Iterator[Task]:
        yield TASKS[0]
        yield TASKS[1]
        raise OutputError("the disk of the trimaps is full")

    found: list[Any] = []
    with pytest.raises(OutputError, match="trimaps is full"):
        for one in answers(Scripted(three_ahead), tasks()):
            found.append(one)


def test_a_device_that_an_engine_reports_as_a_value_still_ends_all() -> None:
    def told(tasks: Iterable[Task]) -> Iterator[Failure]:
        return (Failure(number=one.number, error=DeviceError("gone")) for one in tasks)

    with pytest.raises(DeviceError, match="gone"):
        list(answers(Scripted(told), iter(TASKS)))
