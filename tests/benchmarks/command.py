"""`python -m tests.benchmarks`: what matting costs on this machine, as tables and JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vfxmatte.errors import UsageError

if TYPE_CHECKING:
    from tests.benchmarks.suite import SuiteSettings

Function = TypeVar("Function", bound=Callable[..., Any])

_PATH = click.Path(path_type=Path)
_OPTIONS = (
    click.option("--sizes", metavar="W×H,…", help="Of the frames [1920x1080,3840x2160]."),
    click.option(
        "--unknown", metavar="SHARE,…", help="Shares of unknown pixels [0.02,0.05,0.1,0.2,0.4]."
    ),
    click.option("--modes", metavar="MODE,…", help="Of the network [dense,exact,fast,plain]."),
    click.option("--device", help="auto, cpu, cuda or cuda:N [auto]."),
    click.option(
        "--precision",
        type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
        help="Of the network [auto: float16 on a GPU, float32 on a CPU].",
    ),
    click.option("--weights", type=_PATH, help="A .safetensors file [the default weights]."),
    click.option("--repeats", type=int, help="Of everything; medians are told [5]."),
    click.option("--warmup", type=int, help="Rounds before that, which do not count [1]."),
    click.option("--batch-frames", type=int, help="Frames at once, network [1; GPU: 8]."),
    click.option("--frames", type=int, help="Length of the shots, end to end [24]."),
    click.option("--keyframe-every", type=int, help="Frames between keyframes, end to end [12]."),
    click.option("--runs", type=int, help="End-to-end runs of each size [2]."),
    click.option("--workers", type=int, help="Frames read and written at once [all cores]."),
    click.option("--threads", type=int, help="torch's threads, network [as torch chooses]."),
    click.option(
        "--memory",
        type=click.Choice(["all", "one", "none"]),
        help="Peak memory at all shares, at the one nearest to 0.1, at none [one].",
    ),
    click.option("--folder", type=_PATH, help="Where shots are made [a temporary folder]."),
    click.option("--commit", help="What to write down as commit outside of a checkout."),
    click.option("--quick", is_flag=True, help="Small and short, to see that all of it works."),
    click.option("--json", "record", type=_PATH, help="Write the record, every repeat in it."),
)


def _bench_options(function: Function) -> Function:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.group(name="bench", invoke_without_command=True)
@click.option(
    "--stages",
    metavar="STAGE,…",
    help="What to measure [network,read,colour,flow,write,end-to-end].",
)
@click.option(
    "--shot",
    "shots",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="Compare the modes on the painted frames of this shot too; may be repeated.",
)
@_bench_options
@click.pass_context
def command(
    context: click.Context, /, stages: str | None, shots: tuple[Path, ...], **values: Any
) -> None:
    """Measure what matting costs on this machine: time, memory, differences between the modes.

    Pictures and shots are made up for the purpose. The network is timed in its modes in turns:
    dense (the whole picture), exact (what the unknown depends on), fast (a little less), windows
    (whole windows around the unknown), and plain: the full frame at once in float32, as public
    implementations do it.

    \b
    python -m tests.benchmarks --quick                          see that it works
    python -m tests.benchmarks --json docs/lab/records/a.json  everything, and keep it
    python -m tests.benchmarks network --sizes 1920x1080        needs no image library
    python -m tests.benchmarks report docs/lab/records/*.json -o docs/lab/speed.md
    """
    if context.invoked_subcommand is None:
        settings = replace(_settings(values, stages), shots=shots)
        _measure(settings, values["record"])
    elif stages is not None or shots or any(value for value in values.values()):
        raise UsageError(
            "options stand behind the command", hint="write python -m tests.benchmarks network …"
        )


@command.command()
@_bench_options
def network(**values: Any) -> None:
    """The network's stage alone; needs torch and numpy, no file and no image library."""
    _measure(_settings(values, "network"), values["record"])


def _settings(values: dict[str, Any], stages: str | None) -> SuiteSettings:
    from tests.benchmarks.suite import SuiteSettings

    settings = SuiteSettings()
    if values["quick"]:
        settings = settings.quick()
    names = (
        "device", "precision", "weights", "repeats", "warmup", "batch_frames", "frames",
        "keyframe_every", "runs",
        "workers", "threads", "memory", "folder", "commit",
    )  # fmt: skip
    given = {name: values[name] for name in names if values[name] is not None}
    if values["sizes"]:
        given["sizes"] = tuple(_size(text) for text in values["sizes"].split(","))
    if values["unknown"]:
        given["shares"] = tuple(_share(text) for text in values["unknown"].split(","))
    if values["modes"]:
        given["modes"] = _words(values["modes"])
    if stages:
        given["parts"] = _words(stages)
    return replace(settings, **given)


def _measure(settings: SuiteSettings, path: Path | None) -> None:
    from tests.benchmarks.record import writable
    from tests.benchmarks.suite import measure_suite, print_to_stderr

    if path is not None:
        writable(path)
    record = measure_suite(
        settings,
        say=print_to_stderr,
        save=lambda found: found.save(path, complete=False) if path is not None else None,
    )
    if path is not None:
        record.save(path, complete=True)
    record.header["complete"] = True
    _show(record.as_dict())


def _show(record: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable

    from tests.benchmarks.tables import provenance, tables

    wide = None if sys.stdout.isatty() else 140
    console = Console(width=wide)
    console.print(provenance(record), highlight=False)
    for table in tables(record):
        shown = RichTable(box=None, pad_edge=False, title=table.title, title_justify="left")
        for index, name in enumerate(table.columns):
            shown.add_column(name, justify="left" if index < table.text_columns else "right")
        for row in table.rows:
            shown.add_row(*row)
        console.print()
        console.print(shown)
        if table.note:
            console.print(table.note, style="dim", highlight=False)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.strip().replace("×", "x").partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"not a size: {text!r}", hint="write WIDTHxHEIGHT, e.g. 1920x1080")
    return int(width), int(height)


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(
            f"not a share: {text!r}", hint="write parts of 1, e.g. 0.02,0.1"
        ) from error


@command.command()
@click.option("--short", default=40, show_default=True, help="Frames of the short shot.")
@click.option("--long", default=400, show_default=True, help="Frames of the long shot.")
@click.option("--size", default="480x270", show_default=True, help="Of the made-up plates.")
@click.option("--weights", type=_PATH, help="Default: the default weights.")
@click.option("--device", default="auto", show_default=True)
@click.option("--folder", type=_PATH, help="Where the shots are made.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON instead of text.")
def memory(
    short: int,
    long: int,
    size: str,
    weights: Path | None,
    device: str,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Peak memory of a long shot over that of a short one: it must not grow with the shot."""
    from tests.benchmarks.memory import measure_memory

    width, height = _size(size)
    report = measure_memory(
        short=short,
        long=long,
        width=width,
        height=height,
        weights=weights,
        device=device,
        folder=folder,
    )
    click.echo(json.dumps(report.as_dict()) if as_json else str(report))


@command.command()
@click.argument("shots", type=_PATH, nargs=-1, required=True)
@click.option("--mattes", type=_PATH, help="Folder of results by shot name [SHOT/matte].")
@click.option("--seeds", default=1, show_default=True, help="Times that each kind is tried.")
@click.option("--first-seed", default=0, show_default=True, help="Another one, other faults.")
@click.option("--lasting", type=int, help="Spoil this many frames on end [up to three].")
@click.option("--json", "record", type=_PATH, help="Write every score.")
def review(
    shots: tuple[Path, ...],
    mattes: Path | None,
    seeds: int,
    first_seed: int,
    lasting: int | None,
    record: Path | None,
) -> None:
    """Measure which truly bad frames of SHOTS a review flags: as solved, and spoiled on purpose.

    A frame is truly bad whose SAD is over twice the shot's median. SHOTS have been matted, and have
    their true alpha.
    """
    from dataclasses import asdict

    from tests.benchmarks.review import scores, table

    listed = []
    chosen = range(first_seed, first_seed + seeds)
    for score in scores(shots, mattes, seeds=chosen, lasting=lasting):
        listed.append(score)
        click.echo(f"{score.shot} {score.kind}: bad {score.bad}, flagged {score.flagged}", err=True)
        if record is not None:
            record.write_text(json.dumps([asdict(one) for one in listed], indent=1) + "\n")
    for row in table(listed):
        click.echo("|" + "|".join(row) + "|")


@command.command()
@click.argument("records", type=_PATH, nargs=-1, required=True)
@click.option("-o", "--output", type=_PATH, required=True, help="A Markdown document.")
def report(records: tuple[Path, ...], output: Path) -> None:
    """Write RECORDS into a document: tables, and plots of the cost against the unknown area.

    Only what stands between the document's two "bench" comment lines is replaced. A record's title
    is its file's name.
    """
    from tests.benchmarks.document import write_document

    written = write_document(records, output)
    for path in (written.document, *written.pictures):
        click.echo(str(path))


@command.command(hidden=True)
@click.argument("kind")
def child(kind: str) -> None:
    """Measure one thing in this process: JSON on stdin, JSON on stdout."""
    from tests.benchmarks.child import answer

    click.echo(answer(kind, sys.stdin.read()))
