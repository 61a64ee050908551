"""Files that are either whole or not there: a temporary name in the same folder, then a rename."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vfxmatte.errors import OutputError
from vfxmatte.io.process_marks import MARK, is_abandoned, is_alive, new_mark

_LEFTOVER = re.compile(rf"\..+\.({MARK}|\d+)\.part(\.[^.]+)?")


@contextmanager
def renamed_when_whole(path: Path) -> Iterator[Path]:
    """A hidden name beside `path` to write to; renamed to `path` when the block ends well.

    The name is no other process' or thread's, on whatever machine. The data is forced to the disk
    before the rename, so that after a power cut a file that has its name is whole. The folder is
    made where it is missing. On any failure the temporary file is removed; the operating system's
    errors become OutputError, unless they are of another file, one that the block reads, say.
    """
    temporary = path.with_name(f".{path.stem}.{new_mark()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    except OSError as error:
        if not _is_of(error, temporary):
            raise
        raise OutputError(
            f"cannot write: {error.strerror or error}", path=path, hint=_hint(error)
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _is_of(error: OSError, temporary: Path) -> bool:
    """Whether an error may be of the file being written: it names that, its place, or nothing."""
    named = [name for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    places = {os.fsdecode(place) for place in (temporary, *temporary.parents)}
    return not named or any(os.fsdecode(name) in places for name in named)


def _hint(error: OSError) -> str:
    """What to do about a file that cannot be written."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return "the disk, or your share of it, is full: make room and run again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "may you write in this folder? is the file open elsewhere, or the disk read-only?"
    if error.errno == errno.EISDIR:
        return "there is a folder of this name: move it away"
    return "is the disk full, or the folder read-only?"


def remove_leftovers(folder: Path, *, now: float, nobody_writes: bool = False) -> None:
    """Remove the temporary files that killed processes have left in a folder.

    now: by the file system's clock. nobody_writes: also those of which it cannot be known whether
    their process lives; else only where it is gone, or quiet for long.
    """
    with suppress(OSError):  # what cannot be removed does no harm
        for path in folder.iterdir():
            match = _LEFTOVER.fullmatch(path.name)
            if match is not None and _removable(path, match[1], now, nobody_writes):
                path.unlink(missing_ok=True)


def _removable(path: Path, mark: str, now: float, nobody_writes: bool) -> bool:
    if mark.isdecimal():  # of an earlier version, which kept everyone else away
        return True
    if nobody_writes:
        return not is_alive(mark)
    return is_abandoned(mark, path.stat().st_mtime, now)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
