"""Keyframes on disk: written whole or not at all, and never over another without a copy of it."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from vfxmatte.errors import OutputError
from vfxmatte.io.result_names import trimap_path
from vfxmatte.io.writers import write_labels
from vfxmatte.types import Trimap, Window

REPLACED_FOLDER = "replaced"
"""The folder beside the keyframes that holds copies of those that were replaced; it makes no
subject, see `pipeline.subject_names`."""


def save_keyframe(
    trimap: Trimap, folder: Path, canvas: Window, *, padding: int, existing: Path | None
) -> tuple[Path, Path | None]:
    """Write `trimap.NNNN.png` atomically; return its path and that of the copy of the old one.

    Args:
        folder: the shot's folder of keyframes.
        existing: the frame's present keyframe, of whatever name, which is replaced.

    Raises:
        OutputError: it cannot be written, or the old one cannot be copied; nothing is changed then.
    """
    path = trimap_path(folder, trimap.number, padding=padding)
    copy = None
    if existing is not None and existing.exists():
        copy = _copied(existing)
    elif path.exists():
        copy = _copied(path)
    write_labels(trimap, path, canvas)
    if existing is not None and existing != path:  # two files must not claim one frame
        existing.unlink(missing_ok=True)
    return path, copy


def _copied(path: Path) -> Path:
    """Copy a keyframe into the folder of replaced ones, under a name that was free."""
    folder = path.parent / REPLACED_FOLDER
    stamp = time.strftime("%Y%m%d-%H%M%S")
    try:
        folder.mkdir(exist_ok=True)
        for attempt in range(1000):
            again = f"-{attempt}" if attempt else ""
            copy = folder / f"{path.stem}.{stamp}{again}{path.suffix}"
            try:
                os.close(os.open(copy, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            except FileExistsError:
                continue
            shutil.copy2(path, copy)
            return copy
    except OSError as error:
        raise OutputError(
            f"the keyframe that would be replaced cannot be copied: {error.strerror or error}",
            path=path,
            hint="nothing was changed; is the folder writable, the disk full?",
        ) from error
    raise OutputError("there are too many copies of this keyframe", path=folder)
