"""`vfxmatte farm`: a shot as a job for a render farm."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.shot_options import job_shot_options, shot_of
from vfxmatte.common.devices import device_names, names_several
from vfxmatte.farm.bundle import openjd_files, write_bundle
from vfxmatte.farm.job import FarmJob, JobPath
from vfxmatte.farm.opencue_spec import spec, this_user
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.shot import SETTINGS_FILE, Shot
from vfxmatte.types import FrameRange

# What the template itself says, by parameter or by step.
_SAID_OTHERWISE = ("shot", "plate", "trimaps", "folder", "frames", "ocio", "weights", "device")


@click.command()
@job_shot_options
@click.option(
    "-o",
    "--job",
    "bundle",
    type=PathOption(),
    required=True,
    help="Folder for the job bundle.",
)
@click.option("--chunk", "chunk_size", type=int, default=50, help="Frames a chunk [50].")
@click.option("--no-chunking", is_flag=True, help="For schedulers without TASK_CHUNKING.")
@click.option("--gpus", type=int, help="GPUs that a worker must have [those of --device, else 1].")
@click.option("--memory", type=float, default=16.0, help="GiB that a worker must have [16].")
@click.option("--vfxmatte", "command", default="vfxmatte", help="How workers call vfxmatte.")
@click.option(
    "--scheduler",
    type=click.Choice(["openjd", "opencue"]),
    default="openjd",
    help="Open Job Description, or OpenCue's job specification [openjd].",
)
@click.option("--show", default="", help="The show that OpenCue counts the job to.")
@click.option("--overwrite", is_flag=True, help="Replace another job in that folder.")
def farm(
    bundle: Path,
    chunk_size: int,
    no_chunking: bool,
    gpus: int | None,
    memory: float,
    command: str,
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

    With --scheduler opencue it writes jobs/creature/opencue.xml instead.

    The shot's options are those of `run`; workers get them as they are, and paths as parameters
    that the scheduler maps. Nothing is solved here.
    """
    shot = shot_of(values)
    device = shot.settings.engine.device
    job = FarmJob(
        name=shot.name,
        frames=_frames(shot),
        chunk_size=chunk_size,
        paths=tuple(_paths(values, shot)),
        options=tuple(_options(values)),
        device=device,
        command=command,
        gpus=_gpus(device) if gpus is None else gpus,
        memory_gib=memory,
        reads=tuple(_reads(values, shot)),
        writes=(_whole(shot.output),),
    )
    if scheduler == "opencue":
        files = {"opencue.xml": spec(job, this_user(show))}
    else:
        files = openjd_files(job, chunking=not no_chunking)
    for path in write_bundle(bundle, files, overwrite=overwrite):
        click.echo(path)


def _frames(shot: Shot) -> FrameRange:
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


def _reads(values: Mapping[str, Any], shot: Shot) -> list[Path]:
    weights, ocio = shot.settings.engine.weights, _ocio(shot)
    plate = shot.plate if shot.plate.exists() else shot.plate.parent  # a pattern
    found = [plate, *shot.keyframes.values()]
    if values["shot"] is not None and (values["shot"] / SETTINGS_FILE).is_file():
        found.append(values["shot"] / SETTINGS_FILE)
    found += [weights, weights.with_suffix(".json")] if weights else []
    return [_whole(path) for path in [*found, *([ocio] if ocio else [])]]


def _options(values: Mapping[str, Any]) -> list[str]:
    """The shot's other options, as they were given."""
    given: list[str] = []
    for parameter in click.get_current_context().command.params:
        name, value = parameter.name, values.get(parameter.name or "")
        if name in _SAID_OTHERWISE or value is None or name not in values:
            continue
        for one in value if isinstance(value, tuple) else (value,):
            given += [parameter.opts[-1], str(one)]
    return given


def _whole(path: Path) -> Path:
    return path.absolute()
