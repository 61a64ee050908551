"""Which process a file under way belongs to, told by a mark in its name, and whether it is gone.

Several processes, perhaps on several machines, may write into one folder. Only a process of this
machine since it was started can be proven gone; of any other one knows only how long it is quiet.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import secrets
import sys
import uuid
from pathlib import Path

QUIET_SECONDS = 3600.0
"""A file that has not been touched for so long belongs to nobody any more."""

MARK = r"[0-9a-f]{12}-\d+-[0-9a-f]{8}"
"""What a mark looks like, as a regular expression without groups."""

_MARK = re.compile(MARK)


def new_mark() -> str:
    """A mark that nobody else has: this machine's, this process', and a random part."""
    return f"{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"


def is_alive(mark: str) -> bool | None:
    """Whether the process that made the mark lives; None where this machine cannot know."""
    if _MARK.fullmatch(mark) is None:
        return None
    machine, pid, _ = mark.split("-")
    if machine != _machine():
        return None
    return _runs(int(pid))


def is_abandoned(mark: str, touched: float, now: float) -> bool:
    """Whether nobody goes on with what carries this mark.

    touched: when it was last changed; now: both in seconds, by the file system's clock.
    """
    alive = is_alive(mark)
    return now - touched > QUIET_SECONDS if alive is None else not alive


@functools.cache
def _machine() -> str:
    """12 hex digits: this machine since it was started, and the processes that it can see."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        seen = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        boot, seen = platform.node(), str(uuid.getnode())
    return hashlib.sha256(f"{boot} {seen}".encode()).hexdigest()[:12]


def _runs(pid: int) -> bool | None:
    if sys.platform == "win32":  # where signal 0 would be sent
        return True if pid == os.getpid() else None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
