"""One frame on its way through the stages of a run, and its record and result at the end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vfxmatte.common.parallel import ordered_map
from vfxmatte.engines.protocol import Task
from vfxmatte.errors import VfxmatteError, as_foreseen, concerns_all_frames
from vfxmatte.journal.records import FrameRecord
from vfxmatte.pipeline.solved import SolvedFile
from vfxmatte.types import Failure, FloatImage, Frame, FrameResult, Matte, Picture, Trimap

if TYPE_CHECKING:
    from vfxmatte.pipeline.steady import Surroundings

Part = TypeVar("Part")


@dataclass(eq=False)
class FrameState:
    """One frame on its way through the stages; a stage that fails sets `error`.

    A stage releases what no later stage needs, so that many frames can wait in a row.
    """

    number: int
    fingerprint: str
    """What its matte is made from, see `plan.Fingerprints`."""
    subject: str = ""
    """The subject whose frame it is, where a shot has several."""
    aside: bool = False
    """Solved for its neighbours alone; nothing of it is written."""
    kept: FrameRecord | None = None
    """The record of its matte of an earlier run, which has its alpha: nothing is solved."""
    trimap: Trimap | None = None
    is_doubtful: bool = False
    """Whether its matte can be no surer than its trimap: no solid foreground is left in that which
    keyframes have, or its plate is a flash."""
    frame: Frame | None = None
    """The plate."""
    task: Task | None = None
    """What the engine is given: the encoded picture and the trimap."""
    picture: Picture | None = None
    """The picture that neighbouring mattes are compared on."""
    surroundings: Surroundings | None = None
    """The mattes before and after it, if it is to be averaged with them."""
    jumped_px: float = 0.0
    """How far its matte jumps from its neighbours', see `temporal.jumps`."""
    matte: Matte | None = None
    known: str = "float"
    """The exactness of the matte, see `FrameRecord.alpha`: one that was read, as its file."""
    planes: Mapping[str, FloatImage] | None = None
    """Further channels of its file, by name."""
    path: Path | None = None
    """The matte's file, once it is written."""
    size_bytes: int = 0
    solved: SolvedFile | None = None
    """The file that keeps solved alpha, if the file does not hold it."""
    error: VfxmatteError | None = None
    stale: Path | None = None
    """Where the matte of an earlier run was moved because this frame failed."""
    stats: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent in the block to `<stage>_ms`."""
        started = time.perf_counter()
        yield
        spent = (time.perf_counter() - started) * 1000
        self.stats[f"{stage}_ms"] = self.stats.get(f"{stage}_ms", 0.0) + spent

    def needed(self, part: Part | None) -> Part:
        """Return a part that an earlier stage has set; raises RuntimeError for None."""
        if part is None:
            raise RuntimeError(f"a stage before frame {self.number}'s has left something out")
        return part

    def take(self, answer: Matte | Failure) -> None:
        """Replace the task by the engine's answer."""
        self.task = None
        if isinstance(answer, Failure):
            self.fail(answer.error)
        else:
            self.matte = answer
            self.stats |= answer.stats

    def fail(self, error: Exception) -> None:
        """Set the error, unless there is one already, and release all pixels."""
        self.error = self.error or as_foreseen(error).at(frame=self.number)
        self.trimap = self.frame = self.task = self.matte = self.planes = self.path = None
        self.picture = self.surroundings = None


def for_each_frame(
    stage: Callable[[FrameState], None],
    states: Iterable[FrameState],
    *,
    workers: int,
    concerns_all: Callable[[Exception], bool] = concerns_all_frames,
    promptly: bool = False,
) -> Generator[FrameState]:
    """Put every frame through a stage, in order, several at once.

    An error of the stage fails its frame alone; a frame that has failed already is passed on
    untouched.

    Args:
        concerns_all: returns True for an error that is raised instead, since it ends the run.
        promptly: see `ordered_map`.
    """

    return ordered_map(
        lambda state: failing_alone(stage, state, concerns_all),
        states,
        workers=workers,
        promptly=promptly,
    )


def failing_alone(
    stage: Callable[[FrameState], None],
    state: FrameState,
    concerns_all: Callable[[Exception], bool],
) -> FrameState:
    """Put one frame through a stage, see `for_each_frame`, and return it."""
    if state.error is None:
        try:
            stage(state)
        except Exception as error:
            if concerns_all(error):
                raise
            state.fail(error)
    return state


def by_number(states: Iterable[FrameState]) -> Iterator[list[FrameState]]:
    """Yield the states of one number together."""
    for _, group in groupby(states, key=lambda state: state.number):
        yield list(group)


def record_of(state: FrameState, output: Path, *, alpha: str | None = None) -> FrameRecord:
    """Return the journal's record of a frame that has passed all stages.

    Args:
        output: the output folder.
        alpha: how its file holds alpha, see `FrameRecord`, unless another one keeps it.
    """
    if state.error is not None or state.path is None:
        return FrameRecord(
            number=state.number,
            fingerprint=state.fingerprint,
            error=str(state.error),
            stats=state.stats,
            stale=None if state.stale is None else state.stale.relative_to(output).as_posix(),
        )
    return FrameRecord(
        number=state.number,
        fingerprint=state.fingerprint,
        file=state.path.relative_to(output).as_posix(),
        size_bytes=state.size_bytes,
        alpha=alpha if state.solved is None else state.solved.alpha,
        solved=None if state.solved is None else state.solved.file,
        solved_bytes=0 if state.solved is None else state.solved.size_bytes,
        stats=state.stats,
    )


def result_of(state: FrameState) -> FrameResult:
    """Return the result of a frame that has passed all stages."""
    return FrameResult(
        number=state.number,
        status="failed" if state.error is not None else "written",
        subject=state.subject or None,
        path=state.path,
        error=state.error,
        stats=state.stats,
        stale=state.stale,
    )
