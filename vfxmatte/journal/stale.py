"""Fingerprints in EXR headers, and moving outdated mattes aside.

A frame that fails now may have succeeded before, with other settings or another plate. Its old
matte is moved to where no sequence of mattes includes it: nothing is lost, and nothing old passes
for new.
"""

from __future__ import annotations

import os
from pathlib import Path

from vfxmatte.errors import OutputError, VfxmatteError
from vfxmatte.io.mattes import read_attributes

STALE_FOLDER = "stale"
FINGERPRINT_ATTRIBUTE = "vfxmatte/fingerprint"


def written_fingerprint(path: Path) -> str | None:
    """Return the fingerprint in a matte's EXR header; None without one.

    Raises:
        PlateError: the file cannot be read.
    """
    if path.suffix != ".exr":
        return None
    value = read_attributes(path).get(FINGERPRINT_ATTRIBUTE)
    return None if value is None else str(value)


def move_aside(path: Path, fingerprint: str, recorded: str | None) -> Path | None:
    """Move an outdated matte into `stale/FINGERPRINT/` beside it.

    Args:
        fingerprint: the present one; a matte with it stays.
        recorded: the fingerprint in the journal, for files without one.

    Returns:
        Its new path; None if there was no matte, or a current one.

    Raises:
        OutputError: it cannot be moved.
    """
    if not path.is_file():
        return None
    made_from = readable_fingerprint(path) or recorded
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


def readable_fingerprint(path: Path) -> str | None:
    """Return the fingerprint in a matte's header; None without one, or without a readable file."""
    try:
        return written_fingerprint(path)
    except (VfxmatteError, OSError):
        return None
