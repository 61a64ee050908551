"""Several engines on the same frames with the same trimaps: time, errors, and where they differ.

Trimaps are carried through time once; every engine gets each frame alone, so that its time is its
own. Holds the mattes of two frames at a time, and the details that are shown at the end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import numpy as np

from vfxmatte.colour import to_network
from vfxmatte.engines.answers import answers, solve_one
from vfxmatte.engines.base import Engine, Task, open_engine
from vfxmatte.errors import UsageError, VfxmatteError, as_foreseen, concerns_all_frames
from vfxmatte.io.sequence import FrameSequence
from vfxmatte.io.writers import read_matte
from vfxmatte.pipeline.run import Run
from vfxmatte.review.detail_sheet import TRUTH, Detail, Place, find_places
from vfxmatte.review.metrics import MatteErrors, dtssd, matte_errors
from vfxmatte.types import UNKNOWN, Failure, FloatImage, Frame, Labels, Trimap

_WARM_UP_PX = 48


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one engine made of one frame.

    errors: against the truth, where that is known. dtssd: of the step from this frame to the next
    number; None where there is no such frame or no truth. error: why there is no matte.
    """

    engine: str
    number: int
    elapsed_ms: float
    errors: MatteErrors | None = None
    dtssd: float | None = None
    stats: Mapping[str, float] = field(default_factory=dict)
    error: VfxmatteError | None = None


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One engine over all frames: medians of the time, means of the errors."""

    engine: str
    device: str
    described: Mapping[str, Any]
    frames: int
    failed: int
    median_ms: float | None
    errors: MatteErrors | None
    dtssd: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class _Frame:
    number: int
    labels: Labels
    truth: FloatImage | None
    mattes: Mapping[str, FloatImage]


class Comparison:
    """Engines over a shot's frames; a context manager that opens them.

    run: prepared; its plate, plan and settings are used, nothing is written.
    alpha: the true alpha, or None. details: how many places to keep for the sheet.
    """

    def __init__(
        self, run: Run, names: Sequence[str], alpha: FrameSequence | None, *, details: int = 4
    ) -> None:
        """Raises UsageError for an engine that is asked for twice or that there is not, and
        whatever opening one raises."""
        if len(set(names)) < len(names):
            raise UsageError(f"an engine is asked for twice: {', '.join(names)}")
        self.run, self.alpha, self.count = run, alpha, details
        self.outcomes: list[Outcome] = []
        self.details: list[Detail] = []
        self._stack = ExitStack()
        self.engines: dict[str, Engine] = {}
        try:
            for name in names:
                self.engines[name] = open_engine(replace(run.settings.engine, name=name))
                self._stack.callback(self.engines[name].close)
        except VfxmatteError:
            self._stack.close()
            raise

    def __enter__(self) -> Comparison:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def frames(self) -> Iterator[list[Outcome]]:
        """Each frame's outcomes, ascending, when its successor is known; all in `outcomes` too.

        A frame that cannot be read, or that an engine cannot solve, is an outcome with an error;
        raises VfxmatteError for what concerns all frames."""
        for engine in self.engines.values():
            _warm_up(engine)
        waiting: list[Outcome] = []
        before: _Frame | None = None
        with closing(self.run.carried()) as trimaps:
            for trimap in trimaps:
                try:
                    outcomes, frame = self._frame(trimap)
                except BaseException:  # what is known of the frame before is not lost
                    self.outcomes += waiting
                    raise
                if waiting:
                    yield self._done(waiting, before, frame)
                waiting, before = outcomes, frame
        if waiting:
            yield self._done(waiting, None, None)

    def summaries(self) -> list[Summary]:
        """Of the frames so far, in the order in which the engines were named."""
        return [self._summary(name, engine) for name, engine in self.engines.items()]

    def _done(
        self, outcomes: list[Outcome], before: _Frame | None, after: _Frame | None
    ) -> list[Outcome]:
        done = [replace(one, dtssd=_step(one.engine, before, after)) for one in outcomes]
        self.outcomes += done
        return done

    def _frame(self, trimap: Trimap | Failure) -> tuple[list[Outcome], _Frame | None]:
        number = trimap.number
        try:
            if isinstance(trimap, Failure):
                raise trimap.error
            plate = self.run.plate.read(self.run.plan.sources[number])
            task = Task(image=to_network(plate, self.run.colours), trimap=trimap)
            truth = self._truth(number)
        except Exception as error:
            failure = self._named(error, number)
            failed = [
                Outcome(engine=name, number=number, elapsed_ms=0.0, error=failure)
                for name in self.engines
            ]
            return failed, None
        solved = [self._solve(name, task, truth) for name in self.engines]
        mattes = {one.engine: alpha for one, alpha in solved if alpha is not None}
        frame = _Frame(number=number, labels=trimap.labels, truth=truth, mattes=mattes)
        self._keep_details(plate, frame)
        return [one for one, _ in solved], frame

    def _named(self, error: Exception, number: int) -> VfxmatteError:
        """A frame's error with its place; raises what concerns all frames again."""
        if concerns_all_frames(error):
            raise error
        path = self.run.plate.path(self.run.plan.sources[number])
        return as_foreseen(error).at(shot=self.run.shot.name, frame=number, path=path)

    def _truth(self, number: int) -> FloatImage | None:
        if self.alpha is None or number not in self.alpha.numbers:
            return None
        return read_matte(self.alpha.existing_path(number), self.run.plate.info.canvas)

    def _solve(
        self, name: str, task: Task, truth: FloatImage | None
    ) -> tuple[Outcome, FloatImage | None]:
        started = time.perf_counter()
        try:
            matte = solve_one(self.engines[name], task)
        except Exception as error:
            failure = self._named(error, task.number)
            spent = (time.perf_counter() - started) * 1000
            return Outcome(engine=name, number=task.number, elapsed_ms=spent, error=failure), None
        outcome = Outcome(
            engine=name,
            number=task.number,
            elapsed_ms=(time.perf_counter() - started) * 1000,
            errors=None if truth is None else matte_errors(matte.alpha, truth, task.trimap.labels),
            stats=matte.stats,
        )
        return outcome, matte.alpha

    # -- what is shown ----------------------------------------------------------------------------

    def _keep_details(self, plate: Frame, frame: _Frame) -> None:
        """The frame's best places take their turn among the best of all frames."""
        compared = [alpha for name, alpha in frame.mattes.items() if name != "trimap"]
        compared = compared or list(frame.mattes.values())
        if not compared or self.count == 0:
            return
        linear = None
        for place in find_places(frame.number, compared, frame.labels, self.count):
            if self._has_room(place):
                linear = self._linear(plate) if linear is None else linear
                self.details = [d for d in self.details if not d.place.overlaps(place)]
                self.details.append(_cut(place, linear, frame))
                self.details.sort(key=lambda detail: -detail.place.score)
                del self.details[self.count :]

    def _has_room(self, place: Place) -> bool:
        """One corner of the picture is shown once, in the frame where there is most to see."""
        like = [d.place.score for d in self.details if d.place.overlaps(place)]
        if like:
            return place.score > max(like)
        return len(self.details) < self.count or place.score > self.details[-1].place.score

    def _linear(self, plate: Frame) -> FloatImage:
        linear = self.run.colours.to_linear_rec709(plate.pixels, plate.colour_space)
        return np.nan_to_num(linear, copy=False, nan=0.0, posinf=65504.0, neginf=0.0)

    def _summary(self, name: str, engine: Engine) -> Summary:
        own = [one for one in self.outcomes if one.engine == name]
        good = [one for one in own if one.error is None]
        errors = [one.errors for one in good if one.errors is not None]
        steps = [one.dtssd for one in good if one.dtssd is not None]
        return Summary(
            engine=name,
            device=engine.device,
            described=dict(engine.describe()),
            frames=len(own),
            failed=len(own) - len(good),
            median_ms=median(one.elapsed_ms for one in good) if good else None,
            errors=MatteErrors.mean(errors) if errors else None,
            dtssd=float(np.mean(steps)) if steps else None,
        )


