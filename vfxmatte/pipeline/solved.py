"""Solved alpha beside mattes that do not hold it, in `solved/` of the output folder.

A matte whose edges are shaped no longer says what was solved. What was solved is kept until mattes
are written as solved again, at the precision that makes these the very files of a first run.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vfxmatte.io.result_names import matte_path
from vfxmatte.io.writers import OutputSettings, write_matte
from vfxmatte.journal.records import FrameRecord
from vfxmatte.journal.stale import FINGERPRINT_ATTRIBUTE
from vfxmatte.types import Frame, Matte

SOLVED_FOLDER = "solved"


@dataclass(frozen=True, kw_only=True)
class SolvedFile:
    """Where the solved alpha of a frame is kept."""

    file: str
    """Relative to the output folder."""
    size_bytes: int
    alpha: str
    """How exactly it holds alpha, see `FrameRecord.alpha`."""

    @classmethod
    def write(
        cls,
        matte: Matte,
        frame: Frame,
        *,
        output: Path,
        kind: str,
        fingerprint: str,
        padding: int,
    ) -> SolvedFile:
        """Write solved alpha over the whole canvas; raises OutputError.

        Args:
            frame: its plate.
            output: the folder of the mattes.
            kind: how exactly it is known, or has to be kept, see `FrameRecord.alpha`.
            fingerprint: of the frame.
        """
        path = matte_path(output / SOLVED_FOLDER, matte.number, padding=padding)
        as_exr = OutputSettings(
            pixel_type="half" if kind == "half" else "float",
            attributes={FINGERPRINT_ATTRIBUTE: fingerprint},
        )
        write_matte(matte, replace(frame, data_window=frame.canvas), as_exr, path)
        name = path.relative_to(output).as_posix()
        return cls(file=name, size_bytes=path.stat().st_size, alpha=kind)

    @classmethod
    def of(cls, record: FrameRecord) -> SolvedFile | None:
        """Return what a record says; None if its matte itself holds solved alpha."""
        if record.solved is None or record.alpha is None:
            return None
        return cls(file=record.solved, size_bytes=record.solved_bytes, alpha=record.alpha)


def forget_solved(record: FrameRecord | None, output: Path) -> None:
    """Remove the solved alpha of an earlier record, since the matte itself holds it now."""
    if record is not None and record.solved is not None:
        path = output / record.solved
        with suppress(OSError):
            path.unlink()
            path.parent.rmdir()  # if it was the last one
