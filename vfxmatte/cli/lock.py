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
from vfxmatte.pipeline.subject_shots import one_subject
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
    may be painted over. It is a keyframe for its neighbours, which the next run solves again.
    """
    shot, frames = _shot_and_frames(numbers, values)
    added = [] if frames is None else locking.lock(shot, frames)
    _report(shot, added, "locked now", as_json=as_json)


@click.command()
@shot_options
@_range
@click.option("--all", "everything", is_flag=True, help="Unlock all frames.")
@_json
def unlock(numbers: str | None, everything: bool, as_json: bool, **values: Any) -> None:
    """Unlock FRAMES of SHOT, or --all: runs treat them like any other again."""
    shot, frames = _shot_and_frames(numbers, values)
    if (frames is None) != everything:
        raise UsageError(
            "which frames shall be unlocked?", hint="write FRAMES, such as 1010-1020, or --all"
        )
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


def _shot_and_frames(numbers: str | None, values: Mapping[str, Any]) -> tuple[Shot, Frames | None]:
    if numbers is not None and values["frames"] is not None:
        raise UsageError("give the frames once: FRAMES, or --frames")
    text = numbers if numbers is not None else values["frames"]
    shot = one_subject(shot_of({**values, "frames": None}))
    return shot, None if text is None else FrameList.parse(text)


def _report(shot: Shot, changed: list[int], text: str, *, as_json: bool) -> None:
    locked = read_locks(shot.output)
    edited = locking.edited_since_locked(shot.output)
    if as_json:
        record = {"changed": changed, "locked": list(locked), "edited": edited}
        click.echo(json.dumps({"event": "lock", "output": str(shot.output), **record}))
        return
    show: Callable[[str], None] = click.echo
    if changed:
        show(f"{text:<10} {frames_text(changed)}")
    show(f"locked     {frames_text(locked)}" if locked else "nothing is locked")
    if edited:
        show(f"edited     {frames_text(edited)}, since the lock")
