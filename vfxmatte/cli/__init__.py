"""The command line: options to settings, settings to a run, results to the screen.

Nothing heavy is imported before a command needs it; only `run` and `info` load torch.
"""

from __future__ import annotations

from vfxmatte.cli.group import commands, main

__all__ = ["commands", "main"]
