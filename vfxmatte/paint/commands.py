"""Other commands of this program, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from vfxmatte.errors import VfxmatteError

_MOST_SECONDS = 1800.0


def ask_command(words: Sequence[str]) -> str:
    """Run `vfxmatte WORDS` and return what it prints; raises VfxmatteError with its message."""
    command = [sys.executable, "-P", "-m", "vfxmatte", *words]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise VfxmatteError(f"vfxmatte {words[0]} took too long") from error
    if done.returncode:
        lines = [line.strip() for line in done.stderr.strip().splitlines()] or ["it said nothing"]
        raise VfxmatteError(lines[0].removeprefix("error: "), hint=" ".join(lines[1:]) or None)
    return done.stdout
