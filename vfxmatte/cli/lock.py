"""`vfxmatte lock` and `vfxmatte unlock`: mattes that no run touches."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import click

from vfxmatte.cli.shot_options import shot_options
from vfxmatte.common.wording import frames_text
from vfxmatte.errors import UsageError
from vfxmatte.journal.locks import read_locks
from vfxmatte.pipeline import locking
from vfxmatte.pipeline.options import shot_of
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subject_shots import chosen_names, subject_shots
from vfxmatte.types import FrameList, Frames

_range = click.argument("numbers", required=False, metavar="[FRAMES]")
_json = click.option("--json", "as_json", is_flag=True, help="One line of JSON.")


@click.command()
@shot_options
@_range
@_json
def lock(numbers: str | None, as_json: bool, **values: Any) -> None:
    """Lock FRAMES of SHOT: no run touches their mattes. Without FRAMES, list what is locked.

    \b
    vfxmatte lock shots/creature 1010-1020
    vfxmatte lock shots/creature
    vfxmatte unlock shots/creature 1015

    Neither --overwrite nor another plate, keyframe, setting or engine changes a locked matte. It
    may be painted over. It is a keyframe for its neighbours, which the next run solves again. Of
    several subjects all are meant, or those of --subject.
    """
    shots, frames = _shots_and_frames(numbers, values)
    for shot in shots:
        added = [] if frames is None else locking.lock(shot, frames)
        _report(shot, added, "locked now", as_json=as_json)


@click.command()
@shot_options
@_range
@click.option("--all", "everything", is_flag=True, help="Unlock all frames.")
@_json
def unlock(numbers: str | None, everything: bool, as_json: bool, **values: Any) -> None:
    """Unlock FRAMES of SHOT, or --all: runs treat them like any other again."""
    shots, frames = _shots_and_frames(numbers, values)
    if (frames is None) != everything:
        raise UsageError(
            "which frames shall be unlocked?", hint="write FRAMES, such as 1010-1020, or --all"
        )
    for shot in shots:
        _unlock(shot, frames, as_json=as_json)


def _unlock(shot: Shot, frames: Frames | None, *, as_json: bool) -> None:
    edited = locking.edited_since_locked(shot.output)
    unlocked = locking.unlock(shot, frames)
    lost = [number for number in unlocked if number in edited]
    _report(shot, unlocked, "unlocked", as_json=as_json)
    if lost:
        solved = (
            "was edited by hand: the next run solves it again; to keep it, copy it to keys/ first",
            "were edited by hand: the next run solves them again; to keep them, copy them to keys/ "
            "first",
        )
        click.echo(f"note       {frames_text(lost, solved)}", err=True)


def _shots_and_frames(
    numbers: str | None, values: Mapping[str, Any]
) -> tuple[list[Shot], Frames | None]:
    """Return the shot, or its chosen subjects as shots, and the frames that are meant."""
    if numbers is not None and values["frames"] is not None:
        raise UsageError("give the frames once: FRAMES, or --frames")
    text = numbers if numbers is not None else values["frames"]
    shot = shot_of({**values, "frames": None})
    shots = [shot]
    if shot.subjects:
        keyed = subject_shots(shot)
        shots = [keyed[name] for name in chosen_names(shot)]
    return shots, None if text is None else FrameList.parse(text)


def _report(shot: Shot, changed: list[int], text: str, *, as_json: bool) -> None:
    locked = read_locks(shot.output)
    edited = locking.edited_since_locked(shot.output)
    if as_json:
        record: dict[str, object] = {"changed": changed, "locked": list(locked), "edited": edited}
        if shot.subject:
            record["subject"] = shot.subject
        click.echo(json.dumps({"event": "lock", "output": str(shot.output), **record}))
        return
    show: Callable[[str], None] = click.echo
    if shot.subject:
        show(f"subject    {shot.subject}")
    if changed:
        show(f"{text:<10} {frames_text(changed)}")
    show(f"locked     {frames_text(locked)}" if locked else "nothing is locked")
    if edited:
        show(f"edited     {frames_text(edited)}, since the lock")
