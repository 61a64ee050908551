"""`vfxmatte-train`: check and pack a library, train, evaluate; commands are imported when used."""

from __future__ import annotations

import sys

import click

from vfxmatte.cli.program import LazyGroup
from vfxmatte.common.freed_memory import keep_freed_memory

_COMMANDS = {
    "check": (
        "training.elements.check_command", "check", "Report what a library holds that is unusable.",
    ),
    "pack": (
        "training.elements.pack_command", "pack", "Convert a library into one file for training.",
    ),
    "composites": (
        "training.samples.composites_command", "composites", "Make a store of finished composites.",
    ),
    "train": (
        "training.loop.train_command", "train", "Train on a pack, or resume where it stopped.",
    ),
    "light": ("training.light.command", "light", "Train the light network on such stores."),
    "export-light": (
        "training.light.export", "export_light", "Write light weights from a checkpoint.",
    ),
    "portraits": (
        "training.portraits.command", "portraits", "Train automatic trimaps of portraits.",
    ),
    "course-set": (
        "training.course.command", "course_set", "Render pictures with mattes from a pack.",
    ),
    "course-table": (
        "training.course.command", "course_table", "Compare course runs on their pictures.",
    ),
    "export": ("training.loop.train_command", "export", "Write weights from a checkpoint."),
    "foreground": (
        "training.measure.foreground_command", "foreground", "Measure foreground colours.",
    ),
    "evaluate": ("training.measure.evaluate_command", "evaluate", "Measure weights on pictures."),
}  # fmt: skip


@click.group(
    cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
def cli() -> None:
    """Train a matting network on foregrounds of your own.

    Exit codes: 0 done, 1 done with some elements unusable, 2 wrong use, 3 nothing could be done.
    """


def main() -> None:
    """Run the program."""
    keep_freed_memory()
    sys.exit(cli())


if __name__ == "__main__":
    main()
