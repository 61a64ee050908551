"""The options that say which cut, and where its media lie; shared by `cut` and `farm --cut`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.shot_options import settings_with
from vfxmatte.editorial.cut import Cut, read_cut
from vfxmatte.errors import UsageError
from vfxmatte.io.rates import frame_rate

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--handles", type=int, help="Of a cut: frames more on either side [0]."),
    click.option("--only", multiple=True, metavar="NAME", help="Of a cut: these clips: 'sh01*'."),
    click.option("--timeline", metavar="NAME", help="Of a file with several timelines: this one."),
    click.option("--rate", metavar="FPS", help="Of an EDL's time codes [24; drop frame: 29.97]."),
    click.option(
        "--map", "maps", multiple=True, metavar="FROM=TO",
        help=r"Media whose paths begin otherwise here: 'P:\show=/mnt/show'; may be repeated.",
    ),
    click.option(
        "--media", multiple=True, type=PathOption(), metavar="FOLDER",
        help="Search here for media that are not where the cut says [$VFXMATTE_MEDIA].",
    ),
)  # fmt: skip
_NAMES = {"handles": "--handles", "only": "--only", "timeline": "--timeline", "rate": "--rate",
          "maps": "--map", "media": "--media"}  # fmt: skip


def cut_options(function: Function) -> Function:
    """`--handles`, `--only`, `--timeline`, `--rate`, `--map` and `--media`."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def refuse_cut_options(values: Mapping[str, Any]) -> None:
    """Raise UsageError where there is no cut that these options could be about."""
    given = [name for key, name in _NAMES.items() if values.get(key)]
    if given:
        raise UsageError(
            f"{' and '.join(given)} without a cut", hint="give --cut FILE, or use `vfxmatte cut`"
        )


@dataclass(frozen=True, kw_only=True)
class CutSource:
    """A cut to read, and the options that say how."""

    file: Path
    output: Path
    values: Mapping[str, Any]

    @classmethod
    def of(cls, file: Path, values: Mapping[str, Any]) -> CutSource:
        """From options by parameter name; raises UsageError."""
        if values["folder"] is None:
            raise UsageError("--output is missing", hint="each shot gets a folder of its own in it")
        if values["trimaps"] is not None and not values["trimaps"].is_dir():
            raise UsageError("of a cut, --trimaps is a folder that holds one for each shot")
        return cls(file=file, output=values["folder"], values=values)

    def read(self) -> Cut:
        """The cut with the options' settings; raises VfxmatteError."""
        values = self.values
        rate = values["rate"]
        return read_cut(
            self.file,
            self.output,
            trimaps=values["trimaps"],
            handles=values["handles"] or 0,
            only=values["only"],
            adjust=lambda base: settings_with(base, {**values, "frames": None}),
            timeline=values["timeline"],
            rate=None if rate is None else float(frame_rate(rate)),
            maps=values["maps"],
            media=values["media"],
        )
