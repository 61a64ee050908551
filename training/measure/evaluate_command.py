"""`vfxmatte-train evaluate`: measure weights and yardsticks on the same pictures."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from training.measure.evaluate import MEAN, SetResult, Watch
from training.measure.evaluate import evaluate as run_evaluation
from training.measure.predictors import YARDSTICKS, Predictor, open_predictor
from training.measure.samples import Sample
from training.measure.sheet import Picture, save_sheet
from training.measure.test_sets import TestSet, open_test_sets
from vfxmatte.errors import UsageError
from vfxmatte.review.metrics import MatteErrors
from vfxmatte.types import UNKNOWN, FloatImage

_ROWS_OF_A_KIND = 3  # in the sheet, for each set
_MOST_ROWS = 40


@click.command()
@click.argument("specs", nargs=-1, required=True, metavar="WEIGHTS... SET")
@click.option("--per-element", default=1, show_default=True, type=click.IntRange(1),
              help="Backgrounds for each held-out element (the paper has 20).")  # fmt: skip
@click.option("--seed", default=7, show_default=True, help="Of a pack's test composites.")
@click.option("--band", "bands_px", multiple=True, type=click.FloatRange(1),
              help="Draw trimaps with bands so many px wide; several times: a table for each. "
              "[default: the set's own trimaps; 25 for shots]")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--json", "json_path", type=click.Path(path_type=Path, allow_dash=True),
              help="Write everything to this file (- for the screen).")  # fmt: skip
@click.option("--sheet", "sheet_path", type=click.Path(path_type=Path),
              help="Write a PNG with some of the mattes to look at.")  # fmt: skip
@click.option("--cache", type=click.Path(path_type=Path), default=Path(".cache/evaluate"),
              show_default=True, help="Where the yardsticks' results are cached.")  # fmt: skip
def evaluate(
    specs: tuple[str, ...],
    per_element: int,
    seed: int,
    bands_px: tuple[float, ...],
    device: str,
    json_path: Path | None,
    sheet_path: Path | None,
    cache: Path,
) -> None:
    """Measure WEIGHTS (files, or closed-form, closed-form-linear, knn) on the pictures of SET.

    SET is a pack (its held-out split is used), a folder with input/ alpha/ trimap*/, a shot with
    plate/ and alpha/, or a folder of such shots. SAD, Grad and Conn are in thousands.
    """
    if len(specs) < 2:
        raise UsageError(
            "give at least one WEIGHTS and a SET",
            hint=f"yardsticks beside weights files: {', '.join(YARDSTICKS)}",
        )
    quiet = str(json_path) == "-"
    predictors = [open_predictor(spec, device=device, cache=cache) for spec in specs[:-1]]
    results, sheets = [], _Sheet()
    for test_set in open_test_sets(
        Path(specs[-1]), per_element=per_element, seed=seed, bands_px=bands_px
    ):
        of_set = [_run(test_set, predict, sheets, quiet) for predict in predictors]
        results += of_set
        if not quiet:
            _print(of_set)
    if json_path is not None:
        _write_json(json_path, results)
    if sheet_path is not None:
        sheets.save(sheet_path)


def _run(test_set: TestSet, predict: Predictor, sheet: _Sheet, quiet: bool) -> SetResult:
    tracked = TestSet(
        name=test_set.name,
        moving=test_set.moving,
        samples=lambda: iter(
            track(
                test_set.samples(),
                description=f"{test_set.name}: {predict.name}",
                console=Console(stderr=True, quiet=quiet),
                transient=True,
            )
        ),
    )
    return run_evaluation(tracked, predict, watch=sheet.watch(test_set.name, predict.name))


def _print(results: list[SetResult]) -> None:
    """Print a table of one set: a section for each kind, a row for each predictor."""
    table = Table(title=results[0].set_name, title_justify="left")
    table.add_column("kind")
    table.add_column("pictures", justify="right")
    table.add_column("predictor")
    for name in ("SAD", "MSE", "MAD", "Grad", "Conn"):
        table.add_column(name, justify="right")
    kinds = list(results[0].means)
    if len(kinds) == 2:  # one kind is its own mean
        kinds = [MEAN]
    for kind in kinds:
        for place, result in enumerate(results):
            start = (kind, str(result.count(kind))) if place == 0 else ("", "")
            table.add_row(*start, result.predictor, *_numbers(result.means[kind]))
        table.add_section()
    console = Console(width=None if Console().is_terminal else 110)
    console.print(table)
    for result in results:
        if result.moving is not None:
            m = result.moving
            followed = "" if m.messddt is None else f", MESSDdt {m.messddt:.3f}"
            console.print(
                f"{result.predictor}: {m.frames} frames, SSDA {m.ssda:.2f}, "
                f"dtSSD {m.dtssd:.2f}{followed}"
            )


def _numbers(errors: MatteErrors) -> list[str]:
    return [
        f"{errors.sad:.2f}",
        f"{errors.mse:.4f}",
        f"{errors.mad:.4f}",
        f"{errors.grad:.2f}",
        f"{errors.conn:.2f}",
    ]


def _write_json(path: Path, results: list[SetResult]) -> None:
    text = json.dumps([result.as_dict() for result in results], indent=1)
    if str(path) == "-":
        click.echo(text)
    else:
        path.write_text(text + "\n", encoding="utf-8")


class _Sheet:
    """A contact sheet with rows of picture, trimap, truth and every predictor's matte."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], list[Picture]] = {}
        self._captions: dict[tuple[str, str], list[str]] = {}
        self._kinds: dict[tuple[str, str], int] = defaultdict(int)
        self._titles = ["picture", "trimap", "truth"]

    def watch(self, set_name: str, predictor: str) -> Watch:
        """Return the function to call with every matte of one predictor on one set."""
        if predictor not in self._titles:
            self._titles.append(predictor)

        def add(sample: Sample, alpha: FloatImage) -> None:
            key = (set_name, sample.name)
            if key not in self._rows and not self._start(key, sample):
                return
            self._rows[key].append(alpha.astype(np.float32))
            unknown = sample.labels == UNKNOWN
            error = np.abs(alpha - sample.truth)[unknown].sum() / 1000
            self._captions[key].append(f"SAD {error:.2f}")

        return add

    def _start(self, key: tuple[str, str], sample: Sample) -> bool:
        kind = (key[0], sample.kind)
        if self._kinds[kind] >= _ROWS_OF_A_KIND or len(self._rows) >= _MOST_ROWS:
            return False
        self._kinds[kind] += 1
        self._rows[key] = [sample.image, sample.labels, sample.truth]
        self._captions[key] = [sample.name, "", ""]
        return True

    def save(self, path: Path) -> None:
        save_sheet(
            path, list(self._rows.values()), titles=self._titles,
            captions=list(self._captions.values()),
        )  # fmt: skip
