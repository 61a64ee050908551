"""The program `vfxmatte` and how it ends: one message for an error, and an exit code."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

import vfxmatte
from vfxmatte.errors import VfxmatteError

DONE, SOME_FAILED, WRONG_USE, NOTHING_DONE, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes. 130 is a shell's own for Ctrl-C."""

# Name: module, the command's name in it, and what it does.
_COMMANDS = {
    "run": ("vfxmatte.cli.run", "run", "Matte a shot."),
    "check": ("vfxmatte.cli.check", "check", "Say what a run would find, lack and do."),
    "trimap": ("vfxmatte.cli.trimap", "trimap", "Make keyframe trimaps."),
    "evaluate": ("vfxmatte.cli.evaluate", "evaluate", "Measure results against a true alpha."),
    "info": ("vfxmatte.cli.info", "info", "List devices, weights, codecs, colour, versions."),
    "bench": ("vfxmatte.bench", "command", "Measure what runs cost on this machine."),
    "completion": ("vfxmatte.cli.completion", "completion", "Print shell completion."),
}


class LazyGroup(click.Group):
    """Imports a command's module when the command is used: image libraries are slow to load."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name, _ = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Errors that are foreseen end the program with one message, without a traceback."""
        try:
            return super().invoke(ctx)
        except VfxmatteError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)
            ctx.exit(INTERRUPTED)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 some frames failed, the others are delivered; 2 wrong use; "
    "3 nothing could be done; 130 stopped by Ctrl-C (the same command goes on).",
)
@click.version_option(vfxmatte.__version__, prog_name="vfxmatte")
def commands() -> None:
    """Neural matting for visual effects: a shot and a few painted trimaps in, EXR mattes out.

    \b
    vfxmatte check shots/creature    what is there, what is missing, what would be done
    vfxmatte run shots/creature      do it
    """


def main() -> None:
    """The program."""
    sys.exit(commands(prog_name="vfxmatte"))
