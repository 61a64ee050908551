"""A job as Open Job Description has it: https://github.com/OpenJobDescription.

With the extension TASK_CHUNKING the scheduler cuts the chunks, also while the job runs; without
it the chunks are written into the template. AWS Deadline Cloud takes the same template.
"""

from __future__ import annotations

from typing import Any

from vfxmatte.farm.job import FarmJob, JobPath
from vfxmatte.farm.ranges import starts, to_openjd
from vfxmatte.types import FrameRange

_VERSION = "jobtemplate-2023-09"
_LONGEST_NAME = 128
_SHOT, _WORKER = "Shot", "Workers"  # groups of parameters in a submitter's window


def template(job: FarmJob, *, chunking: bool = True) -> dict[str, Any]:
    """The template: a step of chunks, and one that merges and verifies when they are done."""
    described = {
        "specificationVersion": _VERSION,
        "name": f"vfxmatte {job.name}"[:_LONGEST_NAME],
        "parameterDefinitions": _parameters(job, chunking),
        "steps": [_solve(job, chunking), _merge(job, chunking)],
    }
    return {**described, "extensions": ["TASK_CHUNKING"]} if chunking else described


def values(job: FarmJob, *, chunking: bool = True) -> dict[str, Any]:
    """The job's parameters by name."""
    found: dict[str, Any] = {path.name: str(path.path) for path in job.paths}
    if chunking:
        found |= {
            "Frames": to_openjd(job.frames),
            "ChunkSize": job.chunk_size,
            "ChunkSeconds": job.chunk_seconds,
        }
    return {
        **found,
        "Device": job.device,
        "Vfxmatte": job.command,
        "CondaPackages": job.conda_packages,
        "CondaChannels": job.conda_channels,
    }


def asset_references(job: FarmJob) -> dict[str, Any]:
    """What AWS Deadline Cloud carries to workers that do not see the same file system."""
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
    """The definitions; this job's values are the defaults, of paths apart, which may not have any
    that are absolute."""
    found: list[dict[str, Any]] = []
    if chunking:
        found += [
            _text("Frames", "Frames", _SHOT, "Frames, e.g. 1001-1100:2 or 1001,1005,1009-1012"),
            _count("ChunkSize", "Frames a chunk", 1, "Frames that a worker solves at a time"),
            _count(
                "ChunkSeconds",
                "Seconds a chunk",
                0,
                "How long a chunk shall take: the scheduler fits the frames a chunk; 0 keeps them",
            ),
        ]
    found += [
        _text("Device", "Device", _WORKER, "auto, cpu, cuda, cuda:all"),
        _text("Vfxmatte", "Command", _WORKER, "How workers call vfxmatte"),
        _text("CondaPackages", "Conda packages", _WORKER, "To install on workers, if any"),
        _text("CondaChannels", "Conda channels", _WORKER, "Where to take conda packages from"),
    ]
    chosen = values(job, chunking=chunking)
    defaults = [{**one, "default": chosen[one["name"]]} for one in found]
    return [*map(_path_parameter, job.paths), *defaults]


def _path_parameter(path: JobPath) -> dict[str, Any]:
    control = "CHOOSE_DIRECTORY" if path.kind == "DIRECTORY" else "CHOOSE_INPUT_FILE"
    return {
        "name": path.name,
        "type": "PATH",
        "objectType": path.kind,
        "dataFlow": path.flow,
        "description": path.label,
        "userInterface": {"control": control, "label": path.name, "groupLabel": _SHOT},
    }


def _text(name: str, label: str, group: str, description: str) -> dict[str, Any]:
    hints = {"control": "LINE_EDIT", "label": label, "groupLabel": group}
    return {"name": name, "type": "STRING", "description": description, "userInterface": hints}


def _count(name: str, label: str, least: int, description: str) -> dict[str, Any]:
    hints = {"control": "SPIN_BOX", "label": label, "groupLabel": _SHOT}
    return {
        "name": name,
        "type": "INT",
        "minValue": least,
        "description": description,
        "userInterface": hints,
    }


def _solve(job: FarmJob, chunking: bool) -> dict[str, Any]:
    if chunking:
        is_plain = isinstance(job.frames, FrameRange) and job.frames.step == 1
        task = {
            "name": "Frame",
            "type": "CHUNK[INT]",
            "range": "{{Param.Frames}}",
            "chunks": {
                "defaultTaskCount": "{{Param.ChunkSize}}",
                "targetRuntimeSeconds": "{{Param.ChunkSeconds}}",
                "rangeConstraint": "CONTIGUOUS" if is_plain else "NONCONTIGUOUS",
            },
        }
        part = ["--frames", "{{Task.Param.Frame}}"]
    else:
        task = {
            "name": "Start",
            "type": "INT",
            "range": to_openjd(starts(job.frames, job.chunk_size)),
        }
        size = str(job.chunk_size)
        part = ["--frames", to_openjd(job.frames), "--chunk-start", "{{Task.Param.Start}}"]
        part += ["--chunk-size", size]
    return {
        "name": "Solve",
        "description": "Chunks of frames, in any order and on any worker",
        "hostRequirements": {"amounts": _amounts(job)},
        "parameterSpace": {"taskParameterDefinitions": [task]},
        "script": _script(["run", *_arguments(job), *part, "--chunk", "--openjd"]),
    }


def _merge(job: FarmJob, chunking: bool) -> dict[str, Any]:
    frames = "{{Param.Frames}}" if chunking else to_openjd(job.frames)
    return {
        "name": "Merge",
        "description": "Every frame is there, whole and current; the manifest",
        "dependencies": [{"dependsOn": "Solve"}],
        "script": _script(["merge", *_arguments(job), "--frames", frames, "--openjd"]),
    }


def _arguments(job: FarmJob) -> list[str]:
    written = {path.name: f"{{{{Param.{path.name}}}}}" for path in job.paths}
    return [*job.shot_arguments(written), "--device", "{{Param.Device}}"]


def _script(arguments: list[str]) -> dict[str, Any]:
    return {"actions": {"onRun": {"command": "{{Param.Vfxmatte}}", "args": arguments}}}


def _amounts(job: FarmJob) -> list[dict[str, Any]]:
    amounts = [{"name": "amount.worker.memory", "min": round(job.memory_gib * 1024)}]
    if job.gpus:
        amounts.insert(0, {"name": "amount.worker.gpu", "min": job.gpus})
    return amounts
