"""One frame on its way through the stages of a run, and what is told of it at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from vfxmatte.common.parallel import close
from vfxmatte.engines.answers import answers
from vfxmatte.engines.base import Engine, Task
from vfxmatte.errors import VfxmatteError, as_foreseen, concerns_all_frames
from vfxmatte.journal.records import FrameRecord
from vfxmatte.types import Failure, Frame, FrameResult, Matte, Trimap

Part = TypeVar("Part")


@dataclass(eq=False)
class Work:
    """One frame on its way through the stages; a stage that fails puts its error in.

    What a later stage does not need is let go, so that many frames may wait in a row.
    """

    number: int
    fingerprint: str
    trimap: Trimap | None = None
    frame: Frame | None = None
    task: Task | None = None
    matte: Matte | None = None
    path: Path | None = None
    size_bytes: int = 0
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

    def needed(self, part: Part | None) -> Part:
        """What an earlier stage has put in; raises RuntimeError where it has not."""
        if part is None:
            raise RuntimeError(f"a stage before frame {self.number}'s has left something out")
        return part

    def take(self, answer: Matte | Failure) -> None:
        """Keep what the engine has made of the task."""
        self.task = None
        if isinstance(answer, Failure):
            self.fail(answer.error)
        else:
            self.matte = answer
            self.stats |= answer.stats

    def fail(self, error: Exception) -> None:
        """Keep why there is no matte, and free all pixels; the first error counts."""
        self.error = self.error or as_foreseen(error).at(frame=self.number)
        self.trimap = self.frame = self.task = self.matte = self.path = None


def failing_alone(
    stage: Callable[[Work], None], *, shared: Callable[[Exception], bool] = concerns_all_frames
) -> Callable[[Work], Work]:
    """A stage for one frame, whose errors are the frame's own.

    shared: which errors are raised nevertheless, since they concern all frames. A frame that has
    failed already is passed on untouched.
    """

    def done(work: Work) -> Work:
        if work.error is None:
            try:
                stage(work)
            except Exception as error:
                if shared(error):
                    raise
                work.fail(error)
        return work

    return done


def solved(engine: Engine, works: Iterable[Work]) -> Generator[Work]:
    """Feed the engine; frames without a picture go around it, in order.

    A frame that the engine cannot solve fails alone: the engine goes on with the next.
    """
    under_way: deque[Work] = deque()
    waiting_ms = 0.0

    def tasks() -> Iterator[Task]:
        nonlocal waiting_ms
        started = time.perf_counter()
        for work in works:
            waiting_ms += (time.perf_counter() - started) * 1000
            under_way.append(work)
            if work.task is not None:
                yield work.task
            started = time.perf_counter()

    def around() -> Iterator[Work]:
        while under_way and under_way[0].task is None:
            yield under_way.popleft()

    answered = answers(engine, tasks())
    try:
        started = time.perf_counter()
        for answer in answered:
            yield from around()
            work = under_way.popleft()
            work.take(answer)
            work.stats["solve_ms"] = (time.perf_counter() - started) * 1000 - waiting_ms
            yield work
            started, waiting_ms = time.perf_counter(), 0.0
        yield from around()
    finally:
        close(answered)
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
        size_bytes=work.size_bytes,
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
