"""The locked frames of an output folder: mattes that no run touches.

A lock names a file and what it was when it was locked. Locks lie beside the journal, which may be
reset; a matte that was edited since is as locked as before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vfxmatte.errors import OutputError
from vfxmatte.io.temporary import write_whole
from vfxmatte.journal.records import STATE_FOLDER

_FILE = "locked.json"


@dataclass(frozen=True, kw_only=True)
class Lock:
    """One locked frame."""

    number: int
    file: str
    """The matte's name in the output folder."""
    content: str
    """Digest of the matte when it was locked."""
    plate: str
    """Signature of its plate when it was locked, see `io.plate.Plate.signature`."""


def locks_path(output: Path) -> Path:
    """Return the file that lists the locked frames of an output folder."""
    return output / STATE_FOLDER / _FILE


def read_locks(output: Path) -> dict[int, Lock]:
    """Return the locks by frame number, ascending; {} if nothing was ever locked.

    Raises:
        OutputError: the list cannot be read: no run may guess what is locked.
    """
    path = locks_path(output)
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["locked"]
        locks = [_lock(row) for row in rows]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputError(
            f"the list of locked frames cannot be read: {error}",
            path=path,
            hint="restore it, or delete it to unlock all frames",
        ) from error
    return {lock.number: lock for lock in sorted(locks, key=lambda lock: lock.number)}


def write_locks(output: Path, locks: Iterable[Lock]) -> None:
    """Replace the list of locked frames; raises OutputError."""
    rows = [asdict(lock) for lock in sorted(locks, key=lambda lock: lock.number)]
    write_whole(locks_path(output), json.dumps({"locked": rows}, indent=1) + "\n")


def locked_matte(lock: Lock, output: Path) -> Path:
    """Return the matte of a locked frame; raises OutputError if it is gone."""
    path = output / lock.file
    if not path.is_file():
        raise OutputError(
            "the matte of a locked frame is gone",
            frame=lock.number,
            path=path,
            hint=f"restore it, or give it up: vfxmatte unlock SHOT {lock.number}",
        )
    return path


def _lock(row: Mapping[str, Any]) -> Lock:
    name = str(row["file"])
    if Path(name).name != name:
        raise ValueError(f"a matte outside of the folder: {name!r:.80}")
    number = row["number"]
    if type(number) is not int:
        raise ValueError(f"no frame number: {number!r:.80}")
    return Lock(number=number, file=name, content=str(row["content"]), plate=str(row["plate"]))
