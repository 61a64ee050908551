"""Order, bounds, errors and early exit of the concurrent stages."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.waiting import until
from vfxmatte.common.parallel import detached, every, merged, ordered_map, prefetch, prefetched_map


def _threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("vfxmatte")]


def test_results_come_in_order_whichever_finishes_first() -> None:
    first_may_end = threading.Event()

    def work(n: int) -> int:
        if n == 0:
            assert first_may_end.wait(10)
        if n == 2:
            first_may_end.set()
        return n * n

    assert list(ordered_map(work, range(20), workers=3, depth=4)) == [n * n for n in range(20)]


def test_no_more_than_depth_items_are_taken_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for n in range(100):
            taken.append(n)
            yield n

    results = ordered_map(lambda n: n, items(), workers=2, depth=5)
    assert next(results) == 0
    assert len(taken) == 5
    results.close()  # type: ignore[attr-defined]
    assert _threads() == []


def test_promptly_what_is_done_does_not_wait_for_further_items() -> None:
    done = threading.Event()
    taken: list[int] = []

    def items() -> Iterator[int]:
        yield 0
        assert done.wait(10)
        time.sleep(0.2)  # until its future knows
        yield 1
        taken.append(2)
        yield 2

    results = ordered_map(lambda n: done.set(), items(), workers=1, depth=5, promptly=True)
    next(results)
    assert taken == []
    assert len(list(results)) == 2 and taken == [2]


@pytest.mark.parametrize("workers", [1, 4])
def test_an_error_is_raised_in_the_caller_after_the_results_before_it(workers: int) -> None:
    def work(n: int) -> int:
        if n == 3:
            raise KeyError("three")
        return n

    seen = []
    with pytest.raises(KeyError, match="three"):
        for result in ordered_map(work, range(10), workers=workers):
            seen.append(result)
    assert seen == [0, 1, 2]
    assert _threads() == []


def test_prefetch_keeps_order_and_bound() -> None:
    taken = threading.Semaphore(0)

    def items() -> Iterator[int]:
        for n in range(10):
            taken.release()
            yield n

    ahead = prefetch(items(), depth=3)
    assert next(ahead) == 0
    # one given away, three waiting, one in the thread's hand
    for _ in range(5):
        assert taken.acquire(timeout=10)
    assert not taken.acquire(timeout=0.3)
    assert list(ahead) == list(range(1, 10))


def test_prefetch_raises_the_producer_s_error_after_its_items() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise OSError("disk on fire")

    ahead = prefetch(items())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="disk on fire"):
        next(ahead)
    assert _threads() == []


def test_leaving_early_closes_the_producer() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    ahead = prefetch(items(), depth=1)
    next(ahead)
    ahead.close()  # type: ignore[attr-defined]
    assert closed.wait(10)
    assert _threads() == []


def test_leaving_early_ends_work_that_gives_nothing_for_long() -> None:
    """A producer may work through many items before it yields one; it stops at the next."""
    reached = threading.Event()
    items_of_all_day = 10_000_000
    done = 0

    def work(n: int) -> int:
        if n == 3:
            reached.set()
        time.sleep(0.001)
        return n

    def producer() -> Iterator[int]:
        nonlocal done
        yield -1
        for _ in ordered_map(work, range(items_of_all_day), workers=1):
            done += 1
        yield done

    items = prefetch(producer())
    assert next(items) == -1
    assert reached.wait(10)
    items.close()
    assert 0 < done < items_of_all_day
    assert _threads() == []


def test_a_result_does_not_wait_for_the_next_items() -> None:
    taken = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        assert taken.wait(10)
        yield from (2, 3, 4)

    results = prefetched_map(lambda n: n * n, items(), workers=2)
    assert next(results) == 1
    taken.set()
    assert list(results) == [4, 9, 16]
    assert _threads() == []


def test_prefetched_map_gives_what_came_before_an_error_of_its_items() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise KeyError("three")

    seen = []
    with pytest.raises(KeyError, match="three"):
        for result in prefetched_map(lambda n: n, items(), workers=2):
            seen.append(result)
    assert seen == [1, 2]
    assert _threads() == []


def test_leaving_early_ends_stages_inside_of_a_worker() -> None:
    ended = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            ended.set()

    def work(n: int) -> int:
        return n if n == 0 else sum(ordered_map(lambda item: item, endless(), workers=1))

    def both() -> Iterator[int]:
        yield from prefetched_map(work, range(4), workers=2)

    results = prefetch(both())
    assert next(results) == 0
    results.close()
    assert ended.is_set() and _threads() == []


def test_merged_gives_all_items_of_all_sources_each_in_its_order() -> None:
    sources = {"a": range(50), "b": range(100, 130), "c": []}
    found = list(merged(sources, depth=3))
    assert [item for key, item in found if key == "a"] == list(range(50))
    assert [item for key, item in found if key == "b"] == list(range(100, 130))
    assert len(found) == 80


def test_merged_raises_a_source_s_error_and_closes_the_others() -> None:
    closed: list[str] = []

    def endless(name: str) -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(name)

    def broken() -> Iterator[int]:
        yield 2
        raise ValueError("the source")

    with pytest.raises(ValueError, match="the source"):
        list(merged({"good": endless("good"), "bad": broken()}))
    assert closed == ["good"]
    some = merged({"one": endless("one"), "two": endless("two")})
    assert next(some)[1] == 1
    some.close()
    assert sorted(closed[1:]) == ["one", "two"]
    assert not [t for t in threading.enumerate() if t.name == "vfxmatte-merge"]


def test_a_function_is_called_now_and_then_and_not_afterwards() -> None:
    called: list[int] = []
    with every(0.01, lambda: called.append(1)):
        until(lambda: len(called) >= 3)
    count = len(called)
    time.sleep(0.05)
    assert len(called) == count


def test_nobody_waits_for_what_is_detached_nor_for_a_source_that_never_ends() -> None:
    gate = threading.Event()
    detached(lambda: gate.wait(60) and None)

    def endless() -> Iterator[int]:
        yield 1
        gate.wait(60)

    started = time.monotonic()
    items = merged({"a": endless()}, patience=0.2)
    assert next(items) == ("a", 1)
    items.close()
    assert time.monotonic() - started < 20
    gate.set()


def test_leaving_early_ends_a_stage_that_waits_for_a_slow_one_inside() -> None:
    """The source inside sees that its caller has gone, and says no end."""
    asked, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[int]:
        yield 0
        asked.set()
        go_on.wait(20)
        yield 1

    def outer() -> Iterator[int]:
        yield -1
        yield from prefetched_map(
            lambda x: x, ordered_map(lambda x: x, slow(), workers=1), workers=1
        )

    items = prefetch(outer())
    assert next(items) == -1 and asked.wait(20)
    threading.Timer(0.3, go_on.set).start()
    closing = threading.Thread(target=items.close, daemon=True)
    closing.start()
    closing.join(20)
    assert not closing.is_alive()
