"""The program `vfxmatte` and how it ends: one message for an error, and an exit code."""

from __future__ import annotations

import sys

import click

from vfxmatte.cli.program import LazyGroup
from vfxmatte.common.exit_codes import DONE, INTERRUPTED, NOTHING_DONE, SOME_FAILED, WRONG_USE
from vfxmatte.version import __version__

__all__ = ["DONE", "INTERRUPTED", "NOTHING_DONE", "SOME_FAILED", "WRONG_USE", "commands", "main"]

# Name: module, the command's name in it, and what it does.
_COMMANDS = {
    "run": ("vfxmatte.cli.run", "run", "Matte a shot."),
    "cut": ("vfxmatte.cli.cut", "cut", "Matte every shot of a cut."),
    "merge": ("vfxmatte.cli.merge", "merge", "Check and end what was solved in chunks."),
    "farm": ("vfxmatte.cli.farm", "farm", "Write a job for a render farm."),
    "check": ("vfxmatte.cli.check", "check", "Say what a run would find, lack and do."),
    "trimap": ("vfxmatte.cli.trimap", "trimap", "Make keyframe trimaps."),
    "evaluate": ("vfxmatte.cli.evaluate", "evaluate", "Measure results against a true alpha."),
    "compare": ("vfxmatte.cli.compare", "compare", "Compare engines on the frames of a shot."),
    "info": ("vfxmatte.cli.info", "info", "List devices, weights, codecs, colour, versions."),
    "bench": ("vfxmatte.cli.bench", "command", "Measure how fast this machine mattes."),
    "export": ("vfxmatte.cli.export", "export", "Write the network for Nuke, or as ONNX."),
    "serve": ("vfxmatte.cli.serve", "serve", "Keep an engine loaded for hosts."),
    "completion": ("vfxmatte.cli.completion", "completion", "Print shell completion."),
}


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 some frames failed, the others are delivered; 2 wrong use; "
    "3 nothing could be done; 130 stopped by Ctrl-C (the same command goes on).",
)
@click.version_option(__version__, prog_name="vfxmatte")
def commands() -> None:
    """Neural matting for visual effects: a shot and a few painted trimaps in, EXR mattes out.

    \b
    vfxmatte check shots/creature    what is there, what is missing, what would be done
    vfxmatte run shots/creature      do it
    """


def main() -> None:
    """The program."""
    sys.exit(commands(prog_name="vfxmatte"))
