"""Records as a part of a Markdown document: its own part is written anew, the rest stays.

The part stands between two comment lines. A document that has none is refused: what somebody
wrote by hand is never replaced.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.plot import costs, write_plot
from tests.benchmarks.record import read_record
from tests.benchmarks.tables import Table, provenance, tables
from vfxmatte.errors import OutputError
from vfxmatte.io.temporary import renamed_when_whole

BEGIN = "<!-- bench: begin, written by `python -m tests.benchmarks report` -->"
END = "<!-- bench: end -->"


@dataclass(frozen=True, kw_only=True)
class Written:
    """The document and the pictures that were written."""

    document: Path
    pictures: tuple[Path, ...]


def write_document(records: Sequence[Path], document: Path) -> Written:
    """Write the records, in this order, into the document's part; plots lie beside it.

    A document `measurements.md` has its plots in `measurements/`. One that is not there is made.
    Raises UsageError (a record cannot be read), OutputError (no part for it, cannot be written).
    """
    read = [(path.stem, read_record(path)) for path in records]
    text = _existing(document)
    before, after = _around(text, document)
    pictures: list[Path] = []
    parts = [part for name, record in read for part in _record(name, record, document, pictures)]
    body = "\n\n".join([BEGIN, *parts, END])
    with renamed_when_whole(document) as partial:
        partial.write_text(before + body + after, encoding="utf-8")
    return Written(document=document, pictures=tuple(pictures))


def _existing(document: Path) -> str:
    try:
        return document.read_text(encoding="utf-8")
    except FileNotFoundError:
        return f"# Speed\n\n{BEGIN}\n\n{END}\n"
    except (OSError, UnicodeError) as error:
        raise OutputError(f"cannot read the document: {error}", path=document) from error


def _around(text: str, document: Path) -> tuple[str, str]:
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise OutputError(
            "this document has no part for measurements, and the rest is not replaced",
            path=document,
            hint=f"put these two lines where they are wanted:\n  {BEGIN}\n  {END}",
        )
    return before, after


def _record(
    name: str, record: dict[str, Any], document: Path, pictures: list[Path]
) -> Iterator[str]:
    yield f"### {_title(name)}"
    yield provenance(record)
    for table in tables(record):
        yield markdown(table)
        if table.title == "The network":
            yield from _plots(name, record, document, pictures)


def _title(name: str) -> str:
    words = name.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _plots(
    name: str, record: dict[str, Any], document: Path, pictures: list[Path]
) -> Iterator[str]:
    """A plot for each size that has several unknown shares."""
    folder = document.parent / document.stem
    for size in dict.fromkeys((row["width"], row["height"]) for row in record["network"]):
        lines = costs(record["network"], size)
        if max((len(line) for line in lines.values()), default=0) < 2:
            continue
        shown = f"{size[0]}x{size[1]}"
        title = f"seconds a frame, {shown}, {record['network'][0]['device']}"
        pictures.append(write_plot(lines, title, folder / f"{name}_{shown}.png"))
        where = f"{folder.name}/{name}_{shown}.png"
        yield f"![Cost of a frame against its unknown area, {shown}]({where})"


def markdown(table: Table) -> str:
    """The table with its title in bold, and its note below."""
    columns = range(len(table.columns))
    rules = ["---" if i < table.text_columns else "---:" for i in columns]
    lines = [_line(table.columns), _line(rules), *(_line(row) for row in table.rows)]
    parts = [f"**{table.title}**", "\n".join(lines)]
    return "\n\n".join([*parts, *([table.note] if table.note else [])])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
