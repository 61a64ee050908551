"""Mattes whose alpha is right and whose file is not: read, and written as the settings are now."""

from __future__ import annotations

from collections.abc import Generator, Mapping

from vfxmatte.journal.records import FrameRecord
from vfxmatte.pipeline.frame import FrameState, for_each_frame
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.solved import SolvedFile, read_alpha
from vfxmatte.pipeline.stages import read_plates, shape_matte, trimap_confidence, write_matte
from vfxmatte.types import Matte


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
            state.matte = Matte(number=state.number, alpha=read_alpha(path, frame))
            state.known = record.alpha or "float"
            if run.settings.output.needs_trimaps:
                state.trimap = run.results.read_trimap(
                    state.number,
                    is_keyframe=state.number in run.plan.keyframes,
                    confidence=trimap_confidence(record.stats),
                )
        if run.controls.shapes(state.number):
            state.solved = SolvedFile.of(record)
        shape_matte(run, state)
        write_matte(run, attributes, "cpu", state)
        state.stats = {**record.stats, **state.stats}

    states = (FrameState(number=number, fingerprint=print_) for number, print_ in todo.items())
    loaded = read_plates(run, states, list(todo))
    return for_each_frame(read_and_write, loaded, workers=run.workers)
