"""The program `vfxmatte` and its commands."""

from __future__ import annotations

import sys

import click

from vfxmatte.cli.program import LazyGroup
from vfxmatte.common.exit_codes import DONE, INTERRUPTED, NOTHING_DONE, SOME_FAILED, WRONG_USE
from vfxmatte.common.freed_memory import keep_freed_memory
from vfxmatte.version import __version__

__all__ = ["DONE", "INTERRUPTED", "NOTHING_DONE", "SOME_FAILED", "WRONG_USE", "commands", "main"]

# By name: the command's module, its name there, and its help.
_COMMANDS = {
    "run": ("vfxmatte.cli.run", "run", "Matte a shot."),
    "batch": ("vfxmatte.cli.batch", "batch", "Matte many shots, with one report."),
    "cut": ("vfxmatte.cli.cut", "cut", "Matte every shot of a cut."),
    "fit": ("vfxmatte.cli.fit", "fit", "Fit a light network to a shot ahead of its frames."),
    "merge": ("vfxmatte.cli.merge", "merge", "Verify and merge the chunks of a shot."),
    "farm": ("vfxmatte.cli.farm", "farm", "Write jobs for a render farm."),
    "check": ("vfxmatte.cli.check", "check", "Check a shot, and preview what a run would do."),
    "lock": ("vfxmatte.cli.lock", "lock", "Lock mattes, so that no run touches them."),
    "unlock": ("vfxmatte.cli.lock", "unlock", "Unlock mattes again."),
    "trimap": (
        "vfxmatte.cli.trimap",
        "trimap",
        "Make keyframe trimaps.",
    ),
    "paint": ("vfxmatte.cli.paint", "paint", "Paint keyframes and see their mattes."),
    "evaluate": ("vfxmatte.cli.evaluate", "evaluate", "Measure results against the true alpha."),
    "review": ("vfxmatte.cli.review", "review", "Write a page to look at the mattes of a shot."),
    "compare": ("vfxmatte.cli.compare", "compare", "Compare engines on the frames of a shot."),
    "info": (
        "vfxmatte.cli.info",
        "info",
        "Show devices, weights, codecs and versions.",
    ),
    "bench": ("vfxmatte.cli.bench", "command", "Measure how fast this machine mattes."),
    "export": (
        "vfxmatte.cli.export",
        "export",
        "Export the network to TorchScript or ONNX.",
    ),
    "serve": ("vfxmatte.cli.serve", "serve", "Serve Nuke, Blender, ComfyUI and scripts."),
    "completion": ("vfxmatte.cli.completion", "completion", "Print a shell completion script."),
}


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done; 1 some frames failed, the others are delivered; 2 wrong use; "
    "3 nothing could be done; 130 stopped by Ctrl-C (the same command resumes).",
)
@click.version_option(__version__, prog_name="vfxmatte")
def commands() -> None:
    """Neural matting for visual effects: a shot and a few painted trimaps in, EXR mattes out.

    \b
    vfxmatte check shots/creature    show what is there, what is missing, what would be done
    vfxmatte run shots/creature      matte the shot
    """


def main() -> None:
    """Run the program."""
    keep_freed_memory()
    sys.exit(commands(prog_name="vfxmatte"))
