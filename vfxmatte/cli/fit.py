"""`vfxmatte fit`: the fit to a shot alone, ahead of its frames; a farm's first task."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from vfxmatte.cli.chunk_options import openjd_option, read_frames
from vfxmatte.cli.report import FIT_STEPS_A_LINE, fit_line, print_openjd
from vfxmatte.cli.shot_options import shot_options
from vfxmatte.errors import VfxmatteError
from vfxmatte.fitting.kept import KeptFit
from vfxmatte.pipeline.options import shot_of
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.shot import Shot

if TYPE_CHECKING:
    from vfxmatte.fitting.fit import FitProgress


@click.command()
@shot_options
@openjd_option
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def fit(as_json: bool, **values: Any) -> None:
    """Fit a light network to SHOT's keyframes and keep it in the output folder.

    `run` does this itself before its first frame; chunks that run at the same time find it made.
    Give the same options as to them. Where a fit is not wanted (--fit) or does not help, this is
    reported and nothing else happens.
    """
    openjd = bool(values["openjd"])

    def told(progress: FitProgress) -> None:
        if openjd:
            print_openjd("progress", f"{100 * progress.step / progress.steps:.1f}")
        if not as_json and progress.step % FIT_STEPS_A_LINE == 0:
            click.echo(fit_line(progress))

    try:
        shot = shot_of(read_frames(values))
        kept = None if shot.subjects else _made(shot, told)
    except VfxmatteError as error:
        if openjd:
            print_openjd("fail", str(error))
        raise
    if as_json:
        record = None if kept is None else {**kept.record, "path": str(kept.path)}
        click.echo(json.dumps({"event": "fit", "fit": record}, ensure_ascii=False))
    else:
        click.echo("this shot is not to be fitted" if kept is None else kept.text)


def _made(shot: Shot, told: Callable[[FitProgress], None]) -> KeptFit | None:
    with Run(shot, chunk=True) as run:
        run.fit_told = told
        return run.fit()
