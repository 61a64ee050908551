"""Files that are either whole or not there: a temporary name in the same folder, then a rename."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vfxmatte.errors import OutputError

_LEFTOVER = re.compile(r"\..+\.\d+\.part(\.[^.]+)?")


@contextmanager
def renamed_when_whole(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` to write to; renamed to `path` when the block ends well.

    The data is forced to the disk before the rename, so that after a power cut a file that has
    its name is whole. The folder is made where it is missing. On any failure the temporary file
    is removed; the operating system's errors become OutputError.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"cannot write: {error.strerror or error}",
            path=path,
            hint="is the disk full, or the folder read-only?",
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files of killed processes from a folder that nobody writes to now."""
    with suppress(OSError):  # what cannot be removed does no harm
        for path in folder.iterdir():
            if _LEFTOVER.fullmatch(path.name):
                path.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
