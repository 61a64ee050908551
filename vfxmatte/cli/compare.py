"""`vfxmatte compare`: compare engines on the frames of a shot."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from vfxmatte.cli.group import NOTHING_DONE, SOME_FAILED
from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.shot_options import shot_options
from vfxmatte.common.wording import frames_text
from vfxmatte.engines.registry import engine_names
from vfxmatte.errors import UsageError
from vfxmatte.io.overwriting import refuse_existing
from vfxmatte.io.sequence import FrameSequence
from vfxmatte.io.temporary import write_whole
from vfxmatte.journal.error_log import logged
from vfxmatte.pipeline.options import shot_of
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.shot import Shot
from vfxmatte.reporting.events import error_values
from vfxmatte.review.comparison import Comparison, Outcome, Summary
from vfxmatte.review.detail_sheet import write_sheet
from vfxmatte.review.evaluation import open_alpha

RECORD, SHEET = "comparison.json", "comparison.png"
FOLDER = "comparison"


@click.command()
@shot_options
@click.option(
    "--engines", default="dim,closed-form,knn,gmm", show_default=True, help="Names of the engines."
)
@click.option("--alpha", type=PathOption(exists=True), help="True alpha [SHOT/alpha].")
@click.option(
    "--details",
    type=click.IntRange(0, 32),
    default=4,
    show_default=True,
    help="Details on the sheet.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing comparison.")
@click.option("--json", "as_json", is_flag=True, help="Print the record instead of the table.")
def compare(
    engines: str, alpha: Path | None, details: int, overwrite: bool, as_json: bool, **values: Any
) -> None:
    """Solve the --frames of SHOT with several engines: time, errors, and a sheet to look at.

    All engines get the same trimaps, propagated once. --output [SHOT/comparison] gets
    comparison.json and comparison.png: alpha and composites over a checker and over grey, where the
    engines differ most. Errors are measured if the true alpha is known.

    \b
    vfxmatte compare shots/creature --engines dim,closed-form,knn,gmm --frames 1001-1100x10

    If it is interrupted, the record holds the frames compared so far.

    Exit codes: 0 done; 1 an engine failed on some frame; 2 wrong use; 3 nothing could be done.
    """
    names = _names(engines, values["name"])
    shot = shot_of(values)
    folder = values["folder"] or _folder(values["shot"])
    refuse_existing(
        [folder / RECORD, folder / SHEET],
        overwrite=overwrite,
        message="there is a comparison already",
        hint="give --overwrite, or another --output",
    )
    true_alpha = _alpha(values["shot"], alpha, shot.chosen)
    with Run(shot) as run, Comparison(run, names, true_alpha, details=details) as comparison:
        try:
            for _ in comparison.frames():
                pass
        finally:  # report the compared frames, whatever ended the loop
            if comparison.outcomes:
                _report(shot, comparison, names, folder, as_json=as_json)
    failed = [one for one in comparison.outcomes if one.error is not None]
    if failed:
        all_failed = len(failed) == len(comparison.outcomes)
        click.get_current_context().exit(NOTHING_DONE if all_failed else SOME_FAILED)


def _report(
    shot: Shot, comparison: Comparison, names: Sequence[str], folder: Path, *, as_json: bool
) -> None:
    """Write record and sheet, and print the table (or the record) and the failures."""
    summaries = comparison.summaries()
    record = _record(shot, summaries, comparison.outcomes)
    write_whole(folder / RECORD, json.dumps(record, indent=1) + "\n")
    if comparison.details:
        write_sheet(comparison.details, names, folder / SHEET)
    if as_json:
        click.echo(json.dumps(record))
    else:
        Console().print(_table(summaries))
        click.echo(f"{folder / RECORD}")
        for line in _divided_lines(comparison.outcomes):
            click.echo(line)
        if comparison.details:
            click.echo(f"{folder / SHEET}")
    for one in comparison.outcomes:
        if one.error is not None:
            click.echo(f"failed: {one.engine}: {logged(one.error, folder)}", err=True)


def _names(engines: str, engine: str | None) -> list[str]:
    if engine is not None:
        raise UsageError("compare takes several engines", hint="write --engines NAME,NAME")
    names = [name.strip() for name in engines.split(",") if name.strip()]
    if not names:
        raise UsageError("no engine was named", hint=f"there is {', '.join(engine_names())}")
    return names


def _folder(shot: Path | None) -> Path:
    if shot is None:
        raise UsageError("--output is missing", hint="say where the comparison shall go")
    return shot / FOLDER


def _alpha(shot: Path | None, path: Path | None, subjects: Collection[str]) -> FrameSequence | None:
    """Find the true alpha as `evaluate` does, if any."""
    if path is None and (shot is None or not (shot / "alpha").is_dir()):
        return None
    return open_alpha(shot, path, subjects)


def _record(
    shot: Shot, summaries: Sequence[Summary], outcomes: Sequence[Outcome]
) -> dict[str, Any]:
    return {
        "event": "comparison",
        "shot": shot.name,
        "frames": sorted({one.number for one in outcomes}),
        "engines": [asdict(one) for one in summaries],
        "outcomes": [_plain(one) for one in outcomes],
    }


def _plain(one: Outcome) -> dict[str, Any]:
    return {
        "engine": one.engine,
        "frame": one.number,
        "elapsed_ms": one.elapsed_ms,
        "errors": None if one.errors is None else asdict(one.errors),
        "dtssd": one.dtssd,
        "stats": dict(one.stats),
        "error": None if one.error is None else error_values(one.error),
    }


def _table(summaries: Sequence[Summary]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("engine")
    for name in ("s/frame", "SAD", "MSE", "Grad", "Conn", "dtSSD", "failed"):
        table.add_column(name, justify="right")
    for one in summaries:
        seconds = "" if one.median_ms is None else f"{one.median_ms / 1000:.2f}"
        step = "" if one.dtssd is None else f"{one.dtssd:.2f}"
        table.add_row(one.engine, seconds, *_errors(one), step, str(one.failed or ""))
    return table


def _divided_lines(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield a line for each engine that had to divide frames."""
    divided: dict[str, list[int]] = {}
    for one in outcomes:
        if one.stats.get("pieces", 1) > 1:
            divided.setdefault(one.engine, []).append(one.number)
    for engine, numbers in divided.items():
        yield (
            f"{engine}: {frames_text(numbers, ('was', 'were'))} too large to be solved at once: "
            "coarse first, then in overlapping pieces (engine.max_window_px)"
        )


def _errors(one: Summary) -> list[str]:
    if one.errors is None:
        return [""] * 4
    errors = one.errors
    return [f"{errors.sad:.2f}", f"{errors.mse:.4f}", f"{errors.grad:.2f}", f"{errors.conn:.2f}"]
