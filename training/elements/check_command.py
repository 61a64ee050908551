"""`vfxmatte-train check`: report unusable elements of a library, and why."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import cv2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from training.elements.check import Finding
from training.elements.inspection import Inspected, inspect_library
from training.elements.library import find_elements
from training.measure.sheet import Picture, save_sheet

_CELL_PX = 160
_COLUMNS = 10


@click.command()
@click.argument("library", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.option("--sheet", type=click.Path(path_type=Path),
              help="Write a contact sheet (PNG): each element over a checker.")  # fmt: skip
def check(library: Path, as_json: bool, sheet: Path | None) -> None:
    """Report for each element of LIBRARY whether training can use it.

    Exit code 0: all usable (some perhaps doubtful); 1: some unusable; 3: none usable.
    """
    files = find_elements(library)
    console = Console(stderr=True, quiet=as_json)
    elements = inspect_library(files, thumbnail_px=_CELL_PX if sheet else 0)
    inspected = list(track(elements, "reading", len(files), console=console, transient=True))
    if as_json:
        click.echo(json.dumps([_as_dict(element) for element in inspected], indent=1))
    else:
        _print(inspected)
    if sheet is not None:
        _save_sheet(sheet, inspected)
    unusable = sum(element.is_unusable for element in inspected)
    click.get_current_context().exit(0 if not unusable else 3 if unusable == len(inspected) else 1)


def _as_dict(element: Inspected) -> dict[str, object]:
    return {
        "name": element.file.name,
        "kind": element.file.kind,
        "path": str(element.file.path),
        "sequence": element.file.sequence,
        "frame": element.file.frame,
        "usable": not element.is_unusable,
        "findings": [asdict(finding) for finding in element.findings],
    }


def _print(inspected: Sequence[Inspected]) -> None:
    console = Console(width=None if Console().is_terminal else 120)
    troubled = [element for element in inspected if element.findings]
    if troubled:
        console.print(_troubles(troubled))
    table = Table(title="the library", title_justify="left")
    for name in ("kind", "elements", "sequences", "unusable", "doubtful"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for kind in [*sorted({e.file.kind for e in inspected}), "all"]:
        of_kind = [e for e in inspected if kind in (e.file.kind, "all")]
        sequences = {e.file.sequence for e in of_kind} - {None}
        unusable = sum(e.is_unusable for e in of_kind)
        doubtful = sum(bool(e.findings) for e in of_kind) - unusable
        numbers = (len(of_kind), len(sequences), unusable, doubtful)
        table.add_row(kind, *(str(n) for n in numbers), end_section=kind == "all")
    console.print(table)
    counts = Counter(f.trouble for e in inspected for f in e.findings)
    if counts:
        console.print(", ".join(f"{trouble}: {n}" for trouble, n in counts.most_common()))


def _troubles(troubled: Sequence[Inspected]) -> Table:
    table = Table(title="what is wrong", title_justify="left")
    for name in ("element", "state", "trouble", "what"):
        table.add_column(name, overflow="fold")
    for element in troubled:
        for finding in element.findings:
            table.add_row(element.file.name, _state(finding), finding.trouble, finding.what)
    return table


def _state(finding: Finding) -> str:
    return "[red]unusable[/]" if finding.unusable else "[yellow]doubtful[/]"


def _save_sheet(path: Path, inspected: Sequence[Inspected]) -> None:
    """Write a contact sheet: unusable elements first, then doubtful ones, then the rest."""
    ranked = sorted(inspected, key=lambda e: (not e.is_unusable, not e.findings))
    cells: list[Picture] = [_thumbnail(element) for element in ranked]
    captions = [
        element.findings[0].trouble if element.findings else element.file.name.rpartition("/")[2]
        for element in ranked
    ]
    starts = range(0, len(cells), _COLUMNS)
    save_sheet(
        path,
        [cells[n : n + _COLUMNS] for n in starts],
        captions=[captions[n : n + _COLUMNS] for n in starts],
        cell_px=_CELL_PX,
    )


def _thumbnail(element: Inspected) -> Picture:
    """Frame an element's thumbnail: red if unusable, yellow if doubtful."""
    picture = element.thumbnail
    if picture is None:
        picture = np.full((_CELL_PX, _CELL_PX, 3), 90, np.uint8)
    if element.findings:
        colour = (220, 40, 40) if element.is_unusable else (230, 190, 40)
        corner = (picture.shape[1] - 1, picture.shape[0] - 1)
        return np.asarray(cv2.rectangle(picture.copy(), (0, 0), corner, colour, 5))
    return picture
