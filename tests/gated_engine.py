"""The usual engine, but it waits before a late frame until the test opens a gate: a file, whose
path is in $GATE. As a program it is vfxmatte with this engine beside its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.waiting import until
from vfxmatte.engines.protocol import Engine, EngineSettings, Task
from vfxmatte.engines.registry import engine_names, open_engine, register
from vfxmatte.types import Matte

FIRST_CLOSED = 1004
SETTINGS = {"engine.name": "gated", "engine.device": "cpu", "workers": 1, "temporal.strength": 0}
"""With one worker, and no frame that waits for the next, 1001 and 1002 are told before the gate."""


class GatedEngine:
    def __init__(self, inner: Engine) -> None:
        self.inner = inner
        self.device = inner.device

    @classmethod
    def open(cls, settings: EngineSettings) -> GatedEngine:
        return cls(open_engine(replace(settings, name="dim")))

    def describe(self) -> Mapping[str, Any]:
        return self.inner.describe()

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte]:
        for matte in self.inner.mattes(tasks):
            if matte.number >= FIRST_CLOSED:
                wait_for(Path(os.environ["GATE"]))
            yield matte

    def close(self) -> None:
        self.inner.close()


def wait_for(path: Path) -> None:
    """Until the file is there; a minute at most."""
    until(path.exists, f"{path} does not come")


def register_gated() -> None:
    if "gated" not in engine_names():
        register("gated", GatedEngine.open)


if __name__ == "__main__":
    from vfxmatte.cli import main

    register_gated()
    main()
