"""Mattes whose alpha is right and whose file is not: read, and written with the present settings.

`alpha_source` is the one place that decides where the alpha of an earlier run can be taken from:
the matte itself, or the file in `solved/` beside one with other edges.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path

from vfxmatte.io.canvas import lay_on
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.stills.reading import read_image
from vfxmatte.io.writers import OutputSettings, alpha_type
from vfxmatte.journal.records import FrameRecord, solved_file_of
from vfxmatte.journal.stale import readable_fingerprint
from vfxmatte.pipeline.frame import FrameState, for_each_frame
from vfxmatte.pipeline.plan import same_alpha
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.solved import SolvedFile
from vfxmatte.pipeline.stages import read_plates, shape_matte, write_matte
from vfxmatte.types import FloatImage, Frame, Matte


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


def _read(path: Path, frame: Frame) -> FloatImage:
    """Read alpha over the canvas; PNG and TIFF cover the display window, see `write_matte`."""
    if path.suffix == ".exr":
        return read_matte(path, frame.canvas)
    alpha = read_image(path).pixels[:, :, -1]
    return lay_on(alpha, frame.display_window, frame.canvas)


def rewrite(
    run: PreparedRun,
    todo: Mapping[int, str],
    records: Mapping[int, FrameRecord],
    attributes: Mapping[str, str],
) -> Generator[FrameState]:
    """Write mattes of an earlier run anew, ascending; a frame whose plate or matte cannot be read
    has an error.

    Args:
        todo: fingerprints by frame number.
        records: the journal's records of the mattes that are on disk.
        attributes: for the headers.
    """

    def read_and_write(state: FrameState) -> None:
        record, frame = records[state.number], state.needed(state.frame)
        with state.timed("read"):
            path = run.shot.output / state.needed(record.solved or record.file)
            state.matte = Matte(number=state.number, alpha=_read(path, frame))
            state.known = record.alpha or "float"
            if run.settings.output.needs_trimaps:
                state.trimap = run.results.read_trimap(
                    state.number,
                    is_keyframe=state.number in run.plan.keyframes,
                    confidence=record.stats["confidence"],
                )
        if run.controls.shapes(state.number):
            state.solved = SolvedFile.of(record)
        shape_matte(run, state)
        write_matte(run, attributes, "cpu", state)
        state.stats = {**record.stats, **state.stats}

    states = (FrameState(number=number, fingerprint=print_) for number, print_ in todo.items())
    loaded = read_plates(run, states, list(todo))
    return for_each_frame(read_and_write, loaded, workers=run.workers)
