"""What jobs do: run a shot, matte one frame, matte arrays; in steps, with engines that stay."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vfxmatte.cli.report import JsonReport
from vfxmatte.colour import ColourConfig, to_network
from vfxmatte.common.devices import names_several
from vfxmatte.engines.answers import solve_one
from vfxmatte.engines.base import Engine, EngineSettings, Task
from vfxmatte.errors import OutputError, PlateError, UsageError
from vfxmatte.io.plates import open_plate
from vfxmatte.io.writers import matte_path, write_matte
from vfxmatte.journal.error_log import logged
from vfxmatte.pipeline.picture import matte
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import read_keyframe
from vfxmatte.reporting.pace import Pace
from vfxmatte.reporting.totals import Totals, matte_pattern, suggestion
from vfxmatte.serve.jobs import Job, Steps, Stopped
from vfxmatte.serve.kept import KeptEngines
from vfxmatte.serve.wishes import FrameWish, PixelsWish, RunWish
from vfxmatte.types import FrameResult
from vfxmatte.version import __version__

NO_GPU = (
    "no GPU was found: the mattes are the same, and take many times as long; `vfxmatte info` lists "
    "the devices"
)


class StoppableRun(Run):
    """Can be stopped while the motion is looked for, which may take long before the first frame."""

    def __init__(self, job: Job, wish: RunWish, engine: Engine | None) -> None:
        super().__init__(wish.shot, overwrite=wish.overwrite, engine=engine)
        self._job = job

    def proxies(self, numbers: Sequence[int]) -> Iterator[tuple[int, NDArray[np.uint8] | None]]:
        for pair in super().proxies(numbers):
            self._job.check()
            yield pair


class RunWork:
    """A shot, as `vfxmatte run --json` does it: the same events, the same files."""

    def __init__(self, wish: RunWish, engines: KeptEngines) -> None:
        self.wish, self.engines = wish, engines
        self.pace = Pace()
        self.results: dict[int, FrameResult] = {}
        self.device: str | None = None
        self.mattes: str | None = None

    def steps(self, job: Job) -> Steps:
        """Returns what the `totals` event holds.

        Raises VfxmatteError: what ended the run; its events have been told then.
        """
        report = JsonReport(job.emit)
        interrupted = False
        try:
            with ExitStack() as open_things:
                run = open_things.enter_context(StoppableRun(job, self.wish, None))
                self._announce(job, run, report)
                run.engine = self._engine(open_things)
                self._look_at_device(run.engine, report)
                yield
                yield from self._frames(job, run, report)
        except Stopped:
            interrupted = True
        except Exception as error:
            failure = logged(error, self.wish.shot.output)
            report.error(failure)
            report.end(self._totals(interrupted=False))
            if failure is error:
                raise
            raise failure from error
        totals = self._totals(interrupted)
        report.end(totals)
        return totals.as_dict()

    def _announce(self, job: Job, run: Run, report: JsonReport) -> None:
        job.count = len(run.plan.numbers) + len(run.plan.skipped)
        output = run.settings.output
        suffix = matte_path(run.shot.output, 0, output).suffix
        self._pattern = matte_pattern(run.shot.output, run.plate.info.padding, suffix)
        report.start(run)
        for text in run.check_keyframes():
            report.note(text)

    def _engine(self, open_things: ExitStack) -> Engine | None:
        """None for several devices: the run starts a process for each."""
        settings = self.wish.shot.settings.engine
        if names_several(settings.device):
            return None
        return open_things.enter_context(self.engines.use(settings))

    def _look_at_device(self, engine: Engine | None, report: JsonReport) -> None:
        if engine is None:
            return
        self.device = engine.device
        if self.wish.shot.settings.engine.device == "auto" and engine.device == "cpu":
            report.note(NO_GPU)

    def _frames(self, job: Job, run: Run, report: JsonReport) -> Iterator[None]:
        lost = 0
        with closing(run.frames()) as frames:  # type: ignore[type-var]
            for result in frames:
                self.device = run.device or self.device
                for text in run.lost_devices[lost:]:
                    report.note(text)
                lost = len(run.lost_devices)
                self._add(result)
                job.done = self.pace.frames
                report.frame(result, self.pace)
                yield

    def _add(self, result: FrameResult) -> None:
        self.mattes = self._pattern if result.path else self.mattes
        self.results[result.number] = result
        self.pace.add(result)

    def _totals(self, interrupted: bool) -> Totals:
        return Totals.of(
            self.pace,
            device=self.device,
            mattes=self.mattes,
            interrupted=interrupted,
            **suggestion(self.results.values()),
        )


def frame_steps(wish: FrameWish, engines: KeptEngines, job: Job) -> Steps:
    """One frame from files; returns path, device, elapsed_ms."""
    started = time.monotonic()
    _refuse_existing(wish.output, wish.overwrite)
    settings = _with_format_of(wish.settings, wish.output)
    colours = ColourConfig.load(settings.ocio)
    with open_plate(
        wish.plate,
        layer=settings.layer,
        part=settings.part,
        colour_space=settings.colorspace,
        config=colours,
    ) as plate:
        if len(plate.info.numbers) != 1:
            raise PlateError("one picture is wanted, this is more", path=wish.plate)
        frame = plate.read(plate.info.numbers[0])
        trimap = read_keyframe(wish.trimap, frame.number, plate.info, settings.keyframe_growth)
    yield
    with _one_engine(settings.engine, engines) as engine:
        task = Task(image=to_network(frame, colours), trimap=trimap)
        solved = solve_one(engine, task)
        told = {"device": engine.device}
        attributes = {
            "vfxmatte/version": __version__,
            "vfxmatte/colorspace": frame.colour_space,
            **{f"vfxmatte/{name}": str(value) for name, value in engine.describe().items()},
        }
    job.check()
    _refuse_existing(wish.output, wish.overwrite)
    output = replace(settings.output, attributes={**attributes, **settings.output.attributes})
    path = write_matte(solved, frame, output, wish.output)
    return {"path": str(path), **told, "elapsed_ms": _since(started)}


def pixels_steps(wish: PixelsWish, engines: KeptEngines, job: Job) -> Steps:
    """One frame from arrays into an array; returns device, elapsed_ms."""
    started = time.monotonic()
    image, trimap = wish.image.read(), wish.trimap.read()
    yield
    settings = wish.settings
    with _one_engine(settings.engine, engines) as engine:
        alpha = matte(
            image, trimap, colorspace=str(settings.colorspace), engine=engine, ocio=settings.ocio
        )
        device = engine.device
    job.check()
    wish.alpha.write(alpha)
    return {"device": device, "elapsed_ms": _since(started)}


def _one_engine(settings: EngineSettings, engines: KeptEngines) -> Any:
    if names_several(settings.device):
        raise UsageError("one frame is solved on one device", hint="name one, e.g. cuda:0")
    return engines.use(settings)


def _refuse_existing(output: Path, overwrite: bool) -> None:
    if output.exists() and (not overwrite or not output.is_file()):
        raise OutputError("there is such a file already", path=output, hint="ask to overwrite it")


def _with_format_of(settings: RunSettings, output: Path) -> RunSettings:
    """The format that the file's name says; raises OutputError."""
    formats = {".exr": "exr", ".png": "png", ".tif": "tiff", ".tiff": "tiff"}
    found = formats.get(output.suffix.lower())
    if found is None:
        raise OutputError(
            f"a matte cannot be written as {output.suffix or output.name}",
            path=output,
            hint="call it NAME.exr, NAME.png or NAME.tif",
        )
    return replace(settings, output=replace(settings.output, format=found))  # type: ignore[arg-type]


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
