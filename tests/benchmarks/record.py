"""The record of a benchmark: what was measured, with what, and how; one JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vfxmatte.bench import machine
from vfxmatte.errors import OutputError, UsageError
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.network.sidecar import file_sha256, named_weights, read_sidecar

FORMAT = 1
KIND = "vfxmatte bench"

Row = dict[str, Any]
_LISTS = ("network", "footage", "stages", "end_to_end")


@dataclass(frozen=True, kw_only=True)
class Record:
    """Everything that one benchmark found.

    header: format, kind, created, commit, machine, versions, threads, weights, settings, complete.
    network, footage, stages, end_to_end: rows, with their raw repeats. arithmetic: of the device;
    nothing where there is no GPU.
    """

    header: dict[str, Any]
    network: list[Row] = field(default_factory=list)
    footage: list[Row] = field(default_factory=list)
    stages: list[Row] = field(default_factory=list)
    end_to_end: list[Row] = field(default_factory=list)
    arithmetic: list[Row] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            **self.header,
            "network": self.network,
            "footage": self.footage,
            "arithmetic": self.arithmetic[0] if self.arithmetic else None,
            "stages": self.stages,
            "end_to_end": self.end_to_end,
        }

    def save(self, path: Path, *, complete: bool) -> None:
        """Write it whole or not at all; raises OutputError."""
        self.header["complete"] = complete
        self.header["versions"], self.header["threads"] = machine.versions(), machine.threads()
        self.header["machine"] = machine.machine()
        text = json.dumps(self.as_dict(), indent=1, ensure_ascii=False)
        with renamed_when_whole(path) as partial:
            partial.write_text(text + "\n", encoding="utf-8")


def begin(
    settings: Mapping[str, Any], *, weights: Path | None = None, commit: str | None = None
) -> Record:
    """An empty record of this machine, this moment and these weights.

    commit: what to write down where this is no checkout. Raises WeightsError.
    """
    found = machine.commit()
    if found is None and commit:
        found = {"sha": commit, "dirty": None}
    path = named_weights(weights)
    header = {
        "format": FORMAT,
        "kind": KIND,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "complete": False,
        "commit": found,
        "machine": machine.machine(),
        "versions": machine.versions(),
        "threads": machine.threads(),
        "weights": {
            "name": read_sidecar(path).get("name", path.stem),
            "sha256": file_sha256(path),
            "network": read_sidecar(path).get("network"),
        },
        "settings": dict(settings),
    }
    return Record(header=header)


def read_record(path: Path) -> dict[str, Any]:
    """A record as plain values.

    Raises UsageError: no such file, another kind of file, or another version's format.
    """
    hint = "give files that `python -m tests.benchmarks --json FILE` has written"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read: {error.strerror}", path=path, hint=hint) from error
    except ValueError as error:
        raise UsageError("not a JSON file", path=path, hint=hint) from error
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise UsageError("not the record of a benchmark", path=path, hint=hint)
    if found.get("format") != FORMAT:
        raise UsageError(f"format {found.get('format')}, expected {FORMAT}", path=path, hint=hint)
    lacking = [name for name in (*_LISTS, "machine", "versions", "settings") if name not in found]
    if lacking:
        raise UsageError(f"the record lacks {', '.join(lacking)}", path=path, hint=hint)
    return found


def writable(path: Path) -> None:
    """Find out before an hour's work whether its record can be written; raises OutputError."""
    if path.is_dir():
        raise OutputError("a folder cannot be the record", path=path, hint="name a .json file")
    with renamed_when_whole(path.with_name(f"{path.name}.try")) as partial:
        partial.write_text("", encoding="utf-8")
    path.with_name(f"{path.name}.try").unlink()


def sizes_text(sizes: Sequence[tuple[int, int]]) -> list[str]:
    return [f"{width}x{height}" for width, height in sizes]
