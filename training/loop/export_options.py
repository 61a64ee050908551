"""The arguments of the commands that turn a checkpoint into weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from vfxmatte.errors import OutputError
from vfxmatte.exports.destination import check_suffix, refuse_existing_file
from vfxmatte.network.sidecar import sidecar_path

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("checkpoint", type=click.Path(path_type=Path)),
    click.option("-o", "--output", type=click.Path(path_type=Path), required=True,
                 help="The .safetensors to write; its .json is written beside it."),
    click.option("--name", required=True, help="What to call these weights."),
    click.option("--licence", default="Apache-2.0", show_default=True),
    click.option("--notes", default="", help="Data, hardware and time, for the sidecar."),
    click.option("--stage1-only", is_flag=True, help="Leave the refinement out."),
    click.option("--overwrite", is_flag=True, help="Replace existing weights."),
)  # fmt: skip


def export_options(function: Function) -> Function:
    """Add CHECKPOINT and the options for what is written from it."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def check_output(path: Path, *, overwrite: bool) -> None:
    """Check that weights may be written: neither over what is no weights, nor unasked over others.

    Raises:
        UsageError: another suffix.
        OutputError: the file or its sidecar exists and `overwrite` is off, or a .json beside it is
            no sidecar of weights.
    """
    check_suffix(path, "weights", ".safetensors")
    sidecar = sidecar_path(path)
    for existing in (path, sidecar):
        refuse_existing_file(existing, overwrite=overwrite)
    if sidecar.exists() and not _describes_weights(sidecar):
        raise OutputError("this file describes no weights", path=sidecar, hint="use another name")


def _describes_weights(sidecar: Path) -> bool:
    try:
        record = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and "sha256" in record
