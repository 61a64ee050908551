"""docs/settings*.md have every setting, and are what the code says today."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.packaging.settings_reference import field_docs, main, pages
from vfxmatte.common.configuration import changed, nested
from vfxmatte.pipeline.settings import RunSettings

UNEXPLAINED = {
    "engine.name",
    "output.format",
    *(
        f"propagation.{within}.lines.{name}"
        for within in ("track.matte", "tightening")
        for name in ("radius_px", "ridge", "rounds")
    ),
}
"""Settings without a word in the code so far: none may be added."""


@dataclass
class Documented:
    """Two ways of documenting a field.

    old, older: what the docstring says of it,
        on two lines.
    new: not this.

    old: is repeated here.
    """

    old: int = 1
    older: int = 1
    new: int = 2
    """What stands below it,
    on two lines."""


def test_field_docs_are_those_below_the_field_or_in_the_docstring() -> None:
    docs = field_docs(Documented)
    assert docs["new"] == "What stands below it, on two lines."
    assert docs["older"] == "what the docstring says of it, on two lines."


def test_the_pages_are_up_to_date() -> None:
    for path, text in pages().items():
        assert path.read_text("utf-8") == text, "make settings"
    assert main(["--check"]) == 0


def lines_of_the_pages() -> Iterator[tuple[str, list[str]]]:
    """Full name and cells (type, default, range, meaning) of every setting on the pages."""
    table = ""
    for line in "\n".join(pages().values()).splitlines():
        if heading := re.fullmatch(r"## `\[(.+)\]`", line):
            table = f"{heading[1]}."
        elif row := re.fullmatch(r"\|`([\w.]+)`\|(.*)\|", line):
            yield f"{table}{row[1]}", row[2].split("|")


def test_every_default_on_the_pages_is_accepted_and_changes_nothing() -> None:
    defaults = {
        name: cells[1].strip("`") for name, cells in lines_of_the_pages() if "`" in cells[1]
    }
    assert len(defaults) > 40
    for name, default in defaults.items():
        assert changed(RunSettings(), nested(name, default)) == RunSettings(), name


def test_every_setting_says_what_it_means() -> None:
    silent = {name for name, cells in lines_of_the_pages() if not cells[-1].strip()}
    assert not silent - UNEXPLAINED
