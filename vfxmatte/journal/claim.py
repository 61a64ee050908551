"""A folder claimed by one process, also across machines that share it over a network.

The file system's own lock may not reach other machines (NFS, CIFS). A claim is a file that only one
process can create; it names its holder, who updates its time as long as the process runs.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vfxmatte.common.parallel import repeatedly
from vfxmatte.errors import OutputLockedError
from vfxmatte.io.process_marks import is_alive, new_mark

BEAT_SECONDS = 20.0
"""How often the holder updates the claim's time."""
DEAD_SECONDS = 300.0
"""A holder on another machine counts as dead after this time without an update."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The process that holds a claim."""

    user: str
    host: str
    pid: int
    since: float
    """Seconds since 1970, by the holder's clock."""
    mark: str
    """A unique process id, see `io.process_marks`."""

    @classmethod
    def this_process(cls) -> Holder:
        """Describe the calling process."""
        try:
            user = getpass.getuser()
        except (OSError, KeyError):  # a container without names
            user = "somebody"
        host = platform.node() or "an unnamed machine"
        return cls(user=user, host=host, pid=os.getpid(), since=time.time(), mark=new_mark())

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(self.since))
        return f"{self.user} on {self.host}, process {self.pid}, since {since}"


class Claim:
    """The claim on a folder's output, through a file in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._me: Holder | None = None
        self._lost = False
        self._beat = ExitStack()

    def take(self) -> None:
        """Claim the folder, or take the claim over from a dead holder.

        Raises:
            OutputLockedError: another process holds it.
            OSError: the folder cannot be written.
        """
        me = Holder.this_process()
        for _ in range(3):
            if _create(self.path, me):
                self._me, self._lost = me, False
                self._beat.enter_context(repeatedly(self._renew, BEAT_SECONDS))
                return
            self.refuse_living()
        raise OutputLockedError("others claim this output too", path=self.path, hint="try again")

    def refuse_living(self) -> None:
        """Raise OutputLockedError if the holder is alive; remove the claim of a dead one."""
        holder, silent = self.holder(), self._silence()
        if silent is None:
            return  # it has just been released
        if silent > DEAD_SECONDS or (holder is not None and is_alive(holder.mark) is False):
            _remove(self.path, holder)
            return
        raise held(self.path, holder, silent)

    def release(self) -> None:
        """Release the claim, if it is still ours."""
        self._beat.close()
        if self._me is not None and self.holder() == self._me:
            with suppress(OSError):
                self.path.unlink()
        self._me = None

    def check(self) -> None:
        """Raise OutputLockedError if another process has taken the claim over."""
        if self._lost:
            taker = self.holder()
            raise OutputLockedError(
                f"another run has taken this output over: {taker or 'its claim was removed'}",
                path=self.path.parent.parent,
                hint=f"this one was silent for {DEAD_SECONDS / 60:g} minutes, or its claim was "
                "removed; finished frames are kept: run again when the other has ended",
            )

    def holder(self) -> Holder | None:
        """Return the holder; None if there is none, or it cannot be read."""
        try:
            return Holder(**json.loads(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _renew(self) -> None:
        """Update the claim's time, and notice if another process has taken it."""
        try:
            text = self.path.read_text(encoding="utf-8")
            self._lost = self._me is None or json.loads(text).get("mark") != self._me.mark
            if not self._lost:
                os.utime(self.path)
        except FileNotFoundError:
            self._lost = True
        except (OSError, ValueError):  # the network is down for a while
            pass

    def _silence(self) -> float | None:
        """Return the seconds since the last update, by the file system's clock; None if free."""
        try:
            updated = self.path.stat().st_mtime
        except FileNotFoundError:
            return None
        probe = self.path.with_name(f"now.{new_mark()}")
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
        return max(0.0, now - updated)


def held(path: Path, holder: Holder | None, silent: float | None) -> OutputLockedError:
    """Return the error that names who writes to an output, and what to do."""
    who = f": {holder}" if holder else ""
    sign = "" if silent is None else f"; last sign of life {silent:.0f} s ago"
    return OutputLockedError(
        f"another run is writing to this output{who}{sign}",
        path=path.parent.parent,
        hint="wait for it, stop it, or give another --output; without a sign of life for "
        f"{DEAD_SECONDS / 60:g} minutes it counts as dead; if it is gone for sure, remove {path}",
    )


def _create(path: Path, me: Holder) -> bool:
    """Create the claim's file; returns False if there is one already."""
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(asdict(me), stream)
        stream.flush()
        os.fsync(stream.fileno())
    return True


def _remove(path: Path, dead: Holder | None) -> None:
    """Remove a dead holder's claim; a new one that another process has just made is put back."""
    aside = path.with_name(f"{path.name}.{new_mark()}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    if Claim(aside).holder() != dead:
        with suppress(OSError):
            os.link(aside, path)
    aside.unlink(missing_ok=True)
