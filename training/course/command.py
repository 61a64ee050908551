"""`vfxmatte-train course-set` and `course-table`: pictures for the recipe, and its table."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from training.course.layout import open_matted
from training.course.rendered import RenderedSize, write_rendered
from training.course.table import Row, by_engine, by_network, load_run, row, samples_of
from training.elements.pack import read_pack
from vfxmatte.errors import UsageError

console = Console(soft_wrap=True)


@click.command()
@click.argument("pack", type=click.Path(path_type=Path))
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), required=True,
              help="The new folder: images/, mattes/, held_out.txt.")  # fmt: skip
@click.option("--kind", default="portrait", show_default=True, help="Of the pack's elements.")
@click.option("--width", default=300, show_default=True, type=click.IntRange(32))
@click.option("--height", default=400, show_default=True, type=click.IntRange(32))
@click.option("--per-element", default=4, show_default=True, type=click.IntRange(1),
              help="Pictures of each element that is trained on.")  # fmt: skip
@click.option("--per-held-out", default=7, show_default=True, type=click.IntRange(1),
              help="Pictures of each element that is held out.")  # fmt: skip
@click.option("--seed", default=7, show_default=True, help="Of the backgrounds.")
def course_set(
    pack: Path,
    folder: Path,
    kind: str,
    width: int,
    height: int,
    per_element: int,
    per_held_out: int,
    seed: int,
) -> None:
    """Render pictures with mattes from a PACK, its held-out elements held out, for --recipe course.

    They stand in for photographs: elements over backgrounds, mixed in linear light, reduced.
    """
    size = RenderedSize(
        width_px=width, height_px=height, per_element=per_element, per_held_out=per_held_out
    )
    seen, held_out = write_rendered(read_pack(pack), folder, size, kind=kind, seed=seed)
    console.print(f"{folder}: {seen} pictures to train on, {held_out} held out", highlight=False)


@click.command()
@click.argument("library", type=click.Path(path_type=Path))
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--engine", "engines", multiple=True,
              help="A method without a network beside the runs: kmeans, gmm, trimap …")  # fmt: skip
@click.option("--most", type=click.IntRange(1),
              help="Pictures of each side at most, evenly taken; the default is all.")  # fmt: skip
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the rows here.")
def course_table(
    library: Path,
    runs: tuple[Path, ...],
    engines: tuple[str, ...],
    most: int | None,
    json_path: Path | None,
) -> None:
    """Measure RUNS (folders) on the pictures of LIBRARY: mean absolute errors, both sides.

    All rows solve the same pictures at the size and with the trimaps of the runs.
    """
    loaded = {folder: load_run(folder) for folder in runs}
    config = loaded[runs[0]][0]
    for folder, (other, _) in loaded.items():
        if (other.matted.size_px, other.synthesis) != (config.matted.size_px, config.synthesis):
            raise UsageError(f"{folder} has other pictures or trimaps than {runs[0]}")
    matted = open_matted(library, config.matted)
    sides = (matted.training(), matted.validation())
    training, test = (samples_of(side.evenly(most), config) for side in sides)
    methods = {
        folder.resolve().name: by_network(network) for folder, (_, network) in loaded.items()
    }
    methods |= {name: by_engine(name) for name in engines}
    tracked = track(methods.items(), "solving", console=Console(stderr=True), transient=True)
    rows = [row(name, solve, training, test) for name, solve in tracked]
    _print(rows, len(training), len(test))
    if json_path is not None:
        text = json.dumps([measured.as_dict() for measured in rows], indent=1)
        json_path.write_text(text + "\n", encoding="utf-8")


def _print(rows: list[Row], training: int, test: int) -> None:
    table = Table(title="mean absolute error", title_justify="left")
    table.add_column("method")
    for name in (f"{training} of those trained on", f"{test} held out"):
        table.add_column(f"{name}: unknown", justify="right")
        table.add_column("whole", justify="right")
    for measured in rows:
        sides = (measured.training, measured.test)
        values = [value for side in sides for value in (side.unknown, side.whole)]
        table.add_row(measured.method, *(f"{value:.4f}" for value in values))
    Console(width=None if console.is_terminal else 100).print(table)
