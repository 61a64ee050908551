"""The arguments of the commands that turn a checkpoint into weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS = (
    click.argument("checkpoint", type=click.Path(path_type=Path)),
    click.option("-o", "--output", type=click.Path(path_type=Path), required=True,
                 help="The .safetensors to write; its .json is written beside it."),
    click.option("--name", required=True, help="What to call these weights."),
    click.option("--licence", default="Apache-2.0", show_default=True),
    click.option("--notes", default="", help="Data, hardware and time, for the sidecar."),
    click.option("--stage1-only", is_flag=True, help="Leave the refinement out."),
)  # fmt: skip


def export_options(function: Function) -> Function:
    """Add CHECKPOINT and the options for what is written from it."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function
