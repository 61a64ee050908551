"""Solved alpha beside mattes that do not hold it, in `solved/` of the output folder.

A matte whose edges are shaped no longer says what was solved. What was solved is kept until mattes
are written as solved again, at the precision that makes these the very files of a first run.

`alpha_source` is the one place that decides where the alpha of an earlier run can be taken from:
the matte itself, or the file beside it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vfxmatte.io.canvas import lay_on
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.result_names import matte_path
from vfxmatte.io.stills.reading import read_image
from vfxmatte.io.writers import OutputSettings, alpha_type, write_matte
from vfxmatte.journal.records import FrameRecord, solved_file_of
from vfxmatte.journal.stale import FINGERPRINT_ATTRIBUTE, readable_fingerprint
from vfxmatte.pipeline.plan import same_alpha
from vfxmatte.types import FloatImage, Frame, Matte

SOLVED_FOLDER = "solved"


@dataclass(frozen=True, kw_only=True)
class SolvedFile:
    """The file in which the solved alpha of a frame is kept."""

    file: str
    """Relative to the output folder."""
    size_bytes: int
    alpha: str
    """The exactness of its alpha, see `FrameRecord.alpha`."""

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


def alpha_source(
    record: FrameRecord | None, fingerprint: str, settings: OutputSettings, output: Path
) -> Path | None:
    """Return the file that gives the very pixels that solving a frame would give, or None.

    A file in single precision will do for any other, one in half precision for half alone, and
    one of 16-bit integers for such ones.

    Args:
        fingerprint: what the matte ought to be made from.
    """
    if record is None or not same_alpha(record.fingerprint, fingerprint):
        return None
    if record.alpha not in ("float", alpha_type(settings)):
        return None
    path = solved_file_of(record, output)
    if path is None:
        return None
    if record.solved is None:
        return path if is_as_recorded(path, record.fingerprint) else None
    written = readable_fingerprint(path)
    return path if written is not None and same_alpha(written, record.fingerprint) else None


def is_as_recorded(path: Path, fingerprint: str) -> bool:
    """Return True if a matte's own fingerprint is the recorded one; PNG and TIFF have none.

    A kill may have hit between a matte and its record; without compression, mattes that differ in
    their edges have the same size.
    """
    return path.suffix != ".exr" or readable_fingerprint(path) == fingerprint


def read_alpha(path: Path, frame: Frame) -> FloatImage:
    """Read a matte of an earlier run over the canvas; PNG and TIFF cover the display window, see
    `write_matte`. Raises PlateError."""
    if path.suffix == ".exr":
        return read_matte(path, frame.canvas)
    alpha = read_image(path).pixels[:, :, -1]
    return lay_on(alpha, frame.display_window, frame.canvas)
