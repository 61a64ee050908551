"""What has been finished in an output folder: a lock, a journal, a manifest, room for scratch.

The journal is a file of JSON lines; a frame's line is appended after the frame's file has its
final name, so that a kill at any moment loses at most a frame that is then done again. The
manifest is the journal's summary for people and pipelines, rewritten at the end of each run.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from vfxmatte.errors import OutputError, OutputLockedError
from vfxmatte.io.temporary import remove_leftovers, renamed_when_whole

STATE_FOLDER = ".vfxmatte"
MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class FrameRecord:
    """One frame's last state: `file` and `size_bytes` where it was written, else `error`.

    fingerprint: names everything that decides the frame's pixels.
    """

    number: int
    fingerprint: str
    file: str | None = None
    size_bytes: int = 0
    error: str | None = None
    stats: Mapping[str, float] = field(default_factory=dict)


class Journal:
    """The journal of one output folder, locked while it is open.

    scratch: a folder for intermediate results, empty at first; it goes when the journal is closed,
    or, after a kill, when the next run opens it.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self.records: dict[int, FrameRecord] = {}
        self._state = output / STATE_FOLDER
        self.scratch = self._state / "scratch"
        self._lock = FileLock(self._state / "lock")
        self._path = self._state / "journal.jsonl"

    @classmethod
    def peek(cls, output: Path) -> Journal:
        """What an output folder's journal says now, without taking the lock; writes nothing."""
        journal = cls(output)
        journal.records = _read(journal._path)
        return journal

    def __enter__(self) -> Journal:
        """Take the lock and read what is there.

        Raises:
            OutputLockedError: another run is writing here. OutputError: the folder is read-only.
        """
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            self._clear()
        except Timeout as error:
            raise OutputLockedError(
                "another run is writing to this output",
                path=self.output,
                hint="wait for it, stop it, or give another --output",
            ) from error
        except OSError as error:
            self._lock.release()
            raise OutputError(
                f"results cannot be written: {error.strerror or error}",
                path=self.output,
                hint="give a writable folder to --output",
            ) from error
        self.records = _read(self._path)
        return self

    def _clear(self) -> None:
        """Away with what a killed run left behind."""
        self._end_last_line()
        for folder in (self.output, *self.output.glob("*/")):
            remove_leftovers(folder)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()

    def _end_last_line(self) -> None:
        """A kill may have cut the last line short; the next one must not continue it."""
        if self._path.is_file() and not self._path.read_bytes().endswith(b"\n"):
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write("\n")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
        self._lock.release()

    def forget(self) -> None:
        """Start again: every frame counts as not done. Files stay until they are replaced."""
        self.records = {}
        self._path.unlink(missing_ok=True)

    def finished(self, number: int, fingerprint: str) -> Path | None:
        """The frame's file, if it is there, whole, and made from the same things."""
        record = self.records.get(number)
        if record is None or record.file is None or record.fingerprint != fingerprint:
            return None
        path = self.output / record.file
        try:
            return path if path.stat().st_size == record.size_bytes else None
        except OSError:
            return None

    def add(self, record: FrameRecord) -> None:
        """Append one frame's state; it is on disk when this returns."""
        self.records[record.number] = record
        line = {"frame": record.number, "fingerprint": record.fingerprint}
        line |= {"file": record.file, "bytes": record.size_bytes, "error": record.error}
        text = json.dumps({**line, "stats": dict(record.stats)})
        try:
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(text + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise OutputError(
                f"the journal cannot be written: {error.strerror or error}",
                frame=record.number,
                path=self._path,
                hint="is the disk full? free some space and run again: finished frames are kept",
            ) from error

    def write_manifest(self, header: Mapping[str, Any]) -> Path:
        """manifest.json: the header and every frame's state, whole or not at all.

        Raises OutputError.
        """
        frames = [
            {
                "frame": record.number,
                "state": "failed" if record.error else "done",
                "file": record.file,
                "error": record.error,
                "fingerprint": record.fingerprint,
                "stats": dict(record.stats),
            }
            for _, record in sorted(self.records.items())
        ]
        path = self.output / MANIFEST_FILE
        with renamed_when_whole(path) as temporary:
            text = json.dumps({**header, "frames": frames}, indent=1)
            temporary.write_text(text + "\n", encoding="utf-8")
        return path


def _read(path: Path) -> dict[int, FrameRecord]:
    """The last record of each frame; a line that a kill cut short is passed over."""
    records: dict[int, FrameRecord] = {}
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for line in text.splitlines():
        try:
            row = json.loads(line)
            record = FrameRecord(
                number=row["frame"],
                fingerprint=row["fingerprint"],
                file=row["file"],
                size_bytes=row["bytes"],
                error=row["error"],
                stats=row["stats"],
            )
        except (ValueError, KeyError, TypeError):
            continue
        records[record.number] = record
    return records
