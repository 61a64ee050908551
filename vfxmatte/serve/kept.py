"""Engines that stay loaded between jobs: few, and not for ever."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vfxmatte.engines.base import Engine, EngineSettings, open_engine
from vfxmatte.network.sidecar import DEFAULT_WEIGHTS

Key = tuple[EngineSettings, object]


@dataclass(eq=False)
class _Kept:
    engine: Engine
    users: int = 0
    last_use: float = 0.0


class KeptEngines:
    """Opens engines, and keeps at most `capacity` of them; one that nobody has used for
    `keep_seconds` gives its memory back. For one thread; any other may ask for `devices`.

    clock: seconds, from any moment on.
    """

    def __init__(
        self,
        *,
        capacity: int = 2,
        keep_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        opener: Callable[[EngineSettings], Engine] = open_engine,
    ) -> None:
        self.capacity, self.keep_seconds = capacity, keep_seconds
        self._clock, self._open = clock, opener
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()  # the latest used last
        self._lock = threading.Lock()  # for every change of `_kept`, never held for long

    @property
    def devices(self) -> list[str]:
        """What the engines that are loaded run on, the latest used first."""
        with self._lock:
            engines = [kept.engine for kept in reversed(self._kept.values())]
        return [engine.device for engine in engines]

    @contextlib.contextmanager
    def use(self, settings: EngineSettings) -> Iterator[Engine]:
        """An engine for these settings, loaded if it is not; it stays while it is in use.

        Weights that have changed on the disk are loaded again. Raises what `open_engine` raises.
        """
        key = (settings, _signature(settings))
        kept = self._kept.get(key)
        if kept is None:
            self._make_room()
            kept = _Kept(self._open(settings))
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
        kept.users += 1
        try:
            yield kept.engine
        finally:
            kept.users -= 1
            kept.last_use = self._clock()

    def forget_unused(self, *, now: bool = False) -> None:
        """Close what was not used for long; `now`: all that nobody uses."""
        oldest = self._clock() - (0 if now else self.keep_seconds)
        for key, kept in list(self._kept.items()):
            if not kept.users and kept.last_use <= oldest:
                self._close(key)

    def _make_room(self) -> None:
        for key, kept in list(self._kept.items()):
            if len(self._kept) < self.capacity:
                return
            if not kept.users:
                self._close(key)

    def _close(self, key: Key) -> None:
        with self._lock:
            kept = self._kept.pop(key)
        kept.engine.close()


def _signature(settings: EngineSettings) -> object:
    """Changes when the weights' file does."""
    try:
        found = (settings.weights or DEFAULT_WEIGHTS).stat()
    except OSError:  # the engine will say so
        return None
    return found.st_mtime_ns, found.st_size
