"""The numbers of a run as CSV files: `log.csv` of the training, `validation.csv` of the rest."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from vfxmatte.errors import TrainingError
from vfxmatte.io.temporary import renamed_when_whole

LOSSES, ERRORS = "log.csv", "validation.csv"
Rows = list[dict[str, str]]


class Logbook:
    """Appends rows to the CSV files of one folder. Every row has a `step`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def append(self, name: str, row: Mapping[str, object]) -> None:
        """Add a row; columns that the file does not have yet are left out.

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
        """Drop the rows after `step`: a resumed run will write them again."""
        for name in (LOSSES, ERRORS):
            rows = self.rows(name)
            kept = [row for row in rows if int(row["step"]) <= step]
            if len(kept) < len(rows):
                self._replace(self.folder / name, kept or [], list(rows[0]))

    def rows(self, name: str) -> Rows:
        """All rows, oldest first; none where the file is not there."""
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
