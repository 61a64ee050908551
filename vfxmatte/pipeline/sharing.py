"""Frames of several subjects: each gives way where their alphas sum to more than 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np

from vfxmatte.errors import VfxmatteError
from vfxmatte.io.writers import alpha_type
from vfxmatte.pipeline.excess import as_filed, without_excess
from vfxmatte.pipeline.finished import read_finished
from vfxmatte.pipeline.frame import FrameState
from vfxmatte.pipeline.parts import Part
from vfxmatte.pipeline.plan import beside
from vfxmatte.pipeline.unshared import (
    OVERLAP_STAT,
    forget_unshared,
    has_own_alpha,
    read_own_alpha,
    write_unshared,
)
from vfxmatte.types import FloatImage, Frame, Matte


def give_way(parts: Mapping[str, Part], states: list[FrameState]) -> list[FrameState]:
    """Let the subjects of one frame share it; what cannot be had of one does not count.

    Args:
        states: those that are solved or written anew, with their plate and their edges shaped; the
            alpha of the other subjects is read from their mattes.
    """
    ready = {state.subject: state for state in states if state.error is None}
    if ready:
        first = next(iter(ready.values()))
        number, frame = first.number, first.needed(first.frame)
        alphas = _alphas(parts, states, frame)
        for name, state in ready.items():
            others = {
                other: part.alone.get(number) if other in alphas else None
                for other, part in parts.items()
                if other != name
            }
            state.fingerprint = beside(parts[name].alone[number], others)
        _share(parts, ready, alphas, frame)
    return states


def _alphas(
    parts: Mapping[str, Part], states: Sequence[FrameState], frame: Frame
) -> dict[str, FloatImage]:
    """Return the alpha of each subject that has one, in their order."""
    fresh = {state.subject: state.matte for state in states}
    alphas: dict[str, FloatImage] = {}
    for name, part in parts.items():
        matte = fresh[name] if name in fresh else _matte_on_disk(part, frame)
        if matte is not None:
            alphas[name] = matte.alpha
    return alphas


def _matte_on_disk(part: Part, frame: Frame) -> Matte | None:
    """Return the matte of a subject that stays as it is; None if it has no current one."""
    run, number = part.run, frame.number
    if number in run.plan.locked:
        with suppress(VfxmatteError):
            alpha = read_finished(run.plan.locked[number], number, run.plate.info)
            return Matte(number=number, alpha=alpha)
        return None
    record, settings = part.records.get(number), run.settings.output
    if record is not None and has_own_alpha(record, part.alone[number], settings, run.shot.output):
        with suppress(VfxmatteError):
            matte = Matte(number=number, alpha=read_own_alpha(record, run.shot.output, frame))
            return run.controls.shaped(matte, frame) if run.controls.shapes(number) else matte
    return None


def _share(
    parts: Mapping[str, Part],
    ready: Mapping[str, FrameState],
    alphas: Mapping[str, FloatImage],
    frame: Frame,
) -> None:
    settings = next(iter(parts.values())).run.settings.output
    plans = {name: parts[name].run.plan for name in alphas}
    filed = [
        alpha if frame.number in plans[name].locked else as_filed(alpha, frame, settings)
        for name, alpha in alphas.items()
    ]
    fixed = [i for i, plan in enumerate(plans.values()) if frame.number in plan.finished]
    changes = without_excess(filed, alpha_type(settings), fixed)
    for name, own, (pixels, values) in zip(alphas, filed, changes, strict=True):
        if name not in ready:
            continue
        state, output = ready[name], parts[name].run.shot.output
        if not len(pixels) or state.solved is not None:
            forget_unshared(output, state.number)
        else:
            write_unshared(output, state.number, state.fingerprint, pixels, own.reshape(-1)[pixels])
        if not len(pixels):
            continue
        alpha = np.array(state.needed(state.matte).alpha)
        alpha.reshape(-1)[pixels] = values
        state.matte = replace(state.needed(state.matte), alpha=alpha)
        state.stats[OVERLAP_STAT] = len(pixels) / alpha.size
