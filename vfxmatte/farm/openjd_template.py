"""A job as Open Job Description has it: https://github.com/OpenJobDescription.

With the extension TASK_CHUNKING the scheduler cuts the chunks, also while the job runs; without
it the chunks are written into the template. AWS Deadline Cloud takes the same template.
"""

from __future__ import annotations

from typing import Any

from vfxmatte.farm.job import FarmJob
from vfxmatte.farm.ranges import starts, to_openjd

_VERSION = "jobtemplate-2023-09"
_LONGEST_NAME = 128


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
        found |= {"Frames": to_openjd(job.frames), "ChunkSize": job.chunk_size}
    return {**found, "Device": job.device, "Vfxmatte": job.command}


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
    found: list[dict[str, Any]] = [
        {
            "name": path.name,
            "type": "PATH",
            "objectType": path.kind,
            "dataFlow": path.flow,
            "description": path.label,
        }
        for path in job.paths
    ]
    if chunking:
        found += [
            {"name": "Frames", "type": "STRING", "description": "Frames, e.g. 1001-1100:2"},
            {
                "name": "ChunkSize",
                "type": "INT",
                "minValue": 1,
                "description": "Frames that a worker solves at a time",
            },
        ]
    return [
        *found,
        {"name": "Device", "type": "STRING", "description": "auto, cpu, cuda, cuda:all"},
        {"name": "Vfxmatte", "type": "STRING", "description": "How workers call vfxmatte"},
    ]


def _solve(job: FarmJob, chunking: bool) -> dict[str, Any]:
    if chunking:
        constraint = "CONTIGUOUS" if job.frames.step == 1 else "NONCONTIGUOUS"
        task = {
            "name": "Frame",
            "type": "CHUNK[INT]",
            "range": "{{Param.Frames}}",
            "chunks": {
                "defaultTaskCount": "{{Param.ChunkSize}}",
                "rangeConstraint": constraint,
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
