"""The chain of stages that frames pass, from a keyframe's trimap to a matte on disk.

A stage is a generator over the one before it. Nothing is held longer than it is needed, so memory
does not grow with the shot.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from functools import partial

from vfxmatte.common.parallel import prefetch
from vfxmatte.engines.protocol import Engine
from vfxmatte.pipeline.frame import FrameState, for_each_frame
from vfxmatte.pipeline.parts import Part, in_step, passing
from vfxmatte.pipeline.stages import (
    carry_trimaps,
    encode_colour,
    rate_mattes,
    read_plates,
    shape_matte,
    share,
    solve,
    store_trimap,
    write_matte,
)
from vfxmatte.pipeline.steady import average, surround

_TRIMAPS_AHEAD = 4


def stages(parts: Mapping[str, Part], engine: Engine) -> Generator[FrameState]:
    """Chain the stages in the order in which a frame passes them; closing it closes them all.

    Args:
        parts: what is to be done, by subject: one part for a shot that has a single one.
    """
    run = next(iter(parts.values())).run

    each = partial(_each, parts)
    begun = {}
    for subject, part in parts.items():
        frames = carry_trimaps(part)  # from the keyframes, along the plate's motion
        frames = each(lambda part, state: store_trimap(part.run, state), frames)
        begun[subject] = prefetch(frames, depth=_TRIMAPS_AHEAD)
    frames = in_step(parts, begun)
    frames = read_plates(run, frames, passing(parts))
    frames = each(encode_colour, frames)  # becomes a task
    frames = solve(engine, frames)
    if any(part.steadied for part in parts.values()):
        frames = surround(parts, frames)  # by their neighbours
        frames = each(average, frames, promptly=True)  # with these
    frames = rate_mattes(parts, frames)
    if any(part.run.controls.change_alpha for part in parts.values()):
        frames = each(  # garbage and core mattes, edges
            lambda part, state: shape_matte(part.run, state), frames, promptly=True
        )
    frames = share(parts, frames)

    def write(part: Part, state: FrameState) -> None:
        write_matte(part.run, part.attributes, engine.device, state)

    return each(write, frames, promptly=True)


def _each(
    parts: Mapping[str, Part],
    stage: Callable[[Part, FrameState], None],
    frames: Iterable[FrameState],
    *,
    promptly: bool = False,
) -> Generator[FrameState]:
    """Put every frame of every part through a stage, several at once, see `for_each_frame`."""
    run = next(iter(parts.values())).run
    return for_each_frame(
        lambda state: stage(parts[state.subject], state),
        frames,
        workers=run.workers,
        concerns_all=run.concerns_all,
        promptly=promptly,
    )
