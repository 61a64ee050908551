"""What is known of the frames of one output folder, and a file of JSON lines to which is added.

A frame's line is appended after the frame's file has its final name, so that a kill at any moment
loses at most a frame that is then done again. A line of another kind says what a run works with.
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
    """One frame's last state: `file` and `size_bytes` where it was written, else `error`.

    fingerprint: names everything that decides the frame's alpha and its file, see
    `plan.Fingerprints`. alpha: how the file holds the alpha that was solved, see
    `io.writers.alpha_type`; None where it is not known. stale: where the matte of an
    earlier run was moved when this frame failed. time: seconds since 1970, by the writer's clock.
    Files are relative to the output folder, with forward slashes.
    """

    number: int
    fingerprint: str
    file: str | None = None
    size_bytes: int = 0
    error: str | None = None
    alpha: str | None = None
    stats: Mapping[str, float] = field(default_factory=dict)
    stale: str | None = None
    time: float = 0.0


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run works with: its engine's description and its device, see `engines.base`.

    asked: the settings that led to it.
    """

    engine: Mapping[str, Any]
    device: str
    asked: Mapping[str, Any]
    time: float = 0.0


class Ledger:
    """Frames by number, as they are known now, and the file to add to."""

    def __init__(self, output: Path, path: Path) -> None:
        self.output = output
        self.path = path
        self.records: dict[int, FrameRecord] = {}
        self.runs: list[RunRecord] = []

    def finished(self, number: int, fingerprint: str) -> Path | None:
        """The frame's file, if it is there, whole, and made from the same things."""
        record = self.records.get(number)
        if record is None or record.fingerprint != fingerprint:
            return None
        return file_of(record, self.output)

    def add(self, record: FrameRecord) -> None:
        """Append one frame's state; it is on disk when this returns. Raises OutputError."""
        self.records[record.number] = record
        append(self.path, [record], frame=record.number)

    def say(self, record: RunRecord) -> None:
        """Append what this run works with. Raises OutputError."""
        self.runs.append(record)
        append(self.path, [record])


def file_of(record: FrameRecord, output: Path) -> Path | None:
    """The record's file where it is on disk with the size that was written."""
    if record.file is None:
        return None
    path = output / record.file
    try:
        return path if path.stat().st_size == record.size_bytes else None
    except OSError:
        return None


def append(
    path: Path, records: Iterable[FrameRecord | RunRecord], *, frame: int | None = None
) -> None:
    """Add lines to a file; they are on disk when this returns. Raises OutputError."""
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
        return {**run, "asked": dict(record.asked), "time": written}
    row = {"frame": record.number, "fingerprint": record.fingerprint, "file": record.file}
    row |= {"bytes": record.size_bytes, "error": record.error, "stats": dict(record.stats)}
    return {**row, "alpha": record.alpha, "stale": record.stale, "time": written}


def read(path: Path) -> list[FrameRecord | RunRecord]:
    """The lines of a file in their order; one that a kill cut short is passed over."""
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
                asked=dict(row["asked"]),
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
    """A path within the output folder: a line names no other file, whoever has written it."""
    if value is None:
        return None
    path = PureWindowsPath(_of_type(value, str))  # knows drives and both slashes
    if path.anchor or ".." in path.parts or "\0" in value:
        raise ValueError(f"a path that leads elsewhere: {value!r:.80}")
    return str(value)
