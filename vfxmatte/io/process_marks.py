"""Marks in the names of unfinished files: which process writes them, and whether it still runs.

Several processes, perhaps on several machines, may write into one folder. Only processes of this
machine since its last boot can be checked; others count as ended after a time without writes.
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
"""A file of an unknown process not modified for this long is abandoned."""

MARK = r"[0-9a-f]{12}-\d+-[0-9a-f]{8}"
"""Regular expression of a mark, without groups."""

_MARK = re.compile(MARK)


def new_mark() -> str:
    """Create a unique mark of this machine, this process, and a random part."""
    return f"{_machine()}-{os.getpid()}-{secrets.token_hex(4)}"


def is_alive(mark: str) -> bool | None:
    """Return True if the process that made the mark is running; None if that is unknown."""
    if _MARK.fullmatch(mark) is None:
        return None
    machine, pid, _ = mark.split("-")
    if machine != _machine():
        return None
    return _runs(int(pid))


def is_abandoned(mark: str, touched: float, now: float) -> bool:
    """Return True if the process that made this mark has ended, or is quiet for too long.

    Args:
        touched, now: last modification and current time in seconds by the file system's clock.
    """
    alive = is_alive(mark)
    return now - touched > QUIET_SECONDS if alive is None else not alive


@functools.cache
def _machine() -> str:
    """Identify this boot of the machine and its process namespace by 12 hex digits."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        seen = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        boot, seen = platform.node(), str(uuid.getnode())
    return hashlib.sha256(f"{boot} {seen}".encode()).hexdigest()[:12]


def _runs(pid: int) -> bool | None:
    if sys.platform == "win32":  # os.kill would terminate the process
        return True if pid == os.getpid() else None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return not _has_ended(pid)


def _has_ended(pid: int) -> bool:
    """Whether a process is there only because its parent has not asked how it ended (Linux)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[:1] in (["Z"], ["X"])
