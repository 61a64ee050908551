"""Write files atomically: to a temporary name in the same folder, then rename."""

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
    """Yield a unique hidden name beside `path`, renamed to `path` when the block succeeds.

    Creates the folder if needed, and flushes the data to disk before the rename, so that a file
    under its final name is complete even after a power cut. On failure the temporary file is
    removed; an OSError about it becomes OutputError, one about another file stays.
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


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name first, as `renamed_when_whole` does; text as UTF-8.

    Raises:
        OutputError: the file cannot be written; an earlier one is still there.
    """
    with renamed_when_whole(path) as temporary:
        if isinstance(content, str):
            temporary.write_text(content, encoding="utf-8")
        else:
            temporary.write_bytes(content)


def _is_of(error: OSError, temporary: Path) -> bool:
    """Return True if an error names the file being written, one of its folders, or nothing."""
    named = [name for name in (error.filename, error.filename2) if isinstance(name, (str, bytes))]
    places = {os.fsdecode(place) for place in (temporary, *temporary.parents)}
    return not named or any(os.fsdecode(name) in places for name in named)


def _hint(error: OSError) -> str:
    """Suggest what to do about a file that cannot be written."""
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", None)):
        return "the disk, or your share of it, is full: make room and run again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "may you write in this folder? is the file open elsewhere, or the disk read-only?"
    if error.errno == errno.EISDIR:
        return "there is a folder of this name: move it away"
    return "is the disk full, or the folder read-only?"


def remove_leftovers(folder: Path, *, now: float, nobody_writes: bool = False) -> None:
    """Remove the temporary files that killed processes have left in a folder.

    Args:
        now: the time in seconds by the file system's clock.
        nobody_writes: also remove files of processes whose state is unknown; otherwise only those
            of ended or long quiet ones.
    """
    with suppress(OSError):  # a file that cannot be removed does no harm
        for path in folder.iterdir():
            match = _LEFTOVER.fullmatch(path.name)
            if match is not None and _removable(path, match[1], now, nobody_writes):
                path.unlink(missing_ok=True)


def _removable(path: Path, mark: str, now: float, nobody_writes: bool) -> bool:
    if mark.isdecimal():  # of an earlier version, which locked the folder
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
