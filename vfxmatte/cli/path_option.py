"""The click type of path options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vfxmatte.common.paths import clean_path


class PathOption(click.Path):
    """A path, cleaned of quotes and white space and with `~` expanded, see `clean_path`."""

    def __init__(self, *, exists: bool = False, dir_okay: bool = True) -> None:
        super().__init__(exists=exists, dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(str(clean_path(value)), param, ctx)
