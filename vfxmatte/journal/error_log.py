"""Tracebacks of exceptions that nobody foresaw, kept in one file for each output folder."""

from __future__ import annotations

import os
import tempfile
import time
import traceback
from pathlib import Path

from vfxmatte.errors import UnforeseenError, VfxmatteError, as_foreseen

LOG_NAME = "errors.log"


def logged(error: Exception, folder: Path | None = None) -> VfxmatteError:
    """The error as one that can be reported; the traceback of an unforeseen one is kept.

    Args:
        error: a foreseen error is returned as it is.
        folder: the output folder, whose `errors.log` is added to; where there is none, or it
            cannot be written, the traceback goes into a new file of the temporary folder.

    The hint then names the file.
    """
    foreseen = as_foreseen(error)
    if isinstance(foreseen, UnforeseenError) and foreseen.hint is None:
        path = _kept(_entry(foreseen), folder)
        foreseen.hint = (
            "its traceback could not be kept: no folder can be written"
            if path is None
            else f"the whole traceback is in {path}; please report it"
        )
    return foreseen


def _entry(error: UnforeseenError) -> str:
    """Time and place in a line of its own, then the traceback."""
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    frame = "" if error.frame is None else f", frame {error.frame}"
    shot = "" if error.shot is None else f", shot {error.shot}"
    path = "" if error.path is None else f", file {error.path}"
    lines = traceback.format_exception(error.__cause__ or error)
    return f"{now}, process {os.getpid()}{shot}{frame}{path}\n{''.join(lines)}\n"


def _kept(text: str, folder: Path | None) -> Path | None:
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
    """One write at the end: several processes may add to one log."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOG_NAME
    with path.open("ab", buffering=0) as stream:
        stream.write(data)
    return path
