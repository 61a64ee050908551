"""`vfxmatte run`: a shot in, mattes out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from vfxmatte.cli.chunk_options import chunk_options, part_of, read_frames
from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.report import make_report
from vfxmatte.cli.shot_options import preview_option, shot_options
from vfxmatte.errors import UsageError
from vfxmatte.pipeline.options import shot_of
from vfxmatte.pipeline.shot import Shot
from vfxmatte.reporting.session import RunSession

# Options of `run` in earlier versions; using them reports the command that has them now.
_MOVED = ("--otio", "--handles", "--only", "--otio-out")


def _moved_options(function: Any) -> Any:
    for name in _MOVED:
        function = click.option(name, expose_value=False, hidden=True, callback=_moved)(function)
    dry_run = click.option(
        "--dry-run", is_flag=True, expose_value=False, hidden=True, callback=_no_dry_run
    )
    return dry_run(function)


def _moved(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        raise UsageError(
            f"{parameter.opts[0]} is of another command now",
            hint="cuts have one of their own: vfxmatte cut cut.otio --trimaps DIR -o DIR",
        )


def _no_dry_run(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        raise UsageError(
            "--dry-run is for cuts",
            hint="of a shot, `vfxmatte check` says it; of a cut, `vfxmatte cut --dry-run`",
        )


@click.command()
@shot_options
@click.option(
    "--movie",
    type=PathOption(),
    help="Also write a ProRes 4444 .mov: Rec.709, straight colour (or --foreground's), alpha.",
)
@preview_option
@click.option("--overwrite", is_flag=True, help="Do finished frames again.")
@click.option(
    "--chunk",
    is_flag=True,
    help="Do the --frames as one of many workers: no lock, no manifest; `merge` ends the job.",
)
@chunk_options
@_moved_options
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line; totals come last.")
@click.option("--quiet", is_flag=True, help="Print failures only.")
def run(
    movie: Path | None,
    previews: tuple[str, ...],
    overwrite: bool,
    chunk: bool,
    as_json: bool,
    quiet: bool,
    **values: Any,
) -> None:
    """Matte a shot: carry its keyframe trimaps through time and solve every frame.

    \b
    vfxmatte run shots/creature
    vfxmatte run --plate 'plate.####.exr' --trimaps DIR --output DIR --frames 1001-1100x2

    SHOT holds plate/ (an image sequence or a movie; or a movie plate.mov), trimaps/ (painted
    keyframes, NAME.FRAME.ext) and perhaps shot.toml; options override all three. Finished frames
    are kept: after a kill or Ctrl-C the same command goes on, and after a change of the plate, a
    keyframe or a setting exactly the affected frames are done again.

    Exit codes: 0 done; 1 some frames failed, the others are delivered; 2 wrong use; 3 nothing
    could be done; 130 stopped by Ctrl-C.
    """
    context = click.get_current_context()

    def find() -> Shot:
        shot = shot_of(read_frames(values))
        return replace(shot, settings=part_of(shot, values, chunk=chunk))

    report = make_report(as_json=as_json, quiet=quiet, openjd=values["openjd"])
    session = RunSession(report, movie=movie, previews=previews)
    context.exit(session.run(find, overwrite=overwrite, chunk=chunk))
