"""The alpha that a subject had before it gave way to others, beside the mattes.

Kept for the pixels that changed alone, under the fingerprint of the matte that lacks them. With it
the matte still tells what was solved: others can be done again without this one.
"""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import OutputError, VfxmatteError
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.temporary import write_whole
from vfxmatte.io.writers import OutputSettings, alpha_type
from vfxmatte.journal.records import STATE_FOLDER, FrameRecord, file_of
from vfxmatte.journal.stale import written_fingerprint
from vfxmatte.pipeline.plan import same_alpha
from vfxmatte.types import FloatImage, Window

OVERLAP_STAT = "overlap_share"
"""Of a frame's stats: the share of the canvas that a subject has given to others."""


def write_unshared(
    output: Path, number: int, fingerprint: str, pixels: NDArray[np.intp], alpha: FloatImage
) -> None:
    """Keep the alpha of the pixels that changed; raises OutputError.

    Args:
        fingerprint: of the matte that is written next.
        pixels, alpha: flat indices over the canvas, and what was solved there.
    """
    path = _path(output, number)
    content = io.BytesIO()
    np.savez_compressed(content, fingerprint=fingerprint, pixels=pixels, alpha=alpha)
    try:
        write_whole(path, content.getvalue())
    except OutputError as error:
        raise error.at(frame=number) from error.__cause__


def forget_unshared(output: Path, number: int) -> None:
    """Remove what was kept of a frame, since its matte has all of its alpha."""
    with suppress(OSError):
        _path(output, number).unlink()
        _path(output, number).parent.rmdir()  # if it was the last one


def has_own_alpha(
    record: FrameRecord | None, fingerprint: str, settings: OutputSettings, output: Path
) -> bool:
    """Return True if a subject's alpha can be had from its matte, as these settings write it.

    Args:
        fingerprint: what the matte ought to be made from.
    """
    if record is None or not same_alpha(record.fingerprint, fingerprint):
        return False
    if record.alpha not in ("float", alpha_type(settings)) or file_of(record, output) is None:
        return False
    return not record.stats.get(OVERLAP_STAT) or _load(output, record) is not None


def read_own_alpha(record: FrameRecord, output: Path, canvas: Window) -> FloatImage:
    """Read a subject's alpha as it was before it gave way to others.

    Raises:
        VfxmatteError: the matte, or what was kept beside it, is gone, damaged or another one.
    """
    path = output / (record.file or "")
    alpha = read_matte(path, canvas)
    if written_fingerprint(path) not in (None, record.fingerprint):
        raise OutputError("this matte is not the one that the journal knows", path=path)
    if record.stats.get(OVERLAP_STAT):
        kept = _load(output, record)
        if kept is None:
            raise OutputError(
                "what was kept of this frame is gone", path=_path(output, record.number)
            )
        pixels, values = kept
        alpha = alpha.copy()
        alpha.reshape(-1)[pixels] = values
    return alpha


def _load(output: Path, record: FrameRecord) -> tuple[NDArray[np.intp], FloatImage] | None:
    """Return what was kept under a record's fingerprint; None if there is nothing, or damaged."""
    try:
        with np.load(_path(output, record.number), allow_pickle=False) as kept:
            if str(kept["fingerprint"]) != record.fingerprint:
                return None
            return kept["pixels"], kept["alpha"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, VfxmatteError):
        return None


def _path(output: Path, number: int) -> Path:
    return output / STATE_FOLDER / "unshared" / f"{number}.npz"
