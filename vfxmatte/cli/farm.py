"""`vfxmatte farm`: a shot as a job for a render farm."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from vfxmatte.cli.cut_options import CutSource, cut_options, refuse_cut_options
from vfxmatte.cli.group import NOTHING_DONE, SOME_FAILED
from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.shot_options import job_shot_options, settings_names, shot_of
from vfxmatte.common.devices import device_names, names_several
from vfxmatte.editorial.cut import CutShot
from vfxmatte.errors import UsageError, VfxmatteError
from vfxmatte.farm.bundle import openjd_files, write_bundle
from vfxmatte.farm.job import FarmJob, JobPath
from vfxmatte.farm.opencue_spec import spec, this_user
from vfxmatte.farm.options import settings_options
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.shot import SETTINGS_FILE, Shot
from vfxmatte.types import FrameRange, Frames, frames_of

# What the template itself says, by parameter or by step.
_SAID_OTHERWISE = frozenset({"frames", "ocio", "weights", "device"})
_OF_SETTINGS = frozenset(settings_names()) - _SAID_OTHERWISE


@click.command()
@job_shot_options
@click.option(
    "--cut",
    "cut_file",
    type=PathOption(exists=True, dir_okay=False),
    help="Instead of SHOT: every shot of this cut (OpenTimelineIO, EDL); a job for each.",
)
@cut_options
@click.option(
    "-o", "--job", "bundle", type=PathOption(), required=True, help="Folder for the job bundle."
)
@click.option("--chunk", "chunk_size", type=int, default=50, help="Frames a chunk [50].")
@click.option(
    "--chunk-seconds",
    type=int,
    default=0,
    help="How long a chunk shall take: the scheduler fits the frames a chunk [0: as --chunk].",
)
@click.option("--no-chunking", is_flag=True, help="For schedulers without TASK_CHUNKING.")
@click.option("--gpus", type=int, help="GPUs that a worker must have [those of --device, else 1].")
@click.option("--memory", type=float, default=16.0, help="GiB that a worker must have [16].")
@click.option("--vfxmatte", "command", default="vfxmatte", help="How workers call vfxmatte.")
@click.option("--conda-packages", default="", help="For workers whose scheduler makes conda's.")
@click.option("--conda-channels", default="", help="Where these packages come from.")
@click.option(
    "--scheduler",
    type=click.Choice(["openjd", "opencue"]),
    default="openjd",
    help="Open Job Description, or OpenCue's job specification [openjd].",
)
@click.option("--show", default="", help="The show that OpenCue counts the job to.")
@click.option("--overwrite", is_flag=True, help="Replace another job in that folder.")
def farm(
    cut_file: Path | None,
    bundle: Path,
    no_chunking: bool,
    scheduler: str,
    show: str,
    overwrite: bool,
    **values: Any,
) -> None:
    """Write SHOT as a job for a farm: chunks of frames, then merge and verify.

    \b
    vfxmatte farm shots/creature -o jobs/creature
    deadline bundle submit jobs/creature
    openjd run jobs/creature/template.json -p file://jobs/creature/openjd_parameters.json
    vfxmatte farm --cut cut.otio --trimaps keys --output mattes -o jobs

    With --scheduler opencue it writes jobs/creature/opencue.xml instead. Of a cut each shot becomes
    a job in jobs/NAME/, with the frames that the cut shows.

    The shot's options are those of `run`; workers get them as they are, and paths as parameters
    that the scheduler maps. Nothing is solved here.
    """

    def files(job: FarmJob) -> dict[str, str]:
        if scheduler == "opencue":
            return {"opencue.xml": spec(job, this_user(show))}
        return openjd_files(job, chunking=not no_chunking)

    problems: list[VfxmatteError] = []
    if cut_file is None:
        refuse_cut_options(values)
        jobs = {bundle: _job_of_shot(values)}
    else:
        jobs, problems = _jobs_of_cut(cut_file, bundle, values)
    written = {folder: files(job) for folder, job in jobs.items()}
    for folder, texts in written.items():
        for path in write_bundle(folder, texts, overwrite=overwrite):
            click.echo(path)
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    if problems:
        click.get_current_context().exit(SOME_FAILED if jobs else NOTHING_DONE)


def _job_of_shot(values: Mapping[str, Any]) -> FarmJob:
    shot = shot_of(values)
    return _job(
        shot,
        _frames(shot),
        values,
        paths=_paths(values, shot),
        options=_options(values),
        reads=_reads(values["shot"], shot),
    )


def _jobs_of_cut(
    file: Path, bundle: Path, values: Mapping[str, Any]
) -> tuple[dict[Path, FarmJob], list[VfxmatteError]]:
    """A job for each shot by its folder, and why clips and shots have none."""
    clashing = [n for n in ("shot", "plate", "frames") if values[n] is not None]
    if clashing:
        names = " and ".join("SHOT" if n == "shot" else f"--{n}" for n in clashing)
        raise UsageError(
            f"{names} cannot go with --cut", hint="the cut says which shots and frames"
        )
    cut = CutSource.of(file, values).read()
    jobs: dict[Path, FarmJob] = {}
    problems = list(cut.problems)
    for found in cut.shots:
        try:
            jobs[bundle / found.name] = _job_of_cut(found, values)
        except VfxmatteError as error:
            problems.append(error.at(shot=found.name))
    return jobs, problems


def _job_of_cut(found: CutShot, values: Mapping[str, Any]) -> FarmJob:
    """Workers read neither the cut nor a shot.toml: everything stands in the job."""
    frames = frames_of(number for one in found.ranges for number in one)
    (shot, *_) = found.parts()
    shot = replace(shot, settings=replace(shot.settings, frames=frames))
    own = {**values, "plate": str(found.media.plate), "trimaps": found.trimaps}
    return _job(
        shot,
        _frames(shot),
        values,
        paths=_paths(own, shot),
        options=settings_options(shot.settings),
        reads=_reads(None, shot),
    )


def _job(
    shot: Shot,
    frames: Frames,
    values: Mapping[str, Any],
    *,
    paths: Sequence[JobPath],
    options: Sequence[str],
    reads: Sequence[Path],
) -> FarmJob:
    device, gpus = shot.settings.engine.device, values["gpus"]
    return FarmJob(
        name=shot.name,
        frames=frames,
        chunk_size=values["chunk_size"],
        chunk_seconds=values["chunk_seconds"],
        paths=tuple(paths),
        options=tuple(options),
        device=device,
        command=values["command"],
        conda_packages=values["conda_packages"],
        conda_channels=values["conda_channels"],
        gpus=_gpus(device) if gpus is None else gpus,
        memory_gib=values["memory"],
        reads=tuple(reads),
        writes=(_whole(shot.output),),
    )


def _frames(shot: Shot) -> Frames:
    """The range, checked against the plate as a run would."""
    with Run(shot) as run:
        numbers = sorted({*run.plan.numbers, *run.plan.skipped})
        return run.settings.frames or FrameRange(first=numbers[0], last=numbers[-1])


def _gpus(device: str) -> int:
    if names_several(device) and not device.endswith("all"):
        return sum(name != "cpu" for name in device_names(device))
    return 0 if device == "cpu" else 1


def _paths(values: Mapping[str, Any], shot: Shot) -> list[JobPath]:
    """Every path that a worker is told, absolute."""
    found: list[JobPath] = []

    def add(name: str, option: str | None, path: Path | None, label: str) -> None:
        if path is not None:
            path = _whole(path)
            kind = "DIRECTORY" if path.is_dir() or name == "Output" else "FILE"
            flow = "INOUT" if name == "Output" else "IN"
            found.append(
                JobPath(name=name, option=option, path=path, kind=kind, flow=flow, label=label)  # type: ignore[arg-type]
            )

    add("Shot", None, values["shot"], "The shot's folder")
    add("Plate", "--plate", values["plate"] and Path(values["plate"]), "Folder, pattern or movie")
    add("Trimaps", "--trimaps", values["trimaps"], "The painted keyframes")
    add("Output", "--output", shot.output, "Where mattes go")
    add("Weights", "--weights", shot.settings.engine.weights, "A .safetensors file")
    add("Ocio", "--ocio", _ocio(shot), "The colour configuration")
    return found


def _ocio(shot: Shot) -> Path | None:
    """The configuration that is used here, also where the environment names it."""
    named = os.environ.get("OCIO")
    if shot.settings.ocio is None and named and Path(named).is_file():
        return Path(named)
    return shot.settings.ocio


def _reads(folder: Path | None, shot: Shot) -> list[Path]:
    weights, ocio = shot.settings.engine.weights, _ocio(shot)
    plate = shot.plate if shot.plate.exists() else shot.plate.parent  # a pattern
    found = [plate, *shot.keyframes.values()]
    if folder is not None and (folder / SETTINGS_FILE).is_file():
        found.append(folder / SETTINGS_FILE)
    found += [weights, weights.with_suffix(".json")] if weights else []
    return [_whole(path) for path in [*found, *([ocio] if ocio else [])]]


def _options(values: Mapping[str, Any]) -> list[str]:
    """The shot's other options, as they were given."""
    given: list[str] = []
    for parameter in click.get_current_context().command.params:
        name, value = parameter.name, values.get(parameter.name or "")
        if name not in _OF_SETTINGS or value is None:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            given += [parameter.opts[-1], str(one)]
    return given


def _whole(path: Path) -> Path:
    return path.absolute()
