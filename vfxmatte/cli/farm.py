"""`vfxmatte farm`: write a shot, or a cut's shots, as jobs for a render farm."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from vfxmatte.batch.checked import CheckedShot, checked_shots, find_clash
from vfxmatte.cli.cut_options import cut_options, read_cut_file, refuse_cut_options
from vfxmatte.cli.group import NOTHING_DONE, SOME_FAILED
from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.shot_list import find_shots, names_many
from vfxmatte.cli.shot_options import given_words, job_shot_options, settings_names
from vfxmatte.common.devices import device_names, names_several
from vfxmatte.common.paths import clean_path
from vfxmatte.editorial.cut_shot import CutShot
from vfxmatte.errors import UsageError, VfxmatteError
from vfxmatte.farm.bundle import openjd_batch_files, openjd_files, write_bundle
from vfxmatte.farm.job import OUTPUT_OPTION, FarmBatch, FarmJob, JobPath
from vfxmatte.farm.opencue_spec import spec, this_user
from vfxmatte.farm.options import settings_options
from vfxmatte.pipeline.fitting import is_wanted
from vfxmatte.pipeline.locking import locked_files
from vfxmatte.pipeline.options import shot_of
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.shot_folder import SETTINGS_FILE, SIDE_FOLDERS
from vfxmatte.pipeline.subjects_run import open_run
from vfxmatte.types import FrameRange, Frames, frames_of

# Settings that a job passes by a parameter, or by the step.
_PARAMETERS = frozenset({"frames", "ocio", "weights", "device", *SIDE_FOLDERS})
_OPTIONS = frozenset(settings_names()) - _PARAMETERS | {"subject"}


@click.command()
@job_shot_options
@click.option(
    "--cut",
    "cut_file",
    type=PathOption(exists=True, dir_okay=False),
    help="Instead of SHOT: a job for every shot of this cut (OpenTimelineIO, EDL).",
)
@cut_options
@click.option(
    "-o", "--job", "bundle", type=PathOption(), required=True, help="Folder for the job bundle."
)
@click.option("--chunk", "chunk_size", type=int, default=50, help="Frames in a chunk [50].")
@click.option(
    "--chunk-seconds",
    type=int,
    default=0,
    help="Target duration of a chunk; the scheduler adapts the number of frames [0: as --chunk].",
)
@click.option("--no-chunking", is_flag=True, help="For schedulers without TASK_CHUNKING.")
@click.option("--gpus", type=int, help="GPUs that a worker needs [those of --device, else 1].")
@click.option("--memory", type=float, default=16.0, help="Memory that a worker needs, in GiB [16].")
@click.option("--vfxmatte", "command", default="vfxmatte", help="Workers' command.")
@click.option("--conda-packages", default="", help="For schedulers with conda.")
@click.option("--conda-channels", default="", help="Channels of these packages.")
@click.option(
    "--scheduler",
    type=click.Choice(["openjd", "opencue"]),
    default="openjd",
    help="Open Job Description, or OpenCue's job specification [openjd].",
)
@click.option("--show", default="", help="OpenCue's name of the show.")
@click.option("--overwrite", is_flag=True, help="Replace an existing job in that folder.")
@click.option("--keep-going", is_flag=True, help="Of many shots: leave out those that cannot run.")
def farm(
    shots: tuple[str, ...],
    cut_file: Path | None,
    bundle: Path,
    no_chunking: bool,
    scheduler: str,
    show: str,
    overwrite: bool,
    keep_going: bool,
    **values: Any,
) -> None:
    """Write SHOT as a job for a render farm: chunks of frames, then merge and verify; before them
    the fit to the shot, where one is wanted.

    \b
    vfxmatte farm shots/creature -o jobs/creature
    deadline bundle submit jobs/creature
    openjd run jobs/creature/template.json -p file://jobs/creature/openjd_parameters.json
    vfxmatte farm tonight.txt -o jobs/tonight
    vfxmatte farm --cut cut.otio --trimaps keys --output mattes -o jobs

    With --scheduler opencue it writes jobs/creature/opencue.xml instead. Many shots, named as for
    `vfxmatte batch`, become one job. Each shot of a cut becomes a job in jobs/NAME/, with the
    frames that the cut shows.

    The shot's options are those of `run`. Workers get them unchanged, and paths as parameters that
    the scheduler maps. Nothing is solved here.
    """
    is_batch = cut_file is None and names_many(shots, values)
    values["shot"] = clean_path(shots[0]) if len(shots) == 1 and not is_batch else None
    if cut_file is not None:
        jobs, problems = _jobs_of_cut(cut_file, bundle, shots, values)
    elif is_batch:
        jobs, problems = _job_of_batch(shots, bundle, values, keep_going=keep_going)
    else:
        jobs, problems = {bundle: _job_of_shot(values)}, []
    contents = {
        folder: {"opencue.xml": spec(job, this_user(show))}
        if scheduler == "opencue"
        else _openjd(job, is_batch=is_batch, chunking=not no_chunking)
        for folder, job in jobs.items()
    }
    for folder, texts in contents.items():
        for path in write_bundle(folder, texts, overwrite=overwrite):
            click.echo(path)
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    if problems:
        click.get_current_context().exit(SOME_FAILED if jobs else NOTHING_DONE)


def _openjd(batch: FarmBatch, *, is_batch: bool, chunking: bool) -> dict[str, str]:
    if is_batch:
        return openjd_batch_files(batch, chunking=chunking)
    return openjd_files(batch.jobs[0], chunking=chunking)


def _job_of_shot(values: Mapping[str, Any]) -> FarmBatch:
    refuse_cut_options(values)
    return _alone(_job(shot_of(values), values, given_words(values, _OPTIONS)))


def _alone(job: FarmJob) -> FarmBatch:
    return FarmBatch(name=job.name, jobs=(job,))


def _job_of_batch(
    arguments: tuple[str, ...], bundle: Path, values: Mapping[str, Any], *, keep_going: bool
) -> tuple[dict[Path, FarmBatch], list[VfxmatteError]]:
    """Return one job for all shots by its folder, and the errors of shots that cannot run; with
    errors there is no job unless `keep_going`."""
    refuse_cut_options(values)
    clashing = [f"--{name}" for name in ("plate", "trimaps", "frames") if values[name] is not None]
    if clashing:
        raise UsageError(
            f"{' and '.join(clashing)} cannot go with several shots",
            hint="write a list of shots, with options of their own on each line",
        )
    listed = find_shots(arguments, values)
    for text in listed.notes:
        click.echo(f"note: {text}", err=True)
    jobs: list[FarmJob] = []
    checked: list[CheckedShot] = []
    for named, one in zip(listed.shots, checked_shots(listed.shots), strict=True):
        find_clash(one, checked)
        checked.append(one)
        if one.shot is not None and not one.problems:
            shot = replace(one.shot, name=named.name)
            jobs.append(_job(shot, named.values, given_words(named.values, _OPTIONS)))
    problems = [problem for one in checked for problem in one.problems]
    if not jobs or (problems and not keep_going):
        return {}, problems
    return {bundle: FarmBatch(name=listed.title, jobs=tuple(jobs))}, problems


def _jobs_of_cut(
    file: Path, bundle: Path, shots: tuple[str, ...], values: Mapping[str, Any]
) -> tuple[dict[Path, FarmBatch], list[VfxmatteError]]:
    """Return a job for each shot by its folder, and the errors of clips and shots without one."""
    clashing = ["SHOT"] if shots else []
    clashing += [f"--{name}" for name in ("plate", "frames") if values[name] is not None]
    if clashing:
        names = " and ".join(clashing)
        raise UsageError(
            f"{names} cannot go with --cut", hint="the cut says which shots and frames"
        )
    cut = read_cut_file(file, values)
    jobs: dict[Path, FarmBatch] = {}
    problems = list(cut.problems)
    for shot in cut.shots:
        try:
            jobs[bundle / shot.name] = _alone(_job_of_cut(shot, values))
        except VfxmatteError as error:
            problems.append(error.at(shot=shot.name))
    return jobs, problems


def _job_of_cut(cut_shot: CutShot, values: Mapping[str, Any]) -> FarmJob:
    """Create a job that needs neither the cut nor a shot.toml."""
    frames = frames_of(number for one in cut_shot.ranges for number in one)
    shot = cut_shot.parts()[0]
    shot = replace(shot, settings=replace(shot.settings, frames=frames))
    paths = {"plate": str(cut_shot.media.plate), "trimaps": cut_shot.trimaps}
    return _job(shot, {**values, **paths}, settings_options(shot.settings))


def _job(shot: Shot, values: Mapping[str, Any], options: list[str]) -> FarmJob:
    device, gpus = shot.settings.engine.device, values["gpus"]
    frames, fit = _planned(shot)
    return FarmJob(
        name=shot.name,
        frames=frames,
        fit=fit,
        chunk_size=values["chunk_size"],
        chunk_seconds=values["chunk_seconds"],
        paths=tuple(_paths(values, shot)),
        options=tuple(options),
        device=device,
        command=values["command"],
        conda_packages=values["conda_packages"],
        conda_channels=values["conda_channels"],
        gpus=_gpus(device) if gpus is None else gpus,
        memory_gib=values["memory"],
        reads=tuple(_reads(values["shot"], shot)),
        writes=(shot.output.absolute(),),
    )


def _planned(shot: Shot) -> tuple[Frames, bool]:
    """Return the frames to solve, checked against the plate as a run checks them, and whether the
    shot is to be fitted."""
    with open_run(shot) as run:
        numbers = sorted({*run.plan.numbers, *run.plan.skipped})
        frames = run.settings.frames or FrameRange(first=numbers[0], last=numbers[-1])
        each = run.subject_runs.values()
        return frames, any(is_wanted(one.plan, one.settings) for one in each)


def _gpus(device: str) -> int:
    if names_several(device) and not device.endswith("all"):
        return sum(name != "cpu" for name in device_names(device))
    return 0 if device == "cpu" else 1


def _paths(values: Mapping[str, Any], shot: Shot) -> list[JobPath]:
    """Return the absolute paths in a worker's command."""
    plate = values["plate"] and Path(values["plate"])
    sides = shot.sides_with(shot.settings)
    rows = (
        ("Shot", None, values["shot"], "The shot's folder"),
        ("Plate", "--plate", plate, "Folder, pattern or movie"),
        ("Trimaps", "--trimaps", values["trimaps"], "The painted keyframes"),
        ("Output", OUTPUT_OPTION, shot.output, "Where mattes go"),
        ("Weights", "--weights", _weights(shot), "A .safetensors file"),
        ("Ocio", "--ocio", _ocio(shot), "The colour configuration"),
        ("Keys", "--keys", sides.get("keys"), "Finished mattes"),
        ("Garbage", "--garbage", sides.get("garbage"), "Garbage mattes"),
        ("Core", "--core", sides.get("core"), "Core mattes"),
        ("Cleanplate", "--cleanplate", sides.get("cleanplate"), "Clean plates"),
    )
    return [
        JobPath(name=name, option=option, path=path.absolute(), label=label)
        for name, option, path, label in rows
        if path is not None
    ]


