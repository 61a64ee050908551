"""`vfxmatte completion`: print a shell's completion script."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from vfxmatte.cli.group import commands
from vfxmatte.errors import UsageError


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash, in ~/.bashrc:  eval "$(vfxmatte completion bash)"
    zsh, in ~/.zshrc:    eval "$(vfxmatte completion zsh)"
    fish:                vfxmatte completion fish > ~/.config/fish/completions/vfxmatte.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"this version of click completes no {shell}", hint="use another shell")
    click.echo(kind(commands, {}, "vfxmatte", "_VFXMATTE_COMPLETE").source())
