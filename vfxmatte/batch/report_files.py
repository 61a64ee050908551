"""The report of a batch on disk: JSON for scripts, and a page for people."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vfxmatte.batch.outcome import Outcome, worst_code
from vfxmatte.batch.page import COUNTS, html_page, markdown_page
from vfxmatte.errors import OutputError, UsageError
from vfxmatte.io.temporary import write_whole
from vfxmatte.version import __version__

_PAGES = {".html": html_page, ".md": markdown_page}
_KIND = "vfxmatte batch"


@dataclass
class ReportFiles:
    """A page and, beside it, the same as JSON; written anew whenever a shot has ended."""

    page: Path
    """NAME.html or NAME.md; the JSON is NAME.json."""
    started: str = field(default_factory=lambda: _now())

    def __post_init__(self) -> None:
        if self.page.suffix.lower() not in _PAGES:
            raise UsageError(
                f"a report is written as {' or '.join(_PAGES)}, found {self.page.name}",
                hint="its JSON lies beside it, under the same name",
            )

    @property
    def data(self) -> Path:
        return self.page.with_suffix(".json")

    def check(self) -> None:
        """Raise OutputError if one of the files exists and is not a batch's report."""
        for path in (self.data, self.page):
            if path.exists() and not self._is_ours():
                raise OutputError(
                    "this file is there already and is not a batch's report",
                    path=path,
                    hint="give another name to --report",
                )

    def _is_ours(self) -> bool:
        try:
            return bool(json.loads(self.data.read_text("utf-8"))["kind"] == _KIND)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def write(self, outcomes: Sequence[Outcome], notes: Sequence[str], *, ended: bool) -> None:
        """Write both files; raises OutputError."""
        all_totals = [outcome.totals for outcome in outcomes if outcome.totals is not None]
        content = {
            "kind": _KIND,
            "vfxmatte": __version__,
            "started": self.started,
            "ended": _now() if ended else None,
            "exit_code": worst_code(outcomes),
            "done": sum(outcome.state == "done" for outcome in outcomes),
            "frames": {name: sum(getattr(t, name) for t in all_totals) for name in COUNTS},
            "notes": list(notes),
            "shots": [outcome.as_plain() for outcome in outcomes],
        }
        self._write(self.data, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
        self._write(self.page, _PAGES[self.page.suffix.lower()](content, self.page.parent))

    def _write(self, path: Path, text: str) -> None:
        try:
            write_whole(path, text)
        except OutputError as error:
            error.hint = f"{error.hint}; --report NAME.html puts the report elsewhere"
            raise


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %z")