def _ocio(shot: Shot) -> Path | None:
    """Return the colour configuration in use, from the settings or from $OCIO."""
    variable = os.environ.get("OCIO")
    if shot.settings.ocio is None and variable and Path(variable).is_file():
        return Path(variable)
    return shot.settings.ocio


def _weights(shot: Shot) -> Path | None:
    """Return the file of the weights that were chosen, if any were."""
    chosen = shot.settings.engine
    return None if chosen.weights is None else chosen.weights_path


def _reads(folder: Path | None, shot: Shot) -> list[Path]:
    """Return the absolute paths of the files that a worker reads."""
    ocio = _ocio(shot)
    plate = shot.plate if shot.plate.exists() else shot.plate.parent  # a pattern
    subjects = shot.subjects.values()
    paths = [plate, *shot.keyframes.values(), *(p for keys in subjects for p in keys.values())]
    paths += locked_files(shot.output)
    sides = shot.sides_with(shot.settings).values()
    paths += [place if place.exists() else place.parent for place in sides]
    if folder is not None and (folder / SETTINGS_FILE).is_file():
        paths.append(folder / SETTINGS_FILE)
    for weights in (_weights(shot), shot.settings.fit.weights):
        paths += [weights, weights.with_suffix(".json")] if weights else []
    paths += [ocio] if ocio else []
    return [path.absolute() for path in paths]
