"""Torch on several things at once, one thread each: the same bits on any number of processors."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from vfxmatte.common.parallel import close

T = TypeVar("T")
R = TypeVar("R")

_MOST_AT_ONCE = 8  # frames in memory


@contextmanager
def single_threads(at_once: int) -> Generator[ThreadPoolExecutor]:
    """Give a pool of threads in which torch uses no further threads.

    Torch's setting is remembered for threads that begin later: it is put back at the end.
    """
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(at_once, "vfxmatte-torch", initializer=_alone)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(before)


def _alone() -> None:
    torch.set_num_threads(1)


def threads_at_once() -> int:
    """Return how many single threads replace torch's own; OMP_NUM_THREADS limits them."""
    return max(1, min(_MOST_AT_ONCE, torch.get_num_threads(), os.cpu_count() or 1))


def single_threaded_map(function: Callable[[T], R], items: Iterable[T]) -> Generator[R]:
    """Call `function` on each item, several at once; yield results in the items' order.

    An exception of `function` or `items` is raised in place of the result.
    """
    at_once = threads_at_once()
    pending: deque[Future[R]] = deque()
    with single_threads(at_once) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > at_once:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
            close(items)
