"""A job template of Open Job Description: https://github.com/OpenJobDescription.

With the extension TASK_CHUNKING the scheduler cuts the chunks, also while the job runs; without it
the template lists them. AWS Deadline Cloud takes the same template.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vfxmatte.farm.job import FarmJob, JobPath
from vfxmatte.farm.ranges import starts, to_openjd
from vfxmatte.types import FrameRange

_VERSION = "jobtemplate-2023-09"
_MAX_NAME = 128  # characters, by the specification
_SHOT, _WORKERS = "Shot", "Workers"  # groups of parameters in a submitter's window


@dataclass(frozen=True, kw_only=True)
class ShotTexts:
    """The values in the commands of a shot's steps: parameters of the job, or plain ones."""

    paths: Mapping[str, str]
    """The paths of the job, by name."""
    frames: str = "{{Param.Frames}}"
    """A range of Open Job Description."""
    device: str = "{{Param.Device}}"
    step: str = ""
    """Follows `Fit`, `Solve` and `Merge` in the names of the steps."""


def template(job: FarmJob, *, chunking: bool = True) -> dict[str, Any]:
    """Return the template: a step that makes the fit to the shot, if one is wanted, a step of
    chunks, and one that merges and verifies them."""
    texts = ShotTexts(paths={path.name: f"{{{{Param.{path.name}}}}}" for path in job.paths})
    # Paths have no defaults, which must not be absolute.
    definitions = [*map(path_definition, job.paths), *parameters(job, chunking)]
    return whole_template(job.name, definitions, steps(job, texts, chunking), chunking)


def whole_template(
    name: str, definitions: list[dict[str, Any]], steps: list[dict[str, Any]], chunking: bool
) -> dict[str, Any]:
    """Return a template of parameters and steps."""
    content = {
        "specificationVersion": _VERSION,
        "name": f"vfxmatte {name}"[:_MAX_NAME],
        "parameterDefinitions": definitions,
        "steps": steps,
    }
    return {**content, "extensions": ["TASK_CHUNKING"]} if chunking else content


def steps(job: FarmJob, texts: ShotTexts, chunking: bool) -> list[dict[str, Any]]:
    """Return a shot's steps: the fit if one is wanted, chunks of frames, merging and verifying."""
    first = [_fit(job, texts, chunking)] if job.fit else []
    return [*first, _solve(job, texts, chunking), _merge(job, texts, chunking)]


def values(job: FarmJob, *, chunking: bool = True) -> dict[str, Any]:
    """Return the values of the job's parameters by name."""
    paths = {path.name: str(path.path) for path in job.paths}
    return paths | {one["name"]: one["default"] for one in parameters(job, chunking)}


def asset_references(reads: Iterable[Path], writes: Iterable[Path]) -> dict[str, Any]:
    """Return the files that AWS Deadline Cloud carries to workers with another file system."""
    paths = list(dict.fromkeys(reads))
    files = [str(path) for path in paths if not path.is_dir()]
    folders = [str(path) for path in paths if path.is_dir()]
    return {
        "assetReferences": {
            "inputs": {"filenames": files, "directories": folders},
            "outputs": {"directories": [str(path) for path in dict.fromkeys(writes)]},
            "referencedPaths": [],
        }
    }


def parameters(job: FarmJob, chunking: bool) -> list[dict[str, Any]]:
    """Return the definitions of all parameters but paths, with this job's values as defaults."""
    frames = "Frames, e.g. 1001-1100:2 or 1001,1005,1009-1012"
    size = "Frames that a worker solves at a time"
    seconds = "How long a chunk shall take: the scheduler fits the frames a chunk; 0 keeps them"
    chunks = [
        _parameter("Frames", to_openjd(job.frames), "Frames", frames, _SHOT),
        _parameter("ChunkSize", job.chunk_size, "Frames a chunk", size, _SHOT, least=1),
        _parameter("ChunkSeconds", job.chunk_seconds, "Seconds a chunk", seconds, _SHOT, least=0),
    ]
    packages = ("Conda packages", "To install on workers, if any", _WORKERS)
    channels = ("Conda channels", "Where to take conda packages from", _WORKERS)
    return [
        *(chunks if chunking else []),
        _parameter("Device", job.device, "Device", "auto, cpu, cuda, cuda:all", _WORKERS),
        _parameter("Vfxmatte", job.command, "Command", "How workers call vfxmatte", _WORKERS),
        _parameter("CondaPackages", job.conda_packages, *packages),
        _parameter("CondaChannels", job.conda_channels, *channels),
    ]


