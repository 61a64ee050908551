"""Chunks: parts of a shot that any number of processes solve into one output folder at once.

Each has a journal and a scratch folder of its own under a unique name, and takes no lock: every
file is written under a temporary name and renamed, and equal fingerprints mean equal pixels. The
journals of chunks are folded into the main one when a run or a merge takes the folder's lock.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from vfxmatte.errors import OutputError
from vfxmatte.io.process_marks import is_abandoned, is_alive, new_mark
from vfxmatte.journal.records import (
    STATE_FOLDER,
    BaseJournal,
    FrameRecord,
    RunRecord,
    append,
    file_of,
    read,
)

_FOLDER = "chunks"
_JOURNAL, _ENDED, _TAKEN, _SCRATCH = ".jsonl", ".ended", ".folding", ".scratch"


class ChunkJournal(BaseJournal):
    """The journal of one chunk; a context manager."""

    def __init__(self, output: Path, name: str) -> None:
        """
        Args:
            name: the chunk's, e.g. its frame range.
        """
        folder = output / STATE_FOLDER / _FOLDER
        stem = f"{name}.{new_mark()}"
        super().__init__(output, folder / f"{stem}{_JOURNAL}")
        self.scratch = folder / f"{stem}{_SCRATCH}"
        """A folder for this chunk's intermediate results, removed at the end."""

    def __enter__(self) -> ChunkJournal:
        """Read the journals of all. Raises OutputError: a read-only folder."""
        try:
            self.scratch.mkdir(parents=True)
        except OSError as error:
            raise OutputError(
                f"results cannot be written: {error.strerror or error}",
                path=self.output,
                hint="give a writable folder to --output",
            ) from error
        self.records, self.runs = read_all(self.output)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.scratch, ignore_errors=True)
        with suppress(OSError):  # nothing was recorded, or another process has taken it
            self.path.rename(self.path.with_suffix(_ENDED))

    def fold(self) -> None:
        """Read everything again."""
        self.records, self.runs = read_all(self.output)

    def reset(self) -> None:
        """Count every frame as not done, for this chunk."""
        self.records = {}


def main_journal(output: Path) -> Path:
    """Return the file that the journals of chunks are folded into."""
    return output / STATE_FOLDER / "journal.jsonl"


def read_all(output: Path) -> tuple[dict[int, FrameRecord], list[RunRecord]]:
    """Return the last record of each frame, of merged and unmerged chunks; and the runs so far."""
    main = read(main_journal(output))
    chunks = [record for path in _journals(output) for record in read(path)]
    records: dict[int, FrameRecord] = {}
    runs: list[RunRecord] = []
    for record, of_chunk in _in_time(main, chunks):
        if isinstance(record, RunRecord):
            runs.append(record)
        elif not (of_chunk and _undoes_success(record, records.get(record.number), output)):
            records[record.number] = record
    return records, runs


def fold(output: Path) -> None:
    """Move the records of chunks into the main journal; the caller holds the folder's lock.

    Journals of processes that run on this machine stay where they are. A process elsewhere that
    still appends to a taken journal starts it anew. Raises OutputError.
    """
    taken = [_take(path) for path in _journals(output) if not _in_use(path)]
    paths = [path for path in taken if path is not None]
    chunks = sorted((r for path in paths for r in read(path)), key=lambda record: record.time)
    records, _ = read_all(output)
    current = [r for r in chunks if isinstance(r, RunRecord) or r == records.get(r.number)]
    if current:
        append(main_journal(output), current)
    for path in paths:
        path.unlink(missing_ok=True)


def remove_leftovers(output: Path, *, now: float, nobody_writes: bool) -> None:
    """Remove the scratch folders of killed chunks; see `io.temporary.remove_leftovers`."""
    for path in (output / STATE_FOLDER / _FOLDER).glob(f"*{_SCRATCH}"):
        alive = is_alive(_mark(path))
        if is_abandoned(_mark(path), _touched(path), now) or (nobody_writes and not alive):
            shutil.rmtree(path, ignore_errors=True)
    with suppress(OSError):  # not empty, or missing
        (output / STATE_FOLDER / _FOLDER).rmdir()


def _journals(output: Path) -> list[Path]:
    folder = output / STATE_FOLDER / _FOLDER
    return sorted(p for p in folder.glob("*") if p.suffix in (_JOURNAL, _ENDED, _TAKEN))


def _in_use(journal: Path) -> bool:
    return journal.suffix == _JOURNAL and is_alive(_mark(journal)) is True


def _mark(path: Path) -> str:
    """Return the process mark in a name such as `1001-1048.MARK.jsonl`."""
    return path.stem.rpartition(".")[2]


def _take(path: Path) -> Path | None:
    """Rename a journal, so that later records are not lost; None if it is gone."""
    if path.suffix == _TAKEN:
        return path
    # A unique name: the same chunk's journal may have been taken before.
    taken = path.with_name(f"{path.stem}-{os.urandom(4).hex()}{_TAKEN}")
    try:
        return path.rename(taken)
    except OSError:
        return None


def _in_time(
    main: list[FrameRecord | RunRecord], chunks: list[FrameRecord | RunRecord]
) -> Iterator[tuple[FrameRecord | RunRecord, bool]]:
    """Yield all records by time, each with whether it is a chunk's; the main journal keeps its own
    order."""
    latest = 0.0
    rows: list[tuple[float, bool, FrameRecord | RunRecord]] = []
    for record in main:
        latest = max(latest, record.time)
        rows.append((latest, False, record))
    rows += [(record.time, True, record) for record in chunks]
    for _, of_chunk, record in sorted(rows, key=lambda row: row[:2]):
        yield record, of_chunk


def _undoes_success(new: FrameRecord, old: FrameRecord | None, output: Path) -> bool:
    """Return True if a worker has failed on a frame that another one has finished."""
    if new.error is None or old is None or old.fingerprint != new.fingerprint:
        return False
    return file_of(old, output) is not None


def _touched(folder: Path) -> float:
    """Return when anything in a scratch folder was last changed; 0 if unknown."""
    times = [0.0]
    with suppress(OSError):
        for path in (folder, *folder.rglob("*")):
            times.append(path.stat().st_mtime)
    return max(times)
