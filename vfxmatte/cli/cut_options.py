"""The options that control how a cut is read; shared by `cut` and `farm --cut`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from vfxmatte.cli.path_option import PathOption
from vfxmatte.editorial.cut import Cut, read_cut
from vfxmatte.errors import UsageError
from vfxmatte.io.rates import frame_rate
from vfxmatte.pipeline.options import settings_with

Function = TypeVar("Function", bound=Callable[..., Any])

# By parameter name: declarations and attributes of the options.
_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "handles": ("--handles", {"type": int, "help": "Extra frames on either side of a shot [0]."}),
    "only": (
        "--only",
        {"multiple": True, "metavar": "NAME", "help": "Only these clips or shots: 'sh01*'."},
    ),
    "timeline": (
        "--timeline",
        {"metavar": "NAME", "help": "Name of the timeline, in a file with several."},
    ),
    "rate": (
        "--rate",
        {"metavar": "FPS", "help": "Frame rate of an EDL's time codes [24; drop frame: 29.97]."},
    ),
    "maps": (
        "--map",
        {
            "multiple": True,
            "metavar": "FROM=TO",
            "help": r"Map media paths of another machine: 'P:\show=/mnt/show'; may be repeated.",
        },
    ),
    "media": (
        "--media",
        {
            "multiple": True,
            "type": PathOption(),
            "metavar": "FOLDER",
            "help": "Search here for media that are not where the cut says [$VFXMATTE_MEDIA].",
        },
    ),
}


def cut_options(function: Function) -> Function:
    """Add `--handles`, `--only`, `--timeline`, `--rate`, `--map` and `--media` to a command."""
    for name, (option, attributes) in reversed(_OPTIONS.items()):
        function = click.option(option, name, **attributes)(function)
    return function


def refuse_cut_options(values: Mapping[str, Any]) -> None:
    """Raise UsageError if one of these options was given without a cut."""
    names = [option for name, (option, _) in _OPTIONS.items() if values.get(name)]
    if names:
        raise UsageError(
            f"{' and '.join(names)} without a cut", hint="give --cut FILE, or use `vfxmatte cut`"
        )


def read_cut_file(file: Path, values: Mapping[str, Any]) -> Cut:
    """Read a cut with the options' settings; raises UsageError, or VfxmatteError of the cut."""
    rate, trimaps = values["rate"], values["trimaps"]
    if values["folder"] is None:
        raise UsageError("--output is missing", hint="each shot gets a folder of its own in it")
    if trimaps is not None and not trimaps.is_dir():
        raise UsageError("of a cut, --trimaps is a folder that holds one for each shot")
    return read_cut(
        file,
        values["folder"],
        trimaps=trimaps,
        handles=values["handles"] or 0,
        only=values["only"],
        adjust=lambda base: settings_with(base, {**values, "frames": None}),
        timeline=values["timeline"],
        rate=None if rate is None else float(frame_rate(rate)),
        maps=values["maps"],
        media=values["media"],
    )
