"""A cache of loaded engines: few, and not for ever."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vfxmatte.common.devices import names_several
from vfxmatte.engines.protocol import Engine, EngineSettings
from vfxmatte.engines.registry import open_engine

Key = tuple[EngineSettings, object]


@dataclass(eq=False)
class _Entry:
    engine: Engine
    users: int = 0
    last_use: float = 0.0


class EngineCache:
    """Opens engines and keeps them loaded; for one thread, but `devices` may be read by any."""

    def __init__(
        self,
        *,
        capacity: int = 2,
        keep_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
        opener: Callable[[EngineSettings], Engine] = open_engine,
    ) -> None:
        """Create an empty cache.

        Args:
            capacity: number of engines that stay loaded.
            keep_seconds: how long an unused engine stays loaded.
            clock: returns seconds.
            opener: opens an engine.
        """
        self.capacity, self.keep_seconds = capacity, keep_seconds
        self._clock, self._open = clock, opener
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()  # least recently used first
        self._lock = threading.Lock()  # held for changes of `_entries`, never for long

    @property
    def devices(self) -> list[str]:
        """Devices of the loaded engines, the most recently used first."""
        with self._lock:
            engines = [entry.engine for entry in reversed(self._entries.values())]
        return [engine.device for engine in engines]

    @contextlib.contextmanager
    def use(self, settings: EngineSettings) -> Iterator[Engine]:
        """Yield an engine for these settings, loading it if necessary.

        Weights that have changed on disk are loaded again. Raises what `open_engine` raises.
        """
        key = (settings, _signature(settings))
        entry = self._entries.get(key)
        if entry is None:
            self._make_room()
            entry = _Entry(self._open(settings))
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
        entry.users += 1
        try:
            yield entry.engine
        finally:
            entry.users -= 1
            entry.last_use = self._clock()

    @contextlib.contextmanager
    def lend(self, settings: EngineSettings) -> Iterator[Engine | None]:
        """Yield an engine as `use` does; None for several devices, which a run opens itself."""
        if names_several(settings.device):
            yield None
        else:
            with self.use(settings) as engine:
                yield engine

    def close_unused(self, *, now: bool = False) -> None:
        """Close engines that nobody uses: after `keep_seconds`, or at once."""
        oldest = self._clock() - (0 if now else self.keep_seconds)
        for key, entry in list(self._entries.items()):
            if not entry.users and entry.last_use <= oldest:
                self._close(key)

    def _make_room(self) -> None:
        for key, entry in list(self._entries.items()):
            if len(self._entries) < self.capacity:
                return
            if not entry.users:
                self._close(key)

    def _close(self, key: Key) -> None:
        with self._lock:
            entry = self._entries.pop(key)
        entry.engine.close()


def _signature(settings: EngineSettings) -> object:
    """Return a value that changes with the weights' file."""
    try:
        state = settings.weights_path.stat()
    except OSError:  # opening the engine reports it
        return None
    return state.st_mtime_ns, state.st_size
