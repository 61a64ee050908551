"""Pictures to estimate motion on, read once for several subjects.

Each subject reads those of its own segments, ascending; a picture stays on disk until the last
subject has passed it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfxmatte.common.parallel import prefetch
from vfxmatte.pipeline.plan import RunPlan
from vfxmatte.propagation.proxy_store import ProxyStore
from vfxmatte.propagation.segment import ReadProxies

_AHEAD = 2
_END = float("inf")

Proxy = NDArray[np.uint8] | None


class SharedProxies:
    """The pictures of a run's subjects; a context manager."""

    def __init__(
        self,
        read: Callable[[Sequence[int]], Iterator[tuple[int, Proxy]]],
        needs: Mapping[str, Sequence[int]],
        store: ProxyStore,
    ) -> None:
        """
        Args:
            read: yields (number, picture or None) for ascending numbers.
            needs: the numbers that each subject is going to read, ascending.
            store: where pictures are kept.
        """
        self._needs, self._store = needs, store
        self._passed = {name: _first(numbers) for name, numbers in needs.items()}
        numbers = sorted(set[int]().union(*needs.values()))
        self._source = prefetch(read(numbers), depth=_AHEAD)
        self._kept: dict[int, bool] = {}
        self._lock = threading.Lock()
        self._ended: BaseException | None = None

    def __enter__(self) -> SharedProxies:
        self._store.open()
        if any(self._needs.values()):  # begins the source in this thread, which outlives all others
            self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()
        self._store.clear()

    def reader(self, subject: str) -> ReadProxies:
        """Return the function by which a subject reads pictures."""

        def read(numbers: Sequence[int]) -> Generator[tuple[int, Any]]:
            for number in numbers:
                yield number, self._picture(subject, number)

        return read

    def _picture(self, subject: str, number: int) -> Proxy:
        with self._lock:
            while number not in self._kept:
                self._take()
            picture = self._store.picture(number) if self._kept[number] else None
            self._pass(subject, number)
            return picture

    def _take(self) -> None:
        """Keep the next picture of the plate; raises what has ended the source, each time."""
        if self._ended is not None:
            raise self._ended
        try:
            number, picture = next(self._source)
        except BaseException as error:
            self._ended = error
            raise
        if picture is not None:
            self._store.put_picture(number, picture)
        self._kept[number] = picture is not None

    def _pass(self, subject: str, number: int) -> None:
        """Note how far a subject has come, and drop what no subject reads again."""
        is_last = number == self._needs[subject][-1]
        self._passed[subject] = _END if is_last else number
        behind = min(self._passed.values())
        for old in [n for n in self._kept if n < behind]:
            self._store.drop_picture(old)
            del self._kept[old]


def needed_proxies(plan: RunPlan, numbers: Sequence[int]) -> list[int]:
    """Return the frames whose pictures are read to carry trimaps to these frames, ascending."""
    segments = {plan.segment(number) for number in numbers}
    needed: set[int] = set()
    for before, after in segments:
        if before is None or before != after:
            first = plan.trail[0] if before is None else before
            last = plan.trail[-1] if after is None else after
            needed.update(n for n in plan.trail if first <= n <= last)
    return sorted(needed)


def _first(numbers: Sequence[int]) -> float:
    return numbers[0] if numbers else _END
