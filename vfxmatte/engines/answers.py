"""One answer per task, in order, whatever an engine does: a matte, or a failure."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator

from vfxmatte.common.parallel import close
from vfxmatte.engines.protocol import Engine, Task
from vfxmatte.errors import DeviceError, SolveError, VfxmatteError, concerns_all_frames
from vfxmatte.types import Failure, Matte

Answer = Matte | Failure


def answers(engine: Engine, tasks: Iterable[Task]) -> Generator[Answer]:
    """Solve tasks with an engine: exactly one answer per task, in order.

    Where the engine raises, ends early or gives a wrong answer, the frames in progress are solved
    again one by one, so that only the faulty one fails, and the engine continues with later tasks.

    Raises:
        Exception: an error that concerns all frames, or one that `tasks` itself raised.
    """
    feed = _Feed(tasks)
    try:
        while not feed.is_over:
            yield from _until_it_fails(engine, feed)
            feed.take_one()  # an engine may have ended without taking any
            while feed.waiting:
                yield _alone(engine, feed.waiting.popleft())
    finally:
        close(tasks)


def failure_of(task: Task, error: Exception) -> Failure:
    """Return the failure of a task whose solving raised `error`; re-raise what concerns all."""
    _raise_shared(error)
    return Failure(number=task.number, error=error)


def solve_one(engine: Engine, task: Task) -> Matte:
    """Solve a single task; raises the engine's error."""
    answer = _alone(engine, task)
    if isinstance(answer, Failure):
        raise answer.error
    return answer


class _Feed:
    """The tasks that the engine has taken and not answered yet, and whether more will come."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = iter(tasks)
        self.waiting: deque[Task] = deque()
        self.is_over = False
        self.error: Exception | None = None

    def taken(self) -> Iterator[Task]:
        try:
            for task in self._tasks:
                self.waiting.append(task)
                yield task
        except Exception as error:
            self.error = error
            raise
        self.is_over = True

    def take_one(self) -> None:
        """Take a task, unless all have been taken."""
        if not self.is_over:
            next(self.taken(), None)


def _until_it_fails(engine: Engine, feed: _Feed) -> Iterator[Answer]:
    """Yield answers until the engine ends, raises, or gives a wrong one."""
    mattes: Iterator[Answer] = iter(())
    try:
        mattes = iter(engine.mattes(feed.taken()))
        for answer in mattes:
            if not feed.waiting or not _answers(answer, feed.waiting[0]):
                break
            feed.waiting.popleft()
            yield answer
    except Exception as error:
        if feed.error is not None:
            raise feed.error from feed.error.__cause__
        _raise_shared(error)
        if len(feed.waiting) == 1:  # no other frame can be at fault
            yield failure_of(feed.waiting.popleft(), error)
    finally:
        close(mattes)


def _alone(engine: Engine, task: Task) -> Answer:
    """Solve one task by itself: any error is this frame's."""
    try:
        mattes = list(engine.mattes([task]))
    except Exception as error:
        return failure_of(task, error)
    if len(mattes) == 1 and _answers(mattes[0], task):
        return mattes[0]
    what = f"the engine gave {_in_words(mattes)} for this frame"
    return Failure(number=task.number, error=SolveError(what, frame=task.number))


def _answers(answer: object, task: Task) -> bool:
    """Return True if this is an answer to the task; re-raise what concerns all frames."""
    if isinstance(answer, Failure):
        _raise_shared(answer.error)
        return answer.number == task.number
    if not isinstance(answer, Matte) or answer.number != task.number:
        return False
    return answer.alpha.shape == task.trimap.labels.shape


def _in_words(mattes: list[Answer]) -> str:
    if len(mattes) != 1:
        return f"{len(mattes) or 'no'} mattes"
    if not isinstance(mattes[0], Matte):
        return "something that is no matte"
    height, width = mattes[0].alpha.shape
    return f"the matte of another frame or size ({mattes[0].number}, {width}x{height})"


def _raise_shared(error: Exception) -> None:
    """Re-raise an error that concerns all frames; a failed GPU as a DeviceError."""
    if concerns_all_frames(error):
        raise error
    if not isinstance(error, VfxmatteError) and (
        "CUDA error" in str(error) or type(error).__name__ == "AcceleratorError"
    ):
        first_line = (str(error).strip().splitlines() or ["no word of why"])[0]
        raise DeviceError(
            f"the GPU failed: {first_line}",
            hint="finished frames are kept: run again when the GPU is back, or with --device cpu",
        ) from error
