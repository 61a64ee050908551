"""One frame on its way through the stages of a run, and what is told of it at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vfxmatte.common.parallel import close
from vfxmatte.engines.base import Engine, Task
from vfxmatte.errors import SolveError, VfxmatteError
from vfxmatte.journal.records import FrameRecord
from vfxmatte.types import Frame, FrameResult, Matte, Trimap


@dataclass(eq=False)
class Work:
    """One frame on its way through the stages; a stage that fails puts its error in.

    What a later stage does not need is let go, so that many frames may wait in a row.
    """

    number: int
    fingerprint: str
    trimap: Trimap | None
    frame: Frame | None = None
    task: Task | None = None
    matte: Matte | None = None
    path: Path | None = None
    error: VfxmatteError | None = None
    stale: Path | None = None
    stats: dict[str, float] = dataclasses.field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent to `<stage>_ms`."""
        started = time.perf_counter()
        yield
        spent = (time.perf_counter() - started) * 1000
        self.stats[f"{stage}_ms"] = self.stats.get(f"{stage}_ms", 0.0) + spent


def solved(engine: Engine, works: Iterable[Work]) -> Generator[Work]:
    """Feed the engine; frames without a picture go around it, in order.

    A frame that the engine cannot solve (SolveError) fails alone: the engine goes on with the next.
    """
    under_way: list[Work] = []
    coming = iter(works)
    waited = 0.0

    def tasks() -> Iterator[Task]:
        nonlocal waited
        asked = time.perf_counter()
        for work in coming:
            waited += time.perf_counter() - asked
            under_way.append(work)
            if work.task is not None:
                yield work.task
            asked = time.perf_counter()

    def ready() -> Iterator[Work]:
        while under_way and under_way[0].error is not None:
            yield under_way.pop(0)

    mattes = engine.mattes(tasks())
    try:
        while True:
            started = time.perf_counter()
            waited = 0.0
            try:
                matte = next(mattes, None)
            except SolveError as error:  # of an engine that takes one frame after the other
                under_way[-1].error = error
                under_way[-1].task = None
                yield from ready()
                mattes = engine.mattes(tasks())
                continue
            yield from ready()
            if matte is None:
                return
            work = under_way.pop(0)
            assert work.number == matte.number
            work.matte, work.task = matte, None
            work.stats |= matte.stats
            work.stats["solve_ms"] = (time.perf_counter() - started - waited) * 1000
            yield work
    finally:
        close(mattes)
        close(works)


def record_of(work: Work, output: Path, *, alpha: str | None = None) -> FrameRecord:
    """alpha: how the file holds it, see `FrameRecord`."""
    if work.error is not None or work.path is None:
        return FrameRecord(
            number=work.number,
            fingerprint=work.fingerprint,
            error=str(work.error),
            stats=work.stats,
            stale=None if work.stale is None else work.stale.relative_to(output).as_posix(),
        )
    return FrameRecord(
        number=work.number,
        fingerprint=work.fingerprint,
        file=work.path.relative_to(output).as_posix(),
        size_bytes=work.path.stat().st_size,
        alpha=alpha,
        stats=work.stats,
    )


def result_of(work: Work) -> FrameResult:
    return FrameResult(
        number=work.number,
        status="failed" if work.error is not None else "written",
        path=work.path,
        error=work.error,
        stats=work.stats,
        stale=work.stale,
    )
