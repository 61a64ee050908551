"""`vfxmatte check`: what a run would find, lack and do, in about a second and without torch."""

from __future__ import annotations

import json
from typing import Any

import click

from vfxmatte.cli.shot_options import shot_of, shot_options
from vfxmatte.io.plates import PlateInfo
from vfxmatte.reporting.inspection import Inspection, KeyframeFinding, inspect
from vfxmatte.types import numbers_as_text


@click.command()
@shot_options
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def check(as_json: bool, **values: Any) -> None:
    """Say what a run of SHOT would find, lack and do. Nothing is written.

    Takes the same options as `run`. Exit codes: 0 it can run; 1 some frames would fail; 2 wrong
    use; 3 it cannot run.
    """
    found = inspect(shot_of(values))
    if as_json:
        click.echo(json.dumps(as_plain(found), ensure_ascii=False))
    else:
        for line in lines(found):
            click.echo(line)
    click.get_current_context().exit(found.exit_code)


def lines(found: Inspection) -> list[str]:
    """For the screen: findings first, problems last."""
    said = [f"shot       {found.shot.name}"]
    if found.plate is not None:
        plate = found.plate
        said.append(f"plate      {plate}{_rate(plate)}")
        said.append(f"colour     {plate.colour_space} ({plate.colour_reason})")
        if plate.missing:
            said.append(f"missing    frames {numbers_as_text(plate.missing)}")
    said += [f"keyframe   {_keyframe(one)}" for one in found.keyframes]
    if found.weights:
        said.append(f"weights    {found.weights}")
    said += _to_do(found)
    said += [f"note       {remark}" for remark in found.remarks]
    said += [f"problem    {problem}" for problem in found.problems]
    said.append("cannot run" if found.problems else "ready: vfxmatte run")
    return said


def _rate(plate: PlateInfo) -> str:
    """A sequence's frame rate; a movie's description has it."""
    if plate.kind == "movie":
        return ""
    return ", fps unknown" if plate.fps is None else f", {float(plate.fps):g} fps"


def _keyframe(one: KeyframeFinding) -> str:
    if one.error is not None:
        return f"{one.number} cannot be used"
    used = "" if one.used else "; not used: the plate has no such frame"
    remark = f"; {one.remark}" if one.remark else ""
    return f"{one.number} {100 * (one.unknown_share or 0):.1f}% unknown{remark}{used}"


def _to_do(found: Inspection) -> list[str]:
    if found.plan is None:
        return []
    stale = f", {found.stale} of them again because something changed" if found.stale else ""
    if found.rewritten:
        stale += f", {found.rewritten} of them without solving: only the file changes"
    said = [
        f"to do      {found.to_do} of {len(found.plan.numbers)} frames "
        f"({numbers_as_text(found.plan.numbers)}){stale}; {found.finished} are finished",
        f"output     {found.shot.output}",
    ]
    if found.needed_bytes is not None and found.free_bytes is not None:
        needed, free = _size(found.needed_bytes), _size(found.free_bytes)
        said.append(f"disk       up to about {needed} needed, {free} free")
    return said


def _size(count: int) -> str:
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def as_plain(found: Inspection) -> dict[str, Any]:
    """For JSON; what is not known is null."""
    plate, plan = found.plate, found.plan
    return {
        "event": "check",
        "shot": found.shot.name,
        "output": str(found.shot.output),
        "plate": None
        if plate is None
        else {
            "spec": plate.spec,
            "frames": numbers_as_text(plate.numbers),
            "missing": numbers_as_text(plate.missing),
            "unreadable": numbers_as_text(plate.unreadable),
            "width": plate.display_window.width,
            "height": plate.display_window.height,
            "fps": None if plate.fps is None else float(plate.fps),
            "description": plate.description,
            "colorspace": plate.colour_space,
            "colorspace_reason": plate.colour_reason,
        },
        "keyframes": [
            {
                "frame": one.number,
                "path": str(one.path),
                "used": one.used,
                "unknown_share": one.unknown_share,
                "remark": one.remark,
                "error": None if one.error is None else str(one.error),
            }
            for one in found.keyframes
        ],
        "weights": found.weights,
        "frames": None if plan is None else numbers_as_text(plan.numbers),
        "to_do": found.to_do,
        "finished": found.finished,
        "rewritten": found.rewritten,
        "stale": found.stale,
        "needed_bytes": found.needed_bytes,
        "free_bytes": found.free_bytes,
        "notes": found.remarks,
        "problems": [str(problem) for problem in found.problems],
        "exit_code": found.exit_code,
    }
