"""Bounded, ordered concurrency between stages: the only file of a run that owns threads.

Stages are generators. `ordered_map` runs one function on several items at once and gives the
results in order; `prefetch` lets a stage run ahead of the next by a few items; `prefetched_map`
does both. All hold at most about `depth` items, raise a stage's exception in the caller, and leave
no thread behind when the caller stops early: a stage that ends, for whatever reason, closes the
stage it takes its items from. Knows nothing of images.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")

_POLL_SECONDS = 0.1

_here = threading.local()
"""`stop`: in a thread of a stage, what says that its caller has gone."""


@contextmanager
def repeatedly(work: Callable[[], None], seconds: float) -> Iterator[None]:
    """Do small work every so many seconds beside the block, in a thread that ends with it."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            work()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _CallerGone(BaseException):
    """Unwinds the stages that run in a thread of another one, before their next item is done."""


class _Stop(threading.Event):
    """Says that the caller has gone, or a caller of the thread that the caller runs in."""

    def __init__(self) -> None:
        super().__init__()
        self._outer: _Stop | None = getattr(_here, "stop", None)

    def is_set(self) -> bool:
        return super().is_set() or (self._outer is not None and self._outer.is_set())

    def rule_here(self) -> None:
        """From now on it speaks for the thread that calls this."""
        _here.stop = self


def ordered_map(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, depth: int | None = None
) -> Generator[R]:
    """`function` of each item, in the items' order, up to `workers` at once.

    At most `depth` items (default: workers + 1) are under way or waiting to be taken. An
    exception of `function` or of `items` is raised where the result would have come.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, found {workers}")
    return _ordered_map(function, items, workers, depth or workers + 1)


def _ordered_map(
    function: Callable[[T], R], items: Iterable[T], workers: int, depth: int
) -> Generator[R]:
    stop = _Stop()
    pool = ThreadPoolExecutor(workers, "vfxmatte-map", initializer=stop.rule_here)
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            _go_on()
            pending.append(pool.submit(function, item))
            if len(pending) >= depth:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        stop.set()
        for future in pending:
            future.cancel()
        pool.shutdown(wait=True)
        close(items)


def prefetched_map(
    function: Callable[[T], R], items: Iterable[T], *, workers: int, depth: int = 1
) -> Generator[R]:
    """As `ordered_map`, for few and long items: they come from a thread of their own.

    A result is given as soon as it is done, however long the next items are in coming. At most
    `depth` + 2 items are under way or waiting to be taken.
    """
    stop = _Stop()
    pool = ThreadPoolExecutor(workers, "vfxmatte-map", initializer=stop.rule_here)
    futures = prefetch(_submitted(pool, function, items), depth=depth)
    try:
        for future in futures:
            yield future.result()
    finally:
        stop.set()
        futures.close()
        pool.shutdown(wait=True, cancel_futures=True)


def _submitted(
    pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T]
) -> Generator[Future[R]]:
    try:
        for item in items:
            yield pool.submit(function, item)
    finally:
        close(items)


def _go_on() -> None:
    """Raise where this thread works for a caller that has gone."""
    stop: _Stop | None = getattr(_here, "stop", None)
    if stop is not None and stop.is_set():
        raise _CallerGone


def close(items: object) -> None:
    """Close a stage; iterables that are no generators have nothing to close."""
    if isinstance(items, Generator):
        items.close()


class _End:
    """Marks the end of the items, or carries the exception that ended them."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prefetch(items: Iterable[T], *, depth: int = 2) -> Generator[T]:
    """The same items, produced by a thread of their own up to `depth` ahead of the caller."""
    if depth < 1:
        raise ValueError(f"depth must be at least 1, found {depth}")
    return _prefetch(items, depth)


def _prefetch(items: Iterable[T], depth: int) -> Generator[T]:
    waiting: queue.Queue[Any] = queue.Queue(depth)
    stop = _Stop()
    thread = threading.Thread(
        target=_produce, args=(items, waiting, stop), name="vfxmatte-prefetch", daemon=True
    )
    thread.start()
    try:
        while True:
            item = waiting.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stop.set()
        thread.join()


def detached(function: Callable[[], None]) -> None:
    """Call something that may take long, or for ever, and do not wait for it."""
    threading.Thread(target=function, name="vfxmatte-detached", daemon=True).start()


@contextmanager
def every(seconds: float, function: Callable[[], None]) -> Iterator[None]:
    """Call the function now and then, in a thread of its own, while the block goes on."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(seconds):
            function()

    thread = threading.Thread(target=repeat, name="vfxmatte-every", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def merged(
    sources: Mapping[K, Iterable[T]], *, depth: int = 16, patience: float | None = None
) -> Generator[tuple[K, T]]:
    """The items of several sources as they come, each with its source's key.

    A thread for each source, which closing waits for: a source that waits for something outside
    must be ended first. patience: seconds to wait for all threads; None for as long as it takes.
    A source's exception is raised where its next item would have come.
    """
    waiting: queue.Queue[Any] = queue.Queue(depth)
    stop = _Stop()
    threads = [
        threading.Thread(
            target=_produce,
            args=(_keyed(key, items), waiting, stop),
            name="vfxmatte-merge",
            daemon=True,
        )
        for key, items in sources.items()
    ]
    for thread in threads:
        thread.start()
    running = len(threads)
    try:
        while running:
            item = waiting.get()
            if not isinstance(item, _End):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                running -= 1
    finally:
        stop.set()
        until = None if patience is None else time.monotonic() + patience
        for thread in threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))


def _keyed(key: K, items: Iterable[T]) -> Generator[tuple[K, T]]:
    try:
        for item in items:
            yield key, item
    finally:
        close(items)


def _produce(items: Iterable[Any], waiting: queue.Queue[Any], stop: _Stop) -> None:
    end = _End()
    stop.rule_here()
    try:
        for item in items:
            if not _put(waiting, item, stop):
                break
    except BaseException as error:
        end = _End(error)
    finally:
        close(items)
    _put(waiting, end, stop)


def _put(waiting: queue.Queue[Any], item: Any, stop: _Stop) -> bool:
    """Wait for room; False when the caller has gone."""
    while not stop.is_set():
        try:
            waiting.put(item, timeout=_POLL_SECONDS)
            return True
        except queue.Full:
            continue
    return False
