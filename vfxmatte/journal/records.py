"""The records of a journal, and their file of JSON lines.

A frame's line is appended after the frame's file has its final name, so that a kill at any moment
loses at most one frame, which is then done again. Another kind of line records a run's engine.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from typing import Any

from vfxmatte.errors import OutputError

STATE_FOLDER = ".vfxmatte"


@dataclass(frozen=True, kw_only=True)
class FrameRecord:
    """One frame's last state: `file` and `size_bytes` if it was written, else `error`."""

    number: int
    fingerprint: str
    """Identifies what decides the frame's alpha and its file, see `plan.Fingerprints`."""
    file: str | None = None
    """Relative to the output folder, with forward slashes; so is `stale`."""
    size_bytes: int = 0
    error: str | None = None
    alpha: str | None = None
    """How the file holds the solved alpha, see `io.writers.alpha_type`; None if unknown."""
    solved: str | None = None
    """The file that holds the solved alpha instead, where `file` holds it with other edges."""
    solved_bytes: int = 0
    stats: Mapping[str, float] = field(default_factory=dict)
    stale: str | None = None
    """Where the matte of an earlier run was moved when this frame failed."""
    time: float = 0.0
    """Seconds since 1970, by the writer's clock."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """The engine and the device of a run, see `engines.base`."""

    engine: Mapping[str, Any]
    """The engine's description."""
    device: str
    requested: Mapping[str, Any]
    """The settings that led to this engine, see `plan.requested_engine`."""
    time: float = 0.0
    """Seconds since 1970, by the writer's clock."""


class BaseJournal:
    """The last record of each frame, and the file that new records are appended to."""

    def __init__(self, output: Path, path: Path) -> None:
        self.output = output
        self.path = path
        self.records: dict[int, FrameRecord] = {}
        self.runs: list[RunRecord] = []

    def finished(self, number: int, fingerprint: str) -> Path | None:
        """Return the frame's file if it exists, is whole and has this fingerprint; else None."""
        record = self.records.get(number)
        if record is None or record.fingerprint != fingerprint:
            return None
        return file_of(record, self.output)

    def add(self, record: FrameRecord) -> None:
        """Append one frame's state; it is on disk when this returns. Raises OutputError."""
        self.records[record.number] = record
        append(self.path, [record], frame=record.number)

    def add_run(self, record: RunRecord) -> None:
        """Append the engine and device of a run. Raises OutputError."""
        self.runs.append(record)
        append(self.path, [record])


def file_of(record: FrameRecord, output: Path) -> Path | None:
    """Return a record's file if it is on disk with the size that was written; else None."""
    if record.file is None:
        return None
    path = output / record.file
    return path if _has_size(path, record.size_bytes) else None


def solved_file_of(record: FrameRecord, output: Path) -> Path | None:
    """Return the file that holds a record's solved alpha, if it is on disk whole; else None."""
    if record.solved is None:
        return file_of(record, output)
    path = output / record.solved
    return path if _has_size(path, record.solved_bytes) else None


def _has_size(path: Path, size_bytes: int) -> bool:
    try:
        return path.stat().st_size == size_bytes
    except OSError:
        return False


def append(
    path: Path, records: Iterable[FrameRecord | RunRecord], *, frame: int | None = None
) -> None:
    """Append records to a file; they are on disk when this returns. Raises OutputError."""
    text = "".join(json.dumps(_row(record)) + "\n" for record in records)
    try:
        with path.open("a", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise OutputError(
            f"the journal cannot be written: {error.strerror or error}",
            frame=frame,
            path=path,
            hint="is the disk full? free some space and run again: finished frames are kept",
        ) from error


def _row(record: FrameRecord | RunRecord) -> dict[str, Any]:
    written = record.time or time.time()
    if isinstance(record, RunRecord):
        run = {"engine": dict(record.engine), "device": record.device}
        return {**run, "asked": dict(record.requested), "time": written}
    row = {"frame": record.number, "fingerprint": record.fingerprint, "file": record.file}
    row |= {"bytes": record.size_bytes, "error": record.error, "stats": dict(record.stats)}
    if record.solved is not None:
        row |= {"solved": record.solved, "solved_bytes": record.solved_bytes}
    return {**row, "alpha": record.alpha, "stale": record.stale, "time": written}


def read(path: Path) -> list[FrameRecord | RunRecord]:
    """Return the records of a file in their order; a line that a kill cut short is skipped."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    records = (_record(line) for line in text.splitlines())
    return [record for record in records if record is not None]


def _record(line: str) -> FrameRecord | RunRecord | None:
    try:
        row = json.loads(line)
        if "frame" not in row:
            return RunRecord(
                engine=dict(row["engine"]),
                device=str(row["device"]),
                requested=dict(row["asked"]),
                time=float(row["time"]),
            )
        return FrameRecord(
            number=_of_type(row["frame"], int),
            fingerprint=_of_type(row["fingerprint"], str),
            file=_inside(row["file"]),
            size_bytes=_of_type(row["bytes"], int),
            error=_of_type(row["error"], str, type(None)),
            stats={str(name): float(value) for name, value in row["stats"].items()},
            alpha=_of_type(row.get("alpha"), str, type(None)),
            solved=_inside(row.get("solved")),
            solved_bytes=_of_type(row.get("solved_bytes", 0), int),
            stale=_inside(row.get("stale")),
            time=float(row.get("time", 0.0)),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _of_type(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise TypeError(f"a value of the wrong type: {value!r:.80}")
    return value


def _inside(value: Any) -> str | None:
    """Return a path within the output folder; raises ValueError for one that leads elsewhere."""
    if value is None:
        return None
    path = PureWindowsPath(_of_type(value, str))  # knows drives and both slashes
    if path.anchor or ".." in path.parts or "\0" in value:
        raise ValueError(f"a path that leads elsewhere: {value!r:.80}")
    return str(value)
