"""`vfxmatte merge`: what was solved in chunks, checked frame by frame and summed up."""

from __future__ import annotations

import json
from typing import Any

import click

from vfxmatte.cli.chunk_options import openjd_option, read_frames
from vfxmatte.cli.group import DONE, NOTHING_DONE, SOME_FAILED
from vfxmatte.cli.report import print_openjd
from vfxmatte.cli.shot_options import shot_options
from vfxmatte.common.wording import frames_text
from vfxmatte.errors import VfxmatteError
from vfxmatte.pipeline.merge import MergeReport
from vfxmatte.pipeline.merge import merge as merge_shot
from vfxmatte.pipeline.options import shot_of
from vfxmatte.types import numbers_as_text


@click.command()
@shot_options
@openjd_option
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def merge(as_json: bool, **values: Any) -> None:
    """Check what chunks of SHOT have left, and end the job: one journal, one manifest.

    Give the same options as to the chunks; --frames is the whole range. Every matte is read: a
    frame that is missing, failed, damaged, or made from something else than now is named, and the
    next run (or chunk) does it again.

    Exit codes: 0 all frames are there; 1 some are not; 2 wrong use; 3 nothing is there.
    """
    openjd = bool(values["openjd"])
    try:
        shot = shot_of(read_frames(values))
        report = merge_shot(shot, progress=_progress if openjd else None)
    except VfxmatteError as error:
        if openjd:
            print_openjd("fail", str(error))
        raise
    if as_json:
        click.echo(json.dumps(as_plain(report), ensure_ascii=False))
    else:
        _print(report, openjd=openjd)
    click.get_current_context().exit(exit_code(report))


def exit_code(report: MergeReport) -> int:
    if report.complete:
        return DONE
    reports = report.subjects.values() or [report]
    return SOME_FAILED if any(one.good for one in reports) else NOTHING_DONE


def as_plain(report: MergeReport) -> dict[str, Any]:
    """Return plain values for JSON."""
    return {
        "event": "merge",
        "complete": report.complete,
        "good": numbers_as_text(report.good),
        "missing": numbers_as_text(report.missing),
        "stale": numbers_as_text(report.stale),
        "skipped": numbers_as_text(report.skipped),
        "failed": {str(number): why for number, why in report.failed.items()},
        "damaged": {str(number): why for number, why in report.damaged.items()},
        "subjects": {
            name: {k: v for k, v in as_plain(one).items() if k not in ("event", "subjects")}
            for name, one in report.subjects.items()
        },
    }


def _print(report: MergeReport, *, openjd: bool) -> None:
    for name, one in (report.subjects or {"": report}).items():
        if one.good:
            who = f"{name}: " if name else ""
            click.echo(f"{who}good      {frames_text(one.good)}")
    for line in report.lines():
        click.echo(line, err=True)
        if openjd:
            print_openjd("fail", line)


def _progress(done: int, total: int) -> None:
    print_openjd("progress", f"{100 * done / max(1, total):.1f}")
