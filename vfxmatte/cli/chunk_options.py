"""The options of commands that a farm's scheduler starts: frames of a chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import click

from vfxmatte.errors import UsageError
from vfxmatte.farm.ranges import from_openjd, part_from
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot

Function = TypeVar("Function", bound=Callable[..., Any])

_OPENJD = click.option(
    "--openjd",
    is_flag=True,
    help="Under Open Job Description: its progress lines, and its way to write --frames.",
)
_START = click.option(
    "--chunk-start", type=int, help="With --chunk: of the --frames, those from here on."
)
_SIZE = click.option("--chunk-size", type=int, help="With --chunk-start: number of frames.")


def openjd_option(function: Function) -> Function:
    """Add `--openjd` alone; its value goes to `read_frames`."""
    return _OPENJD(function)


def chunk_options(function: Function) -> Function:
    """Add `--openjd`, `--chunk-start` and `--chunk-size`."""
    for option in (_SIZE, _START, _OPENJD):
        function = option(function)
    return function


def read_frames(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with `--frames` in the notation of vfxmatte; raises UsageError."""
    frames = values["frames"]
    if frames is None or not values["openjd"]:
        return dict(values)
    return {**values, "frames": str(from_openjd(frames))}


def part_of(shot: Shot, values: Mapping[str, Any], *, chunk: bool) -> RunSettings:
    """Return the shot's settings with the frames of the chunk at `--chunk-start`.

    Raises:
        UsageError: no such chunk, or an option without those that belong to it.
    """
    start, size = values["chunk_start"], values["chunk_size"]
    if start is None and size is None:
        return shot.settings
    if start is None or size is None or not chunk or shot.settings.frames is None:
        raise UsageError(
            "--chunk, --frames, --chunk-start and --chunk-size belong together",
            hint="write --chunk --frames 1001-1100 --chunk-start 1049 --chunk-size 48",
        )
    return replace(shot.settings, frames=part_from(shot.settings.frames, start, size))
