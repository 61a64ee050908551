"""The stages of a run, in the order in which `run.stages` chains them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from vfxmatte.colour import to_network
from vfxmatte.common.parallel import close, ordered_map
from vfxmatte.engines.answers import answers
from vfxmatte.engines.protocol import Engine, Task
from vfxmatte.errors import own_copy
from vfxmatte.foreground.planes import PlaneMaker
from vfxmatte.io.plate import FrameOrError
from vfxmatte.io.writers import alpha_as_written
from vfxmatte.journal.records import FrameRecord
from vfxmatte.pipeline.frame import FrameState, by_number
from vfxmatte.pipeline.parts import Part
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.sharing import give_way
from vfxmatte.pipeline.solved import SolvedFile
from vfxmatte.pipeline.unshared import OVERLAP_STAT, read_own_alpha
from vfxmatte.propagation.confidence import doubtful_px, matte_confidence, softness_px, trimap_stats
from vfxmatte.temporal.moment import picture_of
from vfxmatte.types import FOREGROUND, Failure, Labels, Matte, Trimap

_TELLING = 0.015  # softness by unknown area; on painted keyframes it is 0.10 to 0.13


def carry_trimaps(part: Part) -> Generator[FrameState]:
    """Begin every frame to solve with its trimap, followed from the keyframes; ascending."""
    trimaps = part.run.carried(part.solved, scratch=part.scratch)
    started = time.perf_counter()
    try:
        for trimap in trimaps:
            number = trimap.number
            state = FrameState(
                number=number,
                fingerprint=part.todo.get(number, ""),
                subject=part.subject,
                aside=number in part.aside,
            )
            state.stats["trimap_ms"] = (time.perf_counter() - started) * 1000
            if isinstance(trimap, Failure):
                state.fail(trimap.error)
            else:
                state.trimap = trimap
            yield state
            started = time.perf_counter()
    finally:
        close(trimaps)


def store_trimap(run: PreparedRun, state: FrameState) -> None:
    """Write the trimap to disk, and its confidence into the stats."""
    if state.aside:
        return
    trimap = state.needed(state.trimap)
    with state.timed("trimap"):
        score = trimap_stats(trimap, run.plan.keyframes)
        state.stats["confidence"] = state.stats["trimap_confidence"] = score.confidence
        state.stats["unknown_share"] = score.unknown_share
        state.stats["keyframe_distance"] = float(score.keyframe_distance)
        is_lost = run.has_solid_keyframes and not (trimap.labels == FOREGROUND).any()
        state.is_doubtful = is_lost or trimap.is_flash
        if trimap.cut is not None:
            state.stats["cut"] = float(trimap.cut)
        run.results.write_trimap(trimap)


def _store_narrowed(run: PreparedRun, state: FrameState, labels: Labels) -> None:
    """Write the trimap again that the engine has narrowed."""
    trimap = Trimap(
        number=state.number,
        labels=labels,
        is_keyframe=False,
        confidence=trimap_confidence(state.stats),
    )
    state.stats["unknown_share"] = trimap.unknown_share
    state.trimap = trimap
    run.results.write_trimap(trimap)


def read_plates(
    run: PreparedRun, states: Iterable[FrameState], numbers: Sequence[int]
) -> Generator[FrameState]:
    """Add the plate to every frame; subjects share it.

    Args:
        numbers: of the frames to come, which are read ahead of them.
    """
    frames = run.plate_reader.frames(numbers)
    latest: tuple[int, FrameOrError] | None = None
    try:
        for state in states:
            if latest is None or latest[0] != state.number:
                with state.timed("read"):
                    latest = next(frames)
            frame = latest[1]
            if isinstance(frame, Exception):
                state.fail(own_copy(frame))
            elif state.error is None:
                state.frame = frame
            yield state
    finally:
        close(frames)
        close(states)


def encode_colour(part: Part, state: FrameState) -> None:
    """Make the engine's task: the plate in the network's encoding, and the trimap.

    A frame with a finished matte has that instead, and one whose alpha is on disk has this.
    """
    run = part.run
    if state.kept is not None:
        _take_kept(run, state, state.kept)
        return
    frame, trimap = state.needed(state.frame), state.needed(state.trimap)
    state.matte = run.controls.finished(state.number)
    if state.matte is not None and state.number not in part.compared:
        return
    with state.timed("colour"):
        finite = np.isfinite(frame.pixels)
        if not finite.all():
            bad = np.count_nonzero(~finite.all(axis=2))
            state.stats["nonfinite_pixels"] = float(bad)
        encoded = to_network(frame, run.colours)
        if state.number in part.compared:
            state.picture = picture_of(encoded)
        if state.matte is None:
            state.task = Task(image=encoded, trimap=trimap, subject=state.subject)
    if not run.settings.output.needs_trimaps and state.number not in part.steadied:
        state.trimap = None
    if not run.settings.output.needs_plate:
        state.frame = frame.without_pixels()


def _take_kept(run: PreparedRun, state: FrameState, record: FrameRecord) -> None:
    """Read the alpha that an earlier run has solved."""
    with state.timed("read"):
        alpha = read_own_alpha(record, run.shot.output, state.needed(state.frame))
    state.matte = Matte(number=state.number, alpha=alpha)
    state.known = record.alpha or "float"
    if run.controls.shapes(state.number):
        state.solved = SolvedFile.of(record)
    state.stats = {**record.stats, **state.stats}
    state.stats.pop(OVERLAP_STAT, None)


def solve(engine: Engine, states: Iterable[FrameState]) -> Generator[FrameState]:
    """Solve every frame that has a task; the others are passed on, in order.

    A frame that the engine cannot solve fails alone: the engine goes on with the next.
    """
    under_way: deque[FrameState] = deque()
    waiting_ms = 0.0

    def tasks() -> Iterator[Task]:
        nonlocal waiting_ms
        started = time.perf_counter()
        for state in states:
            waiting_ms += (time.perf_counter() - started) * 1000
            under_way.append(state)
            if state.task is not None:
                yield state.task
            started = time.perf_counter()

    def without_task() -> Iterator[FrameState]:
        while under_way and under_way[0].task is None:
            yield under_way.popleft()

    answered = answers(engine, tasks())
    try:
        started = time.perf_counter()
        for answer in answered:
            yield from without_task()
            state = under_way.popleft()
            state.take(answer)
            state.stats["solve_ms"] = (time.perf_counter() - started) * 1000 - waiting_ms
            yield state
            started, waiting_ms = time.perf_counter(), 0.0
        yield from without_task()
    finally:
        close(answered)
        close(states)


def rate_mattes(parts: Mapping[str, Part], states: Iterable[FrameState]) -> Generator[FrameState]:
    """Put the confidence of what was solved into the stats, in place of the trimap's.

    The trimap's stays where hardly anything of the unknown region is soft, as in the empty matte of
    a subject that was lost, and where it was tracked across a cut: there it is worth nothing,
    whatever the matte. Where the frame is doubtful, the smaller of both counts.
    """
    try:
        for state in states:
            run = parts[state.subject].run
            solved = not state.aside and state.kept is None
            if (
                solved
                and state.number not in run.plan.keyframes
                and state.matte is not None
                and run.painted_px
            ):
                alpha = state.matte.alpha
                unknown_px = state.stats.get("unknown_share", 0.0) * alpha.size
                tells = softness_px(alpha) > _TELLING * unknown_px
                if tells and trimap_confidence(state.stats) > 0:
                    _rate(run, state, doubtful_px(alpha, state.jumped_px))
            yield state
    finally:
        close(states)


def _rate(run: PreparedRun, state: FrameState, doubtful: float) -> None:
    rated = matte_confidence(doubtful, run.painted_px)
    if state.is_doubtful and trimap_confidence(state.stats) < rated:
        return
    state.stats["confidence"] = rated
    state.stats |= {"doubtful_px": doubtful, "painted_px": run.painted_px}


def trimap_confidence(stats: Mapping[str, float]) -> float:
    """Look up how far a frame's trimap is to be trusted, 0 to 1."""
    return stats.get("trimap_confidence", stats.get("confidence", 1.0))


