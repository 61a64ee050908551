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
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.subjects_run import SubjectsRun, open_run

if TYPE_CHECKING:
    from vfxmatte.fitting.fit import FitProgress


@click.command()
@shot_options
@openjd_option
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each fit.")
def fit(as_json: bool, **values: Any) -> None:
    """Fit a light network to SHOT's keyframes and keep it in the output folder.

    `run` does this itself before its first frame; chunks that run at the same time find it made.
    Give the same options as to them. Where a fit is not wanted (--fit) or does not help, this is
    reported and nothing else happens.
    """
    openjd = bool(values["openjd"])

    def on_fit(progress: FitProgress) -> None:
        if openjd:
            print_openjd("progress", f"{100 * progress.step / progress.steps:.1f}")
        if not as_json and progress.step % FIT_STEPS_A_LINE == 0:
            click.echo(fit_line(progress))

    try:
        fits = _fits(shot_of(read_frames(values)), on_fit)
    except VfxmatteError as error:
        if openjd:
            print_openjd("fail", str(error))
        raise
    for name, kept in fits.items():
        if as_json:
            subject = {"subject": name} if name else {}
            record = None if kept is None else {**kept.record, "path": str(kept.path)}
            click.echo(json.dumps({"event": "fit", **subject, "fit": record}, ensure_ascii=False))
        else:
            text = "this shot is not to be fitted" if kept is None else kept.text
            click.echo(f"{name}: {text}" if name else text)


def _fits(shot: Shot, on_fit: Callable[[FitProgress], None]) -> dict[str, KeptFit | None]:
    """Return the fit of each subject by its name, "" for a shot with a single one."""
    with open_run(shot, chunk=True) as run:
        run.tell(on_fit, lambda text: None)
        return run.fits() if isinstance(run, SubjectsRun) else {"": run.fit()}
