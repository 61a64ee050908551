"""The numbers of a run as CSV files: `log.csv` of the losses, `validation.csv` of the errors."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from vfxmatte.errors import TrainingError
from vfxmatte.io.temporary import renamed_when_whole

LOSSES, ERRORS = "log.csv", "validation.csv"
Rows = list[dict[str, str]]


class Logbook:
    """The CSV files of one folder; every row has a `step`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, name: str, row: Mapping[str, object]) -> None:
        """Append a row; columns that an existing file lacks are left out.

        Raises:
            TrainingError: the disk is full or the like.
        """
        path = self.folder / name
        try:
            columns = _columns(path) or list(row)
            new = not path.exists()
            with path.open("a", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, columns, extrasaction="ignore")
                if new:
                    writer.writeheader()
                writer.writerow(row)
        except OSError as error:
            raise TrainingError(f"the log cannot be written: {error}", path=path) from error

    def cut_back(self, step: int) -> None:
        """Remove the rows after `step`, which a resumed run writes again."""
        for name in (LOSSES, ERRORS):
            rows = self.rows(name)
            earlier = [row for row in rows if int(row["step"]) <= step]
            if len(earlier) < len(rows):
                self._replace(self.folder / name, earlier, list(rows[0]))

    def rows(self, name: str) -> Rows:
        """Read all rows, oldest first; none without a file."""
        path = self.folder / name
        if not path.is_file():
            return []
        with path.open(newline="", encoding="utf-8") as stream:
            return [row for row in csv.DictReader(stream) if (row["step"] or "").isdigit()]

    def _replace(self, path: Path, rows: Rows, columns: list[str]) -> None:
        with (
            renamed_when_whole(path) as partial,
            partial.open("w", newline="", encoding="utf-8") as stream,
        ):
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(rows)


def _columns(path: Path) -> list[str]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return next(csv.reader(stream), [])
