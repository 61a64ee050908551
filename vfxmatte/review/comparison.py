"""A comparison of engines on the same frames and trimaps: time, errors, and differences.

Trimaps are propagated once; engines solve each frame in turn, so that each is timed alone. The
mattes of two frames are in memory at a time, and the details for the sheet.
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
from vfxmatte.engines.protocol import Engine, Task
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import UsageError, VfxmatteError, as_foreseen, concerns_all_frames
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.sequence import FrameSequence
from vfxmatte.pipeline.run import Run
from vfxmatte.review.detail_sheet import TRUTH, Detail, Place, find_places
from vfxmatte.review.metrics import MatteErrors, dtssd, matte_errors
from vfxmatte.types import UNKNOWN, Failure, FloatImage, Frame, Labels, Trimap

_WARM_UP_PX = 48


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of one engine on one frame."""

    engine: str
    """Name of the engine."""
    number: int
    """Frame number."""
    elapsed_ms: float
    """Time to solve the frame."""
    errors: MatteErrors | None = None
    """Errors against the truth, if it is known."""
    dtssd: float | None = None
    """Error of the step to the next frame number; None without that frame or its truth."""
    stats: Mapping[str, float] = field(default_factory=dict)
    """The engine's statistics."""
    error: VfxmatteError | None = None
    """Reason for a missing matte."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The results of one engine over all frames; None where no frame has a value."""

    engine: str
    """Name of the engine."""
    device: str
    """Device of the engine."""
    described: Mapping[str, Any]
    """The engine's description of itself."""
    frames: int
    """Number of frames."""
    failed: int
    """Number of frames without a matte."""
    median_ms: float | None
    """Median time of a frame."""
    errors: MatteErrors | None
    """Mean errors."""
    dtssd: float | None
    """Mean dtSSD."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Frame:
    number: int
    labels: Labels
    truth: FloatImage | None
    mattes: Mapping[str, FloatImage]


class Comparison:
    """Solves a shot's frames with several engines; a context manager that closes them."""

    def __init__(
        self, run: Run, names: Sequence[str], alpha: FrameSequence | None, *, details: int = 4
    ) -> None:
        """Open the engines.

        Args:
            run: a prepared run, of which plate, plan and settings are used.
            names: names of the engines.
            alpha: the true alpha, if known.
            details: number of places to collect for the sheet.
        Raises:
            UsageError: an engine is named twice or unknown. Errors of opening an engine.
        """
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
        """Yield each frame's outcomes, ascending, once its successor is solved.

        A frame that cannot be read or solved is an outcome with an error; raises VfxmatteError for
        errors that concern all frames.
        """
        for engine in self.engines.values():
            _warm_up(engine)
        waiting: list[Outcome] = []
        before: _Frame | None = None
        with closing(self.run.carried()) as trimaps:
            for trimap in trimaps:
                try:
                    outcomes, frame = self._frame(trimap)
                except BaseException:  # keep the outcomes of the frame before
                    self.outcomes += waiting
                    raise
                if waiting:
                    yield self._finish(waiting, before, frame)
                waiting, before = outcomes, frame
        if waiting:
            yield self._finish(waiting, None, None)

    def summaries(self) -> list[Summary]:
        """Return a summary of the frames so far for each engine."""
        return [self._summary(name, engine) for name, engine in self.engines.items()]

    def _finish(
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
            failure = self._located(error, number)
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

    def _located(self, error: Exception, number: int) -> VfxmatteError:
        """Add shot, frame and path to an error; raises errors that concern all frames."""
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
            failure = self._located(error, task.number)
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

    # -- details for the sheet --------------------------------------------------------------------

    def _keep_details(self, plate: Frame, frame: _Frame) -> None:
        """Collect the frame's best places, if they are among the best of all frames."""
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
        """Return True for a better score; overlapping places of all frames count as one."""
        scores = [d.place.score for d in self.details if d.place.overlaps(place)]
        if scores:
            return place.score > max(scores)
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
    """Solve a tiny frame, so that compilation and loading are not timed."""
    side = _WARM_UP_PX
    labels = np.full((side, side), UNKNOWN, np.uint8)
    labels[:, : side // 3], labels[:, -side // 3 :] = 0, 255
    image = np.linspace(0, 1, side * side * 3, dtype=np.float32).reshape(side, side, 3)
    trimap = Trimap(number=0, labels=labels, is_keyframe=True)
    for _ in answers(engine, [Task(image=image, trimap=trimap)]):
        pass  # errors show in the shot's frames


def _cut(place: Place, linear: FloatImage, frame: _Frame) -> Detail:
    """Copy a place, so that the frame can be released."""
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
    """Return the dtSSD of two consecutive frames, if both have a matte and a truth."""
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
