"""A job bundle: a folder of small files, written completely, never over a different job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vfxmatte.errors import OutputError
from vfxmatte.farm.job import FarmBatch, FarmJob
from vfxmatte.farm.openjd_batch import batch_template
from vfxmatte.farm.openjd_template import asset_references, template, values
from vfxmatte.io.temporary import write_whole


def openjd_files(job: FarmJob, *, chunking: bool = True) -> dict[str, str]:
    """Return the bundle's files by name: AWS Deadline Cloud's three, and the one for `openjd`."""
    content, chosen = template(job, chunking=chunking), values(job, chunking=chunking)
    return _files(content, chosen, asset_references(job.reads, job.writes))


def openjd_batch_files(batch: FarmBatch, *, chunking: bool = True) -> dict[str, str]:
    """Return the same for one job with all shots of a batch."""
    content, chosen = batch_template(batch, chunking=chunking)
    reads = [path for job in batch.jobs for path in job.reads]
    writes = [path for job in batch.jobs for path in job.writes]
    return _files(content, chosen, asset_references(reads, writes))


def _files(
    content: Mapping[str, Any], chosen: Mapping[str, Any], references: Mapping[str, Any]
) -> dict[str, str]:
    deadline = [{"name": name, "value": value} for name, value in chosen.items()]
    return {
        "template.json": _text(content),
        "parameter_values.json": _text({"parameterValues": deadline}),
        "asset_references.json": _text(references),
        "openjd_parameters.json": _text(chosen),
    }


def write_bundle(folder: Path, files: Mapping[str, str], *, overwrite: bool = False) -> list[Path]:
    """Write the files into a folder, which is created if necessary; return their paths.

    Raises OutputError if a file exists with other content (nothing is written then, unless
    `overwrite`), or if the folder cannot be written.
    """
    for name, text in files.items():
        if not overwrite and _differs(folder / name, text):
            raise OutputError(
                "there is another job already",
                path=folder / name,
                hint="give another folder to -o, or --overwrite",
            )
    for name, text in files.items():
        write_whole(folder / name, text)
    return [folder / name for name in files]


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") != text
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError):
        return True


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
