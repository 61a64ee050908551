"""Mattes that say what they were made from, and what becomes of one that is out of date.

A frame that fails now may have succeeded before, with other settings or another plate. Its old
matte is moved away, to where no sequence of mattes finds it: nothing is lost, and nothing old
passes for new.
"""

from __future__ import annotations

import os
from pathlib import Path

from vfxmatte.errors import OutputError, VfxmatteError
from vfxmatte.io.stills.reading import read_header

STALE_FOLDER = "stale"
FINGERPRINT_ATTRIBUTE = "vfxmatte/fingerprint"


def written_fingerprint(path: Path) -> str | None:
    """What an EXR matte says it was made from; None where it does not say.

    Raises PlateError where the file cannot be read.
    """
    if path.suffix != ".exr":
        return None
    value = read_header(path).metadata.get(FINGERPRINT_ATTRIBUTE)
    return None if value is None else str(value)


def move_aside(path: Path, fingerprint: str, recorded: str | None) -> Path | None:
    """Move a matte into `stale/NAME` beside it, in a folder for what it was made from.

    fingerprint: what a matte ought to be made from now: such a one stays. recorded: what the
    journal says of the file. Returns where it is now; None where there was none, or a current one.
    Raises OutputError.
    """
    if not path.is_file():
        return None
    made_from = _said(path) or recorded
    if made_from == fingerprint:
        return None
    aside = path.parent / STALE_FOLDER / (made_from or "unknown")[:8] / path.name
    try:
        aside.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, aside)
    except OSError as error:
        raise OutputError(
            f"the matte of an earlier run cannot be moved away: {error.strerror or error}",
            path=path,
            hint="the frame has failed, and this matte is out of date: move it yourself",
        ) from error
    return aside


def _said(path: Path) -> str | None:
    try:
        return written_fingerprint(path)
    except VfxmatteError:
        return None
