"""`vfxmatte check`: report what a run would find, lack and do, without torch."""

from __future__ import annotations

import json
import shlex
from typing import Any

import click

from vfxmatte.cli.report import control_lines
from vfxmatte.cli.shot_options import given_words, shot_options
from vfxmatte.common.wording import counted, frames_text
from vfxmatte.io.plate import PlateInfo
from vfxmatte.pipeline.options import shot_of
from vfxmatte.reporting.inspection import Inspection, as_plain, inspect
from vfxmatte.reporting.keyframe_findings import KeyframeFinding
from vfxmatte.types import numbers_as_text


@click.command()
@shot_options
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def check(as_json: bool, **values: Any) -> None:
    """Say what a run of SHOT would find, lack and do. Nothing is written.

    Takes the same options as `run`. Exit codes: 0 it can run; 1 some frames would fail; 2 wrong
    use; 3 it cannot run.
    """
    inspection = inspect(shot_of(values))
    if as_json:
        click.echo(json.dumps(as_plain(inspection), ensure_ascii=False))
    else:
        for line in screen_lines(inspection):
            click.echo(line)
        words = ["vfxmatte", "run", *given_words(values, values)]
        click.echo("cannot run" if inspection.problems else f"ready: {shlex.join(words)}")
    click.get_current_context().exit(inspection.exit_code)


def screen_lines(inspection: Inspection) -> list[str]:
    """Return the lines for the screen: findings first, problems last."""
    lines = [f"shot       {inspection.shot.name}"]
    if inspection.plate is not None:
        plate = inspection.plate
        lines.append(f"plate      {plate}{_rate(plate)}")
        lines.append(f"colour     {plate.colour_space} ({plate.colour_reason})")
        if plate.missing:
            lines.append(f"missing    {frames_text(plate.missing)}")
    lines += [f"keyframe   {_keyframe(one)}" for one in inspection.keyframes]
    if inspection.plan is not None and not inspection.subjects:
        lines += control_lines(inspection.plan)
    for name, subject in inspection.subjects.items():
        lines += [f"keyframe   {name}: {_keyframe(one)}" for one in subject.keyframes]
        if subject.plan is not None:
            lines += control_lines(subject.plan, name)
    if inspection.weights:
        lines.append(f"weights    {inspection.weights}")
    lines += _to_do(inspection)
    lines += [f"note       {remark}" for remark in inspection.remarks]
    lines += [f"problem    {problem}" for problem in inspection.problems]
    return lines


def _rate(plate: PlateInfo) -> str:
    """Return a sequence's frame rate; a movie's description has it already."""
    if plate.kind == "movie":
        return ""
    return ", fps unknown" if plate.fps is None else f", {float(plate.fps):g} fps"


def _keyframe(one: KeyframeFinding) -> str:
    if one.error is not None:
        return f"{one.number} cannot be used"
    used = "" if one.used else "; not used: the plate has no such frame"
    remark = f"; {one.remark}" if one.remark else ""
    kind = "finished matte, " if one.finished else ""
    return f"{one.number} {kind}{100 * (one.unknown_share or 0):.1f}% unknown{remark}{used}"


def _to_do(inspection: Inspection) -> list[str]:
    if inspection.plan is None:
        return []
    again = ""
    if inspection.stale:
        again += f", {inspection.stale} of them again because something changed"
    if inspection.rewritten:
        again += f", {inspection.rewritten} of them without solving: only the file changes"
    lines = [
        f"to do      {inspection.to_do} of {_mattes(inspection)} "
        f"({numbers_as_text(inspection.plan.numbers)}){again}; "
        f"{inspection.finished} {'is' if inspection.finished == 1 else 'are'} finished",
        f"output     {inspection.shot.output}",
    ]
    if inspection.needed_bytes is not None and inspection.free_bytes is not None:
        needed, free = _size(inspection.needed_bytes), _size(inspection.free_bytes)
        lines.append(f"disk       up to about {needed} needed, {free} free")
    return lines


def _mattes(inspection: Inspection) -> str:
    """Return how many mattes the run is to have."""
    frames = 0 if inspection.plan is None else len(inspection.plan.numbers)
    if not inspection.subjects:
        return counted(frames, "frame")
    names = ", ".join(inspection.subjects)
    mattes = counted(frames * len(inspection.subjects), "matte")
    return f"{mattes} of {counted(frames, 'frame')}, for {names}"


def _size(count: int) -> str:
    value = float(count)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
