"""The journal of an output folder, with its lock, its manifest and a scratch folder.

The journal is the one record of results; chunks add theirs through journals of their own, see
`chunks`. The manifest is its summary for people and pipelines, rewritten at the end of each run.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from vfxmatte.errors import OutputError
from vfxmatte.io.temporary import remove_leftovers, write_whole
from vfxmatte.journal import chunks
from vfxmatte.journal.claim import Claim, held
from vfxmatte.journal.records import STATE_FOLDER, BaseJournal, FrameRecord

_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP})
MANIFEST_FILE = "manifest.json"


class Journal(BaseJournal):
    """The journal of one output folder, locked while it is open; a context manager."""

    def __init__(self, output: Path) -> None:
        super().__init__(output, chunks.main_journal(output))
        self._state = output / STATE_FOLDER
        self.scratch = self._state / "scratch"
        """A folder for intermediate results, empty at first and removed at the end; after a kill
        the next run empties it."""
        self._lock = FileLock(self._state / "lock")
        self._claim = Claim(self._state / "owner.json")

    @classmethod
    def peek(cls, output: Path) -> Journal:
        """Read an output folder's journals, those of chunks too, without a lock; writes nothing."""
        journal = cls(output)
        journal.records, journal.runs = chunks.read_all(output)
        return journal

    def __enter__(self) -> Journal:
        """Take the lock, fold in the journals of chunks, and read everything.

        Raises:
            OutputLockedError: another run is writing here. OutputError: the folder is read-only.
        """
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            self._take_lock()
            self._claim.take()
            self._end_last_line()
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch.mkdir()
            self.fold()
        except Timeout as error:
            raise held(self._claim.path, self._claim.holder(), None) from error
        except OutputError:
            self._release()
            raise
        except OSError as error:
            self._release()
            raise OutputError(
                f"results cannot be written: {error.strerror or error}",
                path=self.output,
                hint="give a writable folder to --output",
            ) from error
        return self

    def add(self, record: FrameRecord) -> None:
        """Append one frame's state. Raises OutputError, also where the lock has been lost."""
        self._claim.check()
        super().add(record)

    def _take_lock(self) -> None:
        """Take the file system's lock, if it has any; raises Timeout if another process has it."""
        try:
            self._lock.acquire(timeout=0)
        except NotImplementedError:
            return
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise

    def _release(self) -> None:
        self._claim.release()
        self._lock.release()

    def fold(self) -> None:
        """Take in the records of chunks, remove what killed ones have left, and read everything
        again. Raises OutputError."""
        chunks.fold(self.output)
        self.remove_leftovers()
        self.records, self.runs = chunks.read_all(self.output)

    def remove_leftovers(self, *, nobody_writes: bool = False) -> None:
        """Remove temporary files of killed runs and chunks.

        Args:
            nobody_writes: all is finished; what is not provably in use is removed too.
        """
        now = self._now()
        for folder in (self.output, *self.output.glob("*/")):
            remove_leftovers(folder, now=now, nobody_writes=nobody_writes)
        chunks.remove_leftovers(self.output, now=now, nobody_writes=nobody_writes)

    def _now(self) -> float:
        """Return the time by the clock of the file system, which may be another machine's."""
        probe = self.scratch / "now"
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
        return now

    def _end_last_line(self) -> None:
        """End a last line that a kill has cut short, so that the next record has its own."""
        if self.path.is_file() and not self.path.read_bytes().endswith(b"\n"):
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write("\n")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._release()

    def reset(self) -> None:
        """Count every frame as not done. Files stay until they are replaced."""
        self.records = {}
        self.path.unlink(missing_ok=True)

    def write_manifest(
        self,
        header: Mapping[str, Any],
        current: Mapping[int, str] | None = None,
        locked: Collection[int] = (),
    ) -> Path:
        """Write manifest.json: the header and every frame's state; whole or not at all.

        Args:
            current: the present fingerprint of each frame; a matte with another one is stale.
            locked: the frames that are locked, whatever they were made from.

        Raises:
            OutputError: it cannot be written.
        """
        current = current or {}
        frames = [
            {
                "frame": record.number,
                "state": "locked"
                if record.number in locked
                else _state(record, current.get(record.number, record.fingerprint)),
                "file": record.file,
                "error": record.error,
                "stale_file": record.stale,
                "fingerprint": record.fingerprint,
                "stats": dict(record.stats),
            }
            for _, record in sorted(self.records.items())
        ]
        path = self.output / MANIFEST_FILE
        write_whole(path, json.dumps({**header, "frames": frames}, indent=1) + "\n")
        return path


def _state(record: FrameRecord, fingerprint: str) -> str:
    if record.error:
        return "failed"
    return "done" if record.fingerprint == fingerprint else "stale"
