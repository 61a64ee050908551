"""The work of jobs, in steps: run a shot, matte one frame from files, matte arrays."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from vfxmatte.colour import ColourConfig, to_network
from vfxmatte.common.devices import names_several
from vfxmatte.engines.answers import solve_one
from vfxmatte.engines.protocol import Engine, EngineSettings, Task
from vfxmatte.errors import PlateError, UsageError
from vfxmatte.foreground.planes import PlaneMaker
from vfxmatte.io.overwriting import refuse_existing
from vfxmatte.io.plates import open_plate
from vfxmatte.io.result_names import format_of
from vfxmatte.io.writers import alpha_as_written, write_matte
from vfxmatte.pipeline.controls import with_edges
from vfxmatte.pipeline.edges import shaped
from vfxmatte.pipeline.keyframes import read_keyframe
from vfxmatte.pipeline.limits import LimitMattes
from vfxmatte.pipeline.manifest import foreground_attributes
from vfxmatte.pipeline.picture import limits_from, matte
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot_folder import SIDE_FOLDERS
from vfxmatte.pipeline.subjects_run import AnyRun
from vfxmatte.reporting.events import JsonReport
from vfxmatte.reporting.pace import Pace
from vfxmatte.reporting.session import RunSession
from vfxmatte.serve.engine_cache import EngineCache
from vfxmatte.serve.jobs import Job, Steps, Stopped
from vfxmatte.serve.requests import FrameRequest, PixelsRequest, RunRequest
from vfxmatte.types import FrameResult
from vfxmatte.version import __version__

NO_GPU = (
    "no GPU was found: the mattes are the same, and take many times as long; `vfxmatte info` lists "
    "the devices"
)


class _JobReport(JsonReport):
    """The JSON events of a job, which also keeps the job's frame counts up to date."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.emit)
        self._job = job

    def start(self, run: AnyRun) -> None:
        self._job.count = run.count
        super().start(run)

    def frame(self, result: FrameResult, pace: Pace) -> None:
        self._job.done = pace.frames
        super().frame(result, pace)


def run_steps(request: RunRequest, engines: EngineCache, job: Job) -> Steps:
    """Run a shot with the events and files of `vfxmatte run --json`; returns the totals.

    Raises VfxmatteError: what ended the run; it has been reported as an event.
    """
    report = _JobReport(job)

    @contextmanager
    def lend(settings: EngineSettings) -> Iterator[Engine | None]:
        with engines.lend(settings) as engine:
            if engine is not None and settings.device == "auto" and engine.device == "cpu":
                report.note(NO_GPU)
            yield engine

    session = RunSession(report, engine=lend, stop=Stopped, check_stopped=job.check)
    totals = yield from session.steps(lambda: request.shot, overwrite=request.overwrite)
    if session.failure is not None:
        raise session.failure
    return totals.as_dict()


def frame_steps(request: FrameRequest, engines: EngineCache, job: Job) -> Steps:
    """Matte one frame from files; return path, device, elapsed_ms."""
    started = time.monotonic()
    _refuse_files(request.settings, ("keys", "cleanplate"))
    _refuse_existing(request.output, request.overwrite)
    settings = request.settings
    output = replace(settings.output, format=format_of(request.output))
    colours = ColourConfig.load(settings.ocio)
    with open_plate(
        request.plate,
        layer=settings.layer,
        part=settings.part,
        colour_space=settings.colorspace,
        config=colours,
    ) as plate:
        if len(plate.info.numbers) != 1:
            raise PlateError("one picture is wanted, this is more", path=request.plate)
        frame = plate.read(plate.info.numbers[0])
        trimap = read_keyframe(request.trimap, frame.number, plate.info, settings.keyframe_growth)
        with closing(LimitMattes.find(vars(settings), plate.info)) as mattes:
            limits = mattes.read(frame.number)
    yield
    with _one_engine(settings.engine, engines) as engine:
        trimap = replace(trimap, labels=limits.labels(trimap.labels))
        task = Task(image=to_network(frame, colours), trimap=trimap)
        solved = solve_one(engine, task)
        device = engine.device
        attributes = {
            "vfxmatte/version": __version__,
            "vfxmatte/colorspace": frame.colour_space,
            **foreground_attributes(output, frame.colour_space, colours),
            **{f"vfxmatte/{name}": str(value) for name, value in engine.describe().items()},
        }
    job.check()
    _refuse_existing(request.output, request.overwrite)
    output = replace(output, attributes={**attributes, **output.attributes})
    solved = replace(solved, alpha=limits.alpha(solved.alpha))
    if not settings.matte.is_neutral:
        solved = with_edges(solved, frame, settings.matte, output)
        solved = replace(solved, alpha=limits.alpha(solved.alpha))
    maker = PlaneMaker(settings=output, colours=colours, device=device)
    planes = maker.planes(frame, alpha_as_written(solved.alpha, output), trimap)
    path = write_matte(solved, frame, output, request.output, planes=planes)
    return {"path": str(path), "device": device, "elapsed_ms": _since(started)}


def pixels_steps(request: PixelsRequest, engines: EngineCache, job: Job) -> Steps:
    """Matte one frame from arrays into an array; return device, elapsed_ms."""
    started = time.monotonic()
    _refuse_files(request.settings, SIDE_FOLDERS)
    image, trimap = request.image.read(), request.trimap.read()
    limits = limits_from(
        image.shape[:2],
        garbage=None if request.garbage is None else request.garbage.read(),
        core=None if request.core is None else request.core.read(),
    )
    yield
    settings = request.settings
    with _one_engine(settings.engine, engines) as engine:
        alpha = matte(
            image,
            trimap,
            colorspace=str(settings.colorspace),
            engine=engine,
            ocio=settings.ocio,
            garbage=limits.garbage,
            core=limits.core,
        )
        device = engine.device
    job.check()
    if not settings.matte.is_neutral:
        alpha = limits.alpha(shaped(alpha, settings.matte))
    request.alpha.write(alpha)
    return {"device": device, "elapsed_ms": _since(started)}


def _one_engine(settings: EngineSettings, engines: EngineCache) -> Any:
    if names_several(settings.device):
        raise UsageError("one frame is solved on one device", hint="name one, e.g. cuda:0")
    return engines.use(settings)


def _refuse_files(settings: RunSettings, names: Sequence[str]) -> None:
    """Raise UsageError for files that belong to a shot, or at least to a plate on disk."""
    refused = [name for name in names if getattr(settings, name) is not None]
    if refused:
        raise UsageError(f"{' and '.join(refused)} cannot go with one picture", hint="run a shot")


def _refuse_existing(output: Path, overwrite: bool) -> None:
    refuse_existing(
        [output],
        overwrite=overwrite and output.is_file(),
        message="there is such a file already",
        hint="ask to overwrite it",
    )


def _since(started: float) -> float:
    return round((time.monotonic() - started) * 1000, 1)
