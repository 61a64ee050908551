"""Tracebacks of unforeseen exceptions, in one file per output folder."""

from __future__ import annotations

import os
import tempfile
import time
import traceback
from pathlib import Path

from vfxmatte.errors import UnforeseenError, VfxmatteError, as_foreseen

LOG_NAME = "errors.log"


def logged(error: Exception, folder: Path | None = None) -> VfxmatteError:
    """Return an error that can be reported, with the traceback of an unforeseen one on disk.

    The hint then names the file.

    Args:
        error: a foreseen error is returned as it is.
        folder: the output folder, to whose `errors.log` the traceback is appended; without one, or
            if it cannot be written, the traceback goes into a new temporary file.
    """
    foreseen = as_foreseen(error)
    if isinstance(foreseen, UnforeseenError) and foreseen.hint is None:
        path = _written(_entry(foreseen), folder)
        foreseen.hint = (
            "its traceback could not be kept: no folder can be written"
            if path is None
            else f"the whole traceback is in {path}; please report it"
        )
    return foreseen


def _entry(error: UnforeseenError) -> str:
    """Return a line with time and place, and the traceback below."""
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    frame = "" if error.frame is None else f", frame {error.frame}"
    shot = "" if error.shot is None else f", shot {error.shot}"
    path = "" if error.path is None else f", file {error.path}"
    lines = traceback.format_exception(error.__cause__ or error)
    return f"{now}, process {os.getpid()}{shot}{frame}{path}\n{''.join(lines)}\n"


def _written(text: str, folder: Path | None) -> Path | None:
    """Write an entry; returns its file, None if no folder can be written."""
    data = text.encode("utf-8", "backslashreplace")
    try:
        if folder is not None:
            return _appended(data, folder)
    except OSError:
        pass
    try:
        descriptor, name = tempfile.mkstemp(prefix="vfxmatte-errors-", suffix=".log")
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
    except OSError:
        return None
    return Path(name)


def _appended(data: bytes, folder: Path) -> Path:
    """Append in one write, since several processes may append to one log."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOG_NAME
    with path.open("ab", buffering=0) as stream:
        stream.write(data)
    return path