def _parameter(
    name: str, value: str | int, label: str, description: str, group: str, *, least: int = 0
) -> dict[str, Any]:
    is_number = isinstance(value, int)
    control = "SPIN_BOX" if is_number else "LINE_EDIT"
    return {
        "name": name,
        "type": "INT" if is_number else "STRING",
        **({"minValue": least} if is_number else {}),
        "description": description,
        "userInterface": {"control": control, "label": label, "groupLabel": group},
        "default": value,
    }


def path_definition(path: JobPath) -> dict[str, Any]:
    """Return the definition of a path parameter."""
    control = "CHOOSE_DIRECTORY" if path.is_folder else "CHOOSE_INPUT_FILE"
    return {
        "name": path.name,
        "type": "PATH",
        "objectType": "DIRECTORY" if path.is_folder else "FILE",
        "dataFlow": "INOUT" if path.is_output else "IN",
        "description": path.label,
        "userInterface": {"control": control, "label": path.name, "groupLabel": _SHOT},
    }


def _solve(job: FarmJob, texts: ShotTexts, chunking: bool) -> dict[str, Any]:
    if chunking:
        is_contiguous = isinstance(job.frames, FrameRange) and job.frames.step == 1
        task = {
            "name": "Frame",
            "type": "CHUNK[INT]",
            "range": texts.frames,
            "chunks": {
                "defaultTaskCount": "{{Param.ChunkSize}}",
                "targetRuntimeSeconds": "{{Param.ChunkSeconds}}",
                "rangeConstraint": "CONTIGUOUS" if is_contiguous else "NONCONTIGUOUS",
            },
        }
        part = ["--frames", "{{Task.Param.Frame}}"]
    else:
        first = to_openjd(starts(job.frames, job.chunk_size))
        task = {"name": "Start", "type": "INT", "range": first}
        part = ["--frames", to_openjd(job.frames), "--chunk-start", "{{Task.Param.Start}}"]
        part += ["--chunk-size", str(job.chunk_size)]
    fit = {"dependencies": [{"dependsOn": f"Fit{texts.step}"}]} if job.fit else {}
    return {
        "name": f"Solve{texts.step}",
        "description": "Chunks of frames, in any order and on any worker",
        **fit,
        "hostRequirements": _requirements(job),
        "parameterSpace": {"taskParameterDefinitions": [task]},
        "script": _script(job, texts, "run", [*part, "--chunk", "--openjd"]),
    }


def _fit(job: FarmJob, texts: ShotTexts, chunking: bool) -> dict[str, Any]:
    return {
        "name": f"Fit{texts.step}",
        "description": "A light network learns the shot's keyframes; the chunks find it",
        "hostRequirements": _requirements(job),
        "script": _script(job, texts, "fit", _all_frames(job, texts, chunking)),
    }


def _requirements(job: FarmJob) -> dict[str, Any]:
    amounts = [{"name": "amount.worker.memory", "min": round(job.memory_gib * 1024)}]
    if job.gpus:
        amounts.insert(0, {"name": "amount.worker.gpu", "min": job.gpus})
    return {"amounts": amounts}


def _all_frames(job: FarmJob, texts: ShotTexts, chunking: bool) -> list[str]:
    return ["--frames", texts.frames if chunking else to_openjd(job.frames), "--openjd"]


def _merge(job: FarmJob, texts: ShotTexts, chunking: bool) -> dict[str, Any]:
    return {
        "name": f"Merge{texts.step}",
        "description": "Every frame is there, whole and current; the manifest",
        "dependencies": [{"dependsOn": f"Solve{texts.step}"}],
        "script": _script(job, texts, "merge", _all_frames(job, texts, chunking)),
    }


def _script(job: FarmJob, texts: ShotTexts, command: str, options: list[str]) -> dict[str, Any]:
    arguments = [command, *job.shot_arguments(texts.paths), "--device", texts.device, *options]
    return {"actions": {"onRun": {"command": "{{Param.Vfxmatte}}", "args": arguments}}}
