"""The command line: options become settings, and results are printed.

Heavy modules are imported by the command that needs them; only solving commands load torch.
"""

from __future__ import annotations

from vfxmatte.cli.group import commands, main

__all__ = ["commands", "main"]
