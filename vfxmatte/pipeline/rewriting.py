"""Mattes whose alpha is right and whose file is not: read, and written with the present settings.

`alpha_source` is the one place that decides where the alpha of an earlier run can be taken from:
today the matte itself.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from pathlib import Path

from vfxmatte.io.writers import OutputSettings, alpha_type, read_matte
from vfxmatte.journal.records import FrameRecord, file_of
from vfxmatte.pipeline.frame import FrameState, for_each_frame
from vfxmatte.pipeline.plan import same_alpha
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.stages import read_plates, write_matte
from vfxmatte.types import Matte


def alpha_source(
    record: FrameRecord | None, fingerprint: str, settings: OutputSettings, output: Path
) -> Path | None:
    """Return the file that gives the very pixels that solving a frame would give, or None.

    A file in single precision will do for any other, one in half precision for half alone.

    Args:
        fingerprint: what the matte ought to be made from.
    """
    if record is None or not same_alpha(record.fingerprint, fingerprint):
        return None
    if record.alpha != "float" and not record.alpha == "half" == alpha_type(settings):
        return None
    return file_of(record, output)


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
            path = run.shot.output / state.needed(record.file)
            state.matte = Matte(number=state.number, alpha=read_matte(path, frame.canvas))
            if run.settings.output.needs_trimaps:
                state.trimap = run.results.read_trimap(
                    state.number,
                    is_keyframe=state.number in run.plan.keyframes,
                    confidence=record.stats["confidence"],
                )
        write_matte(run, attributes, "cpu", state)
        state.stats = {**record.stats, **state.stats}

    states = (FrameState(number=number, fingerprint=print_) for number, print_ in todo.items())
    loaded = read_plates(run, states, list(todo))
    return for_each_frame(read_and_write, loaded, workers=run.workers)
