"""Bounded, ordered concurrency between the stages of a run.

Stages are generators. `ordered_map` runs a function on several items at once and yields the
results in order; `prefetch` lets a stage run ahead of the next by a few items; `prefetched_map`
does both. All hold at most about `depth` items, raise a stage's exception in the caller, and leave
no thread behind when the caller stops early: a stage that ends always closes its source.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")

_POLL_SECONDS = 0.1

_thread_state = threading.local()
"""`stop`: set in a stage's thread, the event set when its caller has ended."""


@contextmanager
def every(seconds: float, function: Callable[[], None]) -> Iterator[None]:
    """Call a function every `seconds` in a thread of its own while the block runs."""
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


class _CallerGone(BaseException):
    """Unwinds stages that run in another stage's thread, before their next item."""


class _Stop(threading.Event):
    """Set when the caller, or the caller of the caller's thread, has ended."""

    def __init__(self) -> None:
        super().__init__()
        self._outer: _Stop | None = getattr(_thread_state, "stop", None)

    def is_set(self) -> bool:
        return super().is_set() or (self._outer is not None and self._outer.is_set())

    def apply_to_thread(self) -> None:
        """Make this the event of the calling thread."""
        _thread_state.stop = self


def ordered_map(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    workers: int,
    depth: int | None = None,
    promptly: bool = False,
) -> Generator[R]:
    """Call `function` on each item, up to `workers` at once; yield results in the items' order.

    At most `depth` items (default: workers + 1) are in progress or waiting. An exception of
    `function` or `items` is raised in place of the result.

    Args:
        promptly: yield what is done before a further item is taken, for items that come slowly;
            else items are taken ahead.
    """
    depth = depth or workers + 1
    stop = _Stop()
    pool = ThreadPoolExecutor(workers, "vfxmatte-map", initializer=stop.apply_to_thread)
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            _check_caller()
            pending.append(pool.submit(function, item))
            while pending and (len(pending) >= depth or (promptly and pending[0].done())):
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
    """Call `function` on each item like `ordered_map`, taking items in a thread of their own.

    For few, long items: a result does not wait for the next item. At most `depth` + 2 items are in
    progress or waiting.
    """
    stop = _Stop()
    pool = ThreadPoolExecutor(workers, "vfxmatte-map", initializer=stop.apply_to_thread)
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


def _check_caller() -> None:
    """Raise _CallerGone if the caller of this thread has ended."""
    stop: _Stop | None = getattr(_thread_state, "stop", None)
    if stop is not None and stop.is_set():
        raise _CallerGone


def close(items: object) -> None:
    """Close a generator; ignore other iterables."""
    if isinstance(items, Generator):
        items.close()


class _End:
    """The end of the items, with the exception that ended them if any."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prefetch(items: Iterable[T], *, depth: int = 2) -> Generator[T]:
    """Yield the items, produced by a thread of their own up to `depth` ahead of the caller."""
    return _merged([items], depth, None)


def detached(function: Callable[[], None]) -> None:
    """Call a function that may never return in a daemon thread, without waiting."""
    threading.Thread(target=function, name="vfxmatte-detached", daemon=True).start()


def merged(
    sources: Mapping[K, Iterable[T]], *, depth: int = 16, patience: float | None = None
) -> Generator[tuple[K, T]]:
    """Yield the items of several sources as they arrive, each with its source's key.

    Each source runs in a thread that closing waits for: end a source that waits for something
    outside first. A source's exception is raised in place of its next item.

    Args:
        patience: seconds to wait for all threads when closed; None for no limit.
    """
    return _merged([_keyed(key, items) for key, items in sources.items()], depth, patience)


def _merged(sources: Sequence[Iterable[T]], depth: int, patience: float | None) -> Generator[T]:
    waiting: queue.Queue[Any] = queue.Queue(depth)
    stop = _Stop()
    threads = [
        threading.Thread(
            target=_produce,
            args=(items, waiting, stop),
            name="vfxmatte-merge",
            daemon=True,
        )
        for items in sources
    ]
    for thread in threads:
        thread.start()
    running = len(threads)
    try:
        while running:
            try:
                item = waiting.get(timeout=_POLL_SECONDS)
            except queue.Empty:  # perhaps for ever: a source whose caller has gone says no end
                _check_caller()
                continue
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
    stop.apply_to_thread()
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
    """Wait for room in the queue; return False if the caller has ended."""
    while not stop.is_set():
        try:
            waiting.put(item, timeout=_POLL_SECONDS)
            return True
        except queue.Full:
            continue
    return False
