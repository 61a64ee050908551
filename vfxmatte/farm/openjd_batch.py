"""Several shots as one job template of Open Job Description: two or three steps for each
shot.

A template has 50 parameters at most, so shots share them: the folder that holds shots is one PATH
parameter, and what lies in it is named by its place there. Frames stand in the steps.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from vfxmatte.errors import UsageError
from vfxmatte.farm.job import FarmBatch, FarmJob, JobPath
from vfxmatte.farm.openjd_template import (
    ShotTexts,
    parameters,
    path_definition,
    steps,
    whole_template,
)
from vfxmatte.farm.ranges import to_openjd

_MOST_PARAMETERS = 50  # by the specification
_MAX_STEP_NAME = 64 - len("Solve ")
_SHOT = "Shot"


def batch_template(
    batch: FarmBatch, *, chunking: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the template of a batch, and the values of its parameters by name.

    Raises:
        UsageError: the shots lie in too many places for one template.
    """
    first = batch.jobs[0]
    shared = _shared_paths(batch.jobs)
    others = [one for one in parameters(first, chunking) if one["name"] != "Frames"]
    if len({job.device for job in batch.jobs}) > 1:
        others = [one for one in others if one["name"] != "Device"]
    if len(shared) + len(others) > _MOST_PARAMETERS:
        raise UsageError(
            f"these shots lie in {len(shared)} places, too many for one job",
            hint="write several jobs, or put the shots' folders into one folder",
        )
    content = [
        step
        for number, job in enumerate(batch.jobs, start=1)
        for step in steps(job, _texts(job, shared, others, number), chunking)
    ]
    definitions = [*map(_definition, shared), *others]
    values = {path.name: str(path.path) for path in shared}
    values |= {one["name"]: one["default"] for one in others}
    return whole_template(batch.name, definitions, content, chunking), values


def _definition(path: JobPath) -> dict[str, Any]:
    """Return the definition of a path that shots share; a whole folder of shots is not carried."""
    definition = path_definition(path)
    return {**definition, "dataFlow": "NONE"} if path.name.startswith("Shots") else definition


def _texts(
    job: FarmJob, shared: list[JobPath], others: list[dict[str, Any]], number: int
) -> ShotTexts:
    has_device = any(one["name"] == "Device" for one in others)
    name = job.name if len(job.name) <= _MAX_STEP_NAME else f"{number} {job.name}"[:_MAX_STEP_NAME]
    return ShotTexts(
        paths={path.name: _text(path.path, shared) for path in job.paths},
        frames=to_openjd(job.frames),
        device="{{Param.Device}}" if has_device else job.device,
        step=f" {name}",
    )


def _text(path: Path, shared: Iterable[JobPath]) -> str:
    """Return a path as its own parameter, or as a place in a folder that is one."""
    holder = next(one for one in shared if path == one.path or one.path in path.parents)
    inside = PurePath(path.relative_to(holder.path)).as_posix()
    return f"{{{{Param.{holder.name}}}}}" + ("" if inside == "." else f"/{inside}")


def _shared_paths(jobs: Iterable[FarmJob]) -> list[JobPath]:
    """Return the paths that become parameters: folders that hold shots, and all that lies outside
    of them, each once."""
    paths = [path for job in jobs for path in job.paths]
    homes = dict.fromkeys(path.path.parent for path in paths if path.name == _SHOT)
    outermost = [home for home in homes if not any(other in home.parents for other in homes)]
    shared = [
        JobPath(name=_numbered("Shots", n), option=None, path=home, label="A folder of shots")
        for n, home in enumerate(outermost)
    ]
    counts: dict[str, int] = {}
    for path in paths:
        if any(path.path == one.path or one.path in path.path.parents for one in shared):
            continue
        count = counts.get(path.name, 0)
        counts[path.name] = count + 1
        shared.append(replace(path, name=_numbered(path.name, count)))
    return shared


def _numbered(name: str, count: int) -> str:
    return name if count == 0 else f"{name}{count + 1}"
