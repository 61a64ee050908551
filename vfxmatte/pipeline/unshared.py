"""The alpha that a subject had before it gave way to others, beside the mattes.

Kept for the pixels that changed alone, under the fingerprint of the matte that lacks them. With it
the matte still tells what was solved: others can be done again without this one. A matte whose
edges are shaped needs none of it: what was solved lies in `solved/` whole.
"""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import OutputError, VfxmatteError
from vfxmatte.io.temporary import write_whole
from vfxmatte.io.writers import OutputSettings
from vfxmatte.journal.records import STATE_FOLDER, FrameRecord
from vfxmatte.journal.stale import written_fingerprint
from vfxmatte.pipeline.plan import same_alpha
from vfxmatte.pipeline.solved import alpha_source, read_alpha
from vfxmatte.types import FloatImage, Frame

OVERLAP_STAT = "overlap_share"
"""The name in a frame's stats of the share of the canvas that a subject has given to others."""


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
    if record is None or alpha_source(record, fingerprint, settings, output) is None:
        return False
    return not _is_shared(record) or _load(output, record) is not None


def read_own_alpha(record: FrameRecord, output: Path, frame: Frame) -> FloatImage:
    """Read a subject's alpha as it was solved, before its edges were shaped and it gave way.

    Args:
        frame: its plate.

    Raises:
        VfxmatteError: the matte, or what was kept beside it, is gone, damaged or another one.
    """
    path = output / (record.solved or record.file or "")
    alpha = read_alpha(path, frame)
    written = written_fingerprint(path) or record.fingerprint
    if written != record.fingerprint and not (
        record.solved and same_alpha(written, record.fingerprint)
    ):
        raise OutputError("this matte is not the one that the journal knows", path=path)
    if _is_shared(record):
        kept = _load(output, record)
        if kept is None:
            raise OutputError(
                "what was kept of this frame is gone", path=_path(output, record.number)
            )
        pixels, values = kept
        alpha = alpha.copy()
        alpha.reshape(-1)[pixels] = values
    return alpha


def _is_shared(record: FrameRecord) -> bool:
    """Return True if the file with a record's alpha lacks what the subject has given to others."""
    return record.solved is None and bool(record.stats.get(OVERLAP_STAT))


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