def shape_matte(run: PreparedRun, state: FrameState) -> None:
    """Limit alpha by garbage and core mattes, and shape its edges; what was solved is kept."""
    matte, frame = state.needed(state.matte), state.needed(state.frame)
    with state.timed("write"):
        matte, stats = run.controls.limited(matte)
        state.stats |= stats
        if run.controls.shapes(state.number):
            if state.solved is None:
                state.solved = run.results.keep_solved(matte, frame, state.fingerprint, state.known)
            matte = run.controls.shaped(matte, frame)
    state.matte = matte


def share(parts: Mapping[str, Part], states: Generator[FrameState]) -> Generator[FrameState]:
    """Let the subjects of a frame give way to each other, so that their alphas sum to at most 1."""
    if len(parts) == 1:
        yield from states
        return
    run = next(iter(parts.values())).run
    groups = ordered_map(partial(give_way, parts), by_number(states), workers=run.workers)
    try:
        for group in groups:
            yield from group
    finally:
        close(groups)
        close(states)


def _make_layers(run: PreparedRun, device: str, state: FrameState) -> None:
    """Estimate the foreground's colour, and make what else the file holds beside alpha."""
    output = run.settings.output
    if not (output.needs_colours or output.needs_trimaps):
        return
    matte, frame = state.needed(state.matte), state.needed(state.frame)
    if output.needs_trimaps and state.trimap is None:  # its alpha was on disk
        state.trimap = run.results.read_trimap(
            state.number,
            is_keyframe=state.number in run.plan.keyframes,
            confidence=trimap_confidence(state.stats),
        )
    with state.timed("layers"):
        maker = PlaneMaker(settings=output, colours=run.colours, device=device)
        alpha = alpha_as_written(matte.alpha, output)
        state.planes = maker.planes(frame, alpha, state.trimap)
    state.trimap = None


def write_matte(
    run: PreparedRun, attributes: Mapping[str, str], device: str, state: FrameState
) -> None:
    """Make the layers that the settings ask for, and write the matte to disk.

    Args:
        attributes: for the header, beside the plate's own.
        device: what foreground colours are estimated on.
    """
    matte, frame = state.needed(state.matte), state.needed(state.frame)
    if matte.labels is not None:
        with state.timed("write"):
            _store_narrowed(run, state, matte.labels)
    _make_layers(run, device, state)
    with state.timed("write"):
        path = run.results.write_matte(matte, frame, state.fingerprint, attributes, state.planes)
        state.size_bytes = path.stat().st_size
    state.path, state.frame, state.matte, state.planes = path, None, None, None
    state.trimap = None
