"""Command groups with error handling and lazy imports, for all programs of this project."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

from vfxmatte.common.exit_codes import INTERRUPTED
from vfxmatte.common.interrupts import twice_ends_at_once
from vfxmatte.journal.error_log import logged


class ProgramGroup(click.Group):
    """Reports an error in one message and exits with its code; unexpected ones are logged."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with twice_ends_at_once():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # click handles them
        except Exception as error:
            failure = logged(error)
            click.echo(f"error: {failure}", err=True)
            ctx.exit(failure.exit_code)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(INTERRUPTED)


class LazyGroup(ProgramGroup):
    """Imports a command's module when the command is used: image libraries are slow to load."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str, str]], **kw: Any) -> None:
        """Take the module, the name there, and the help of each command by its name."""
        super().__init__(*args, **kw)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return None
        module, name, _ = self._lazy[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in self._lazy.items()])
