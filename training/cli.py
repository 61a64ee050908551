"""`vfxmatte-train`: check and pack a library, train, evaluate. Commands load when they are used."""

from __future__ import annotations

import importlib
import sys

import click

from vfxmatte.errors import VfxmatteError

_COMMANDS = {
    "check": ("training.check_command", "check", "Report what is unusable in a library, and why."),
    "pack": ("training.pack_command", "pack", "Convert a library into one file for training."),
    "train": ("training.train_command", "train", "Train on a pack, or go on where it stopped."),
    "export": ("training.train_command", "export", "Write weights from a checkpoint."),
    "evaluate": ("training.evaluate_command", "evaluate", "Measure weights on pictures."),
}


class _LazyGroup(click.Group):
    """Imports a command's module only when that command is used: torch and readers are heavy."""

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

    def invoke(self, ctx: click.Context) -> object:
        """Errors of the program end it with one message and their exit code."""
        try:
            return super().invoke(ctx)
        except VfxmatteError as error:
            click.echo(f"error: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Train a matting network on foregrounds of your own.

    Exit codes: 0 done, 1 done with some elements unusable, 2 wrong use, 3 nothing could be done.
    """


def main() -> None:
    """The program."""
    sys.exit(cli())


if __name__ == "__main__":
    main()
