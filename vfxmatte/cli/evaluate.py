"""`vfxmatte evaluate`: measure a shot's results against its true alpha."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from vfxmatte.cli.measured_frames import error_field, print_measured, table_of
from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.shot_options import shot_options
from vfxmatte.cli.withhold import INNER, named_frames, withhold
from vfxmatte.common.wording import counted
from vfxmatte.pipeline.options import shot_of
from vfxmatte.pipeline.run import Run
from vfxmatte.review.evaluation import Evaluation, FrameEvaluation, Means, open_alpha

_COLUMNS = ("missed %", "area", "SAD", "MSE", "Grad", "Conn", "dtSSD", "MESSDdt")


@click.command()
@shot_options
@click.option("--alpha", type=PathOption(exists=True), help="True alpha [SHOT/alpha].")
@click.option(
    "--withhold",
    "withheld",
    is_flag=False,
    flag_value=INNER,
    metavar="[FRAMES]",
    help="Run without these keyframes, or each inner one in turn, and compare with them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON events; the means are the last.")
def evaluate(alpha: Path | None, withheld: str | None, as_json: bool, **values: Any) -> None:
    """Measure the results of SHOT against its true alpha, frame by frame and on average.

    \b
    missed   share of truly soft pixels (0.02 < alpha < 0.98) that the trimap calls certain
    area     unknown area over that of a trimap drawn from the truth with the keyframes' band
    SAD, MSE, Grad, Conn          of the mattes, on the unknown region; SAD, Grad, Conn in 1000s
    dtSSD, MESSDdt                of the step to the next frame: flicker

    Keyframes have no missed and no area. Without mattes only trimaps are measured; missing trimaps
    are propagated first.

    Without a true alpha, --withhold judges a run by your own keyframes: it runs without some of
    them, in a folder that is removed, and compares with what you painted, within 30 px of the band.

    \b
    fg lost, bg won   painted foreground that the trimap calls background, and the reverse
    unknown           unknown area over the painted one
    holes, leaks      painted foreground with alpha < 0.9, painted background with alpha > 0.1

    Exit codes: 0 done; 1 some frames could not be measured; 2 wrong use; 3 nothing could be.
    """
    if withheld is not None:
        named = named_frames(withheld)
        click.get_current_context().exit(withhold(shot_of(values), named, as_json=as_json))
    shot = shot_of(values)
    with Run(shot) as prepared:
        evaluation = Evaluation(run=prepared, alpha=open_alpha(values["shot"], alpha, shot.chosen))
        code = print_measured(
            evaluation.frames(),
            plain=_plain,
            report=lambda frames: _report(evaluation, frames, as_json=as_json),
            as_json=as_json,
        )
    click.get_current_context().exit(code)


def _report(evaluation: Evaluation, frames: list[FrameEvaluation], *, as_json: bool) -> None:
    """Print the means, or the table with them."""
    means, shot = Means.of(frames), evaluation.run.shot
    if as_json:
        band_px = evaluation.band_px
        click.echo(json.dumps({"event": "means", "band_px": band_px, **asdict(means)}))
    else:
        Console().print(_table(frames, means))
        band = f"keyframes' band {evaluation.band_px:.1f} px"
        click.echo(f"{shot.name}: {counted(len(frames), 'frame')}, {band}")
        if not evaluation.has_mattes:
            click.echo(f"no mattes in {shot.output} yet")


def _plain(frame: FrameEvaluation) -> dict[str, Any]:
    names = ("missed", "area", "sad", "mse", "grad", "conn")
    values: dict[str, float | None] = dict.fromkeys(names)
    if frame.trimap is not None:
        values |= {"missed": frame.trimap.missed, "area": frame.trimap.area}
    if frame.matte is not None:
        values |= {name: getattr(frame.matte, name) for name in names[2:]}
    values |= {"dtssd": frame.dtssd, "messddt": frame.messddt}
    own = {"frame": frame.number, "is_keyframe": frame.is_keyframe}
    return {**own, **values, **error_field(frame)}


def _table(frames: list[FrameEvaluation], means: Means) -> Table:
    rows = (
        [f"{frame.number}{' key' if frame.is_keyframe else ''}", *_cells(_plain(frame))]
        for frame in frames
    )
    return table_of(_COLUMNS, rows, ["mean", *_cells(asdict(means))])


def _cells(values: dict[str, Any]) -> list[str]:
    missed = None if values["missed"] is None else 100 * values["missed"]
    numbers = {**values, "missed": missed}
    names = ("missed", "area", "sad", "mse", "grad", "conn", "dtssd", "messddt")
    formats = {"mse": ".4f"}
    return [
        "" if numbers[name] is None else format(numbers[name], formats.get(name, ".2f"))
        for name in names
    ]
