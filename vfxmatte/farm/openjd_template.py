"""A job template of Open Job Description: https://github.com/OpenJobDescription.

With the extension TASK_CHUNKING the scheduler cuts the chunks, also while the job runs; without it
the template lists them. AWS Deadline Cloud takes the same template.
"""

from __future__ import annotations

from typing import Any

from vfxmatte.farm.job import OUTPUT, FarmJob, JobPath
from vfxmatte.farm.ranges import starts, to_openjd
from vfxmatte.types import FrameRange

_VERSION = "jobtemplate-2023-09"
_MAX_NAME = 128  # characters, by the specification
_SHOT, _WORKERS = "Shot", "Workers"  # groups of parameters in a submitter's window


def template(job: FarmJob, *, chunking: bool = True) -> dict[str, Any]:
    """Return the template: a step of chunks, and a step that merges and verifies them."""
    content = {
        "specificationVersion": _VERSION,
        "name": f"vfxmatte {job.name}"[:_MAX_NAME],
        # Paths have no defaults, which must not be absolute.
        "parameterDefinitions": [*map(_path, job.paths), *_parameters(job, chunking)],
        "steps": [_solve(job, chunking), _merge(job, chunking)],
    }
    return {**content, "extensions": ["TASK_CHUNKING"]} if chunking else content


def values(job: FarmJob, *, chunking: bool = True) -> dict[str, Any]:
    """Return the values of the job's parameters by name."""
    paths = {path.name: str(path.path) for path in job.paths}
    return paths | {one["name"]: one["default"] for one in _parameters(job, chunking)}


def asset_references(job: FarmJob) -> dict[str, Any]:
    """Return the files that AWS Deadline Cloud carries to workers with another file system."""
    files = [str(path) for path in job.reads if not path.is_dir()]
    folders = [str(path) for path in job.reads if path.is_dir()]
    return {
        "assetReferences": {
            "inputs": {"filenames": files, "directories": folders},
            "outputs": {"directories": [str(path) for path in job.writes]},
            "referencedPaths": [],
        }
    }


def _parameters(job: FarmJob, chunking: bool) -> list[dict[str, Any]]:
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


def _path(path: JobPath) -> dict[str, Any]:
    control = "CHOOSE_DIRECTORY" if path.is_folder else "CHOOSE_INPUT_FILE"
    return {
        "name": path.name,
        "type": "PATH",
        "objectType": "DIRECTORY" if path.is_folder else "FILE",
        "dataFlow": "INOUT" if path.name == OUTPUT else "IN",
        "description": path.label,
        "userInterface": {"control": control, "label": path.name, "groupLabel": _SHOT},
    }


def _solve(job: FarmJob, chunking: bool) -> dict[str, Any]:
    if chunking:
        is_contiguous = isinstance(job.frames, FrameRange) and job.frames.step == 1
        task = {
            "name": "Frame",
            "type": "CHUNK[INT]",
            "range": "{{Param.Frames}}",
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
    amounts = [{"name": "amount.worker.memory", "min": round(job.memory_gib * 1024)}]
    if job.gpus:
        amounts.insert(0, {"name": "amount.worker.gpu", "min": job.gpus})
    return {
        "name": "Solve",
        "description": "Chunks of frames, in any order and on any worker",
        "hostRequirements": {"amounts": amounts},
        "parameterSpace": {"taskParameterDefinitions": [task]},
        "script": _script(job, "run", [*part, "--chunk", "--openjd"]),
    }


def _merge(job: FarmJob, chunking: bool) -> dict[str, Any]:
    frames = "{{Param.Frames}}" if chunking else to_openjd(job.frames)
    return {
        "name": "Merge",
        "description": "Every frame is there, whole and current; the manifest",
        "dependencies": [{"dependsOn": "Solve"}],
        "script": _script(job, "merge", ["--frames", frames, "--openjd"]),
    }


def _script(job: FarmJob, command: str, options: list[str]) -> dict[str, Any]:
    shot = job.shot_arguments({path.name: f"{{{{Param.{path.name}}}}}" for path in job.paths})
    arguments = [command, *shot, "--device", "{{Param.Device}}", *options]
    return {"actions": {"onRun": {"command": "{{Param.Vfxmatte}}", "args": arguments}}}
