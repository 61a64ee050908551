"""`vfxmatte evaluate`: a shot's results against its true alpha, as a table or JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from vfxmatte.cli.group import NOTHING_DONE, SOME_FAILED
from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.report import error_values
from vfxmatte.cli.shot_options import shot_of, shot_options
from vfxmatte.journal.error_log import logged
from vfxmatte.pipeline.run import Run
from vfxmatte.review.evaluation import Evaluation, FrameEvaluation, Means, open_alpha

_COLUMNS = ("missed %", "area", "SAD", "MSE", "Grad", "Conn", "dtSSD", "MESSDdt")


@click.command()
@shot_options
@click.option("--alpha", type=PathOption(exists=True), help="True alpha [SHOT/alpha].")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line; means come last.")
def evaluate(alpha: Path | None, as_json: bool, **values: Any) -> None:
    """Measure the results of SHOT against its true alpha, frame by frame and on average.

    \b
    missed   share of truly soft pixels (0.02 < alpha < 0.98) that the trimap calls certain
    area     unknown area over that of a trimap drawn from the truth with the keyframes' band
    SAD, MSE, Grad, Conn          of the mattes, on the unknown region; SAD, Grad, Conn in 1000s
    dtSSD, MESSDdt                of the step to the next frame: flicker

    Keyframes have no missed and no area. Where there are no mattes yet, only trimaps are measured;
    where there are no trimaps, they are carried through time first.

    Exit codes: 0 done; 1 some frames could not be measured; 2 wrong use; 3 nothing could be.
    """
    shot = shot_of(values)
    frames: list[FrameEvaluation] = []
    with Run(shot) as prepared:
        evaluation = Evaluation(run=prepared, alpha=open_alpha(values["shot"], alpha))
        try:
            for frame in evaluation.frames():
                frames.append(frame)
                if as_json:
                    click.echo(json.dumps({"event": "frame", **_plain(frame)}))
        finally:  # of what has been measured, whatever has ended it
            if frames:
                _report(evaluation, frames, as_json=as_json)
    failed = [frame for frame in frames if frame.error is not None]
    if failed:
        all_failed = len(failed) == len(frames)
        click.get_current_context().exit(NOTHING_DONE if all_failed else SOME_FAILED)


def _report(evaluation: Evaluation, frames: list[FrameEvaluation], *, as_json: bool) -> None:
    """The means, or the table with them; then what has failed."""
    means, shot = Means.of(frames), evaluation.run.shot
    if as_json:
        band_px = evaluation.band_px
        click.echo(json.dumps({"event": "means", "band_px": band_px, **asdict(means)}))
    else:
        Console().print(_table(frames, means))
        band = f"keyframes' band {evaluation.band_px:.1f} px"
        click.echo(f"{shot.name}: {len(frames)} frames, {band}")
        if not evaluation.has_mattes:
            click.echo(f"no mattes in {shot.output} yet")
    for frame in frames:
        if frame.error is not None:
            click.echo(f"failed: {logged(frame.error)}", err=True)


def _plain(frame: FrameEvaluation) -> dict[str, Any]:
    names = ("missed", "area", "sad", "mse", "grad", "conn")
    values: dict[str, float | None] = dict.fromkeys(names)
    if frame.trimap is not None:
        values |= {"missed": frame.trimap.missed, "area": frame.trimap.area}
    if frame.matte is not None:
        values |= {name: getattr(frame.matte, name) for name in names[2:]}
    values |= {"dtssd": frame.dtssd, "messddt": frame.messddt}
    error = {} if frame.error is None else {"error": error_values(frame.error)}
    return {"frame": frame.number, "is_keyframe": frame.is_keyframe, **values, **error}


def _table(frames: list[FrameEvaluation], means: Means) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("frame")
    for name in _COLUMNS:
        table.add_column(name, justify="right")
    for frame in frames:
        key = " key" if frame.is_keyframe else ""
        table.add_row(f"{frame.number}{key}", *_cells(_plain(frame)))
    table.add_section()
    table.add_row("mean", *_cells(asdict(means)))
    return table


def _cells(values: dict[str, Any]) -> list[str]:
    missed = None if values["missed"] is None else 100 * values["missed"]
    shown = [_number(missed, ".2f"), _number(values["area"], ".2f")]
    shown.append(_number(values["sad"], ".2f"))
    shown.append(_number(values["mse"], ".4f"))
    return shown + [_number(values[n], ".2f") for n in ("grad", "conn", "dtssd", "messddt")]


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