def _warm_up(engine: Engine) -> None:
    """What is compiled or loaded for the first frame shall not count as the first frame's time."""
    side = _WARM_UP_PX
    labels = np.full((side, side), UNKNOWN, np.uint8)
    labels[:, : side // 3], labels[:, -side // 3 :] = 0, 255
    image = np.linspace(0, 1, side * side * 3, dtype=np.float32).reshape(side, side, 3)
    trimap = Trimap(number=0, labels=labels, is_keyframe=True)
    for _ in answers(engine, [Task(image=image, trimap=trimap)]):
        pass  # whether it can be solved, a frame of the shot will tell


def _cut(place: Place, linear: FloatImage, frame: _Frame) -> Detail:
    """Copies, so that the frame itself can go."""
    mattes = {name: alpha[place.slices].copy() for name, alpha in frame.mattes.items()}
    if frame.truth is not None:
        mattes[TRUTH] = frame.truth[place.slices].copy()
    return Detail(
        place=place,
        linear=linear[place.slices].copy(),
        labels=frame.labels[place.slices].copy(),
        mattes=mattes,
    )


def _step(engine: str, before: _Frame | None, after: _Frame | None) -> float | None:
    """dtSSD from a frame to the one that follows it at once."""
    if before is None or after is None or after.number != before.number + 1:
        return None
    if before.truth is None or after.truth is None:
        return None
    if engine not in before.mattes or engine not in after.mattes:
        return None
    return dtssd(
        (before.mattes[engine], after.mattes[engine]),
        (before.truth, after.truth),
        (before.labels, after.labels),
    )
