"""One answer for each task, in order, whatever an engine does: its matte, or why there is none."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator

from vfxmatte.common.parallel import close
from vfxmatte.engines.base import Engine, Task
from vfxmatte.errors import DeviceError, SolveError, VfxmatteError, concerns_all_frames
from vfxmatte.types import Failure, Matte

Answer = Matte | Failure


def answers(engine: Engine, tasks: Iterable[Task]) -> Generator[Answer]:
    """Feed the engine, and give exactly one answer per task, in the tasks' order.

    An engine that raises has lost what it had under way. What concerns all frames is raised
    again, and so is what `tasks` itself raises; else the frame at fault fails, the other frames
    under way are given to the engine again, one by one, and it goes on with the tasks to come. So
    does an engine that ends too early or answers what it was not asked.
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
    """What an engine gives for a task whose solving has raised this.

    Raises again what concerns all frames.
    """
    _raise_shared(error)
    return Failure(number=task.number, error=error)


def solve_one(engine: Engine, task: Task) -> Matte:
    """The matte of a single task; raises the engine's error where there is none."""
    answer = _alone(engine, task)
    if isinstance(answer, Failure):
        raise answer.error
    return answer


class _Feed:
    """Tasks that the engine has taken and not answered yet, and whether more will come."""

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
    """Answers as they come, until the engine ends, raises, or answers something else."""
    given: Iterator[Answer] = iter(())
    try:
        given = iter(engine.mattes(feed.taken()))
        for answer in given:
            if not feed.waiting or not _answers(answer, feed.waiting[0]):
                break
            feed.waiting.popleft()
            yield answer
    except Exception as error:
        if feed.error is not None:
            raise feed.error from feed.error.__cause__
        _raise_shared(error)
        if len(feed.waiting) == 1:  # no other frame can be meant
            yield failure_of(feed.waiting.popleft(), error)
    finally:
        close(given)


def _alone(engine: Engine, task: Task) -> Answer:
    """The answer to one task, given by itself: whatever is raised is this frame's."""
    try:
        found = list(engine.mattes([task]))
    except Exception as error:
        return failure_of(task, error)
    if len(found) == 1 and _answers(found[0], task):
        return found[0]
    what = f"the engine gave {_in_words(found)} for this frame"
    return Failure(number=task.number, error=SolveError(what, frame=task.number))


def _answers(answer: object, task: Task) -> bool:
    """Whether it is the answer to this task."""
    if isinstance(answer, Failure):
        _raise_shared(answer.error)
        return answer.number == task.number
    if not isinstance(answer, Matte) or answer.number != task.number:
        return False
    return answer.alpha.shape == task.trimap.labels.shape


def _in_words(found: list[Answer]) -> str:
    if len(found) != 1:
        return f"{len(found) or 'no'} mattes"
    if not isinstance(found[0], Matte):
        return "something that is no matte"
    height, width = found[0].alpha.shape
    return f"the matte of another frame or size ({found[0].number}, {width}x{height})"


def _raise_shared(error: Exception) -> None:
    """Raise again what concerns all frames."""
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
