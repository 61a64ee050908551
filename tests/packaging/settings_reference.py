"""Generate docs/settings*.md, the reference of every setting of shot.toml, from the dataclasses.

python -m tests.packaging.settings_reference            # write the pages
python -m tests.packaging.settings_reference --check    # exit code 1 where one is out of date
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from vfxmatte.common.checked import Allowed, allowed_of
from vfxmatte.pipeline.settings import RunSettings

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "settings.md"
OF_TABLES = {"propagation": DOCS / "settings_propagation.md"}  # tables with a page of their own
_GENERATED = "*Generated from the code by `make settings`; do not edit.*\n"
HEAD = """\
# Settings

Every setting of `shot.toml`. On the command line: `--set TABLE.NAME=VALUE`, such as
`--set propagation.growth_px=1`, or the option of that name where `run` has one; options win over
`shot.toml`. In Python: the fields of `vfxmatte.RunSettings`, where "not set" is `None`. An unknown
name or a value out of range is refused.

"""
_TYPES: Mapping[Any, str] = {
    bool: "true, false",
    int: "whole number",
    float: "number",
    str: "text",
    Path: "path",
    Mapping: "table",
    tuple: "list of texts",
}
_PARAGRAPH = re.compile(r"^(\w+(?:, \w+)*): (.*)$")


def field_docs(settings: type) -> dict[str, str]:
    """Meaning of each field of a dataclass.

    That is the string literal below the field; where there is none, the paragraph `name: text` of
    the class's docstring.
    """
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(settings))).body
    assert isinstance(tree, ast.ClassDef)
    docs = _paragraphs(ast.get_docstring(tree) or "")
    for statement, below in zip(tree.body, tree.body[1:], strict=False):
        if (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            docs[statement.target.id] = inspect.cleandoc(below.value.value)
    return {name: " ".join(text.split()) for name, text in docs.items()}


def _paragraphs(docstring: str) -> dict[str, str]:
    """Texts of `name: text` and `one, two: text`, whose further lines are indented."""
    docs: dict[str, str] = {}
    names: list[str] = []
    for line in docstring.splitlines()[1:]:
        start = _PARAGRAPH.match(line)
        if start:
            names = start[1].split(", ")
            docs |= dict.fromkeys(names, start[2])
        elif names and line.startswith(" "):
            docs |= {name: f"{docs[name]} {line.strip()}" for name in names}
        else:
            names = []
    return docs


def rows(settings: Any, within: str = "") -> Iterator[list[str]]:
    """Cells of one row for each setting; settings of nested tables have a dotted name."""
    kind = type(settings)
    docs, hints = field_docs(kind), get_type_hints(kind)
    for field in dataclasses.fields(settings):
        name, value = f"{within}{field.name}", getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            if within or kind is not RunSettings:
                yield from rows(value, f"{name}.")
            continue
        allowed = allowed_of(kind, field.name)
        yield [
            f"`{name}`",
            _type(hints[field.name]),
            _default(value),
            "" if allowed == Allowed() else str(allowed),
            docs.get(field.name, ""),
        ]


def pages() -> dict[Path, str]:
    """Text of each page: a section for each table of shot.toml."""
    settings = RunSettings()
    sections = [_section("At the top", settings)]
    texts: dict[Path, str] = {}
    for field in dataclasses.fields(settings):
        table = getattr(settings, field.name)
        if not dataclasses.is_dataclass(table):
            continue
        own = OF_TABLES.get(field.name)
        if own is None:
            sections.append(_section(f"`[{field.name}]`", table))
        else:
            sections.append(f"## `[{field.name}]`\n\n[On a page of its own]({own.name}).\n")
            title = f"# Settings of {field.name}\n\nThe other [settings]({PAGE.name}).\n"
            texts[own] = "\n".join([title, _GENERATED, _section(f"`[{field.name}]`", table)])
    return {PAGE: "\n".join([HEAD + _GENERATED, *sections]), **texts}


def _section(title: str, settings: Any) -> str:
    head = ["name", "type", "default", "range", "meaning"]
    lines = [_row(head), _row(["---"] * len(head)), *map(_row, rows(settings))]
    return f"## {title}\n\n" + "\n".join(lines) + "\n"


def _row(cells: list[str]) -> str:
    return "|".join(["", *(cell.replace("|", "\\|") for cell in cells), ""])


def _type(kind: Any) -> str:
    """A type in words: `whole number or text`; None, which TOML cannot write, is left out."""
    if get_origin(kind) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(kind))
    if get_origin(kind) in (typing.Union, types.UnionType):
        options = [one for one in get_args(kind) if one is not type(None)]
        return " or ".join(dict.fromkeys(_type(one) for one in options))
    if hasattr(kind, "parse"):
        return "frames (`1001-1100x2`)"
    return _TYPES[get_origin(kind) or kind]


def _default(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return f"`{value}`".lower()
    if isinstance(value, Mapping) or value == ():
        return "empty"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` compare them; returns the exit code."""
    if arguments == ["--check"]:
        old = [
            path.name
            for path, text in pages().items()
            if not path.is_file() or path.read_text("utf-8") != text
        ]
        if old:
            print(f"out of date: {', '.join(old)}: make settings", file=sys.stderr)
        return 1 if old else 0
    for path, text in pages().items():
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
