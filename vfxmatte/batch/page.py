"""A batch's report as a page: HTML that needs nothing else, or Markdown."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vfxmatte.common.wording import counted
from vfxmatte.reporting.pace import clock_text
from vfxmatte.reporting.totals import SURE

COUNTS = ("written", "kept", "failed", "skipped")
"""The counts of frames in a run's totals."""

_HEADINGS = ("Shot", "State", "Frames", "Time", "Keyframe wanted on", "Mattes")
_STYLE = """
 body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem;
   color: #222; background: #fff }
 table { border-collapse: collapse; width: 100% }
 th, td { text-align: left; padding: .4rem .7rem; border-bottom: 1px solid #ddd;
   vertical-align: top } td:last-child { overflow-wrap: anywhere }
 .bad { color: #b00020; font-weight: 600 } .good { color: #19692c } .open { color: #666 }
 pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f4f4f4; padding: .7rem }
 img { max-width: 100% }
 @media (prefers-color-scheme: dark) {
  body { color: #ddd; background: #1b1b1b } th, td { border-color: #3a3a3a }
  pre { background: #262626 } .bad { color: #ff7b86 } .good { color: #7fd492 }
  .open { color: #999 } }
"""
_CLASSES = {"done": "good", "not started": "open", "stopped": "open"}


def summary(content: Mapping[str, Any]) -> str:
    """Return the report in a sentence: shots done, frames, when."""
    words = ", ".join(f"{count} {name}" for name, count in content["frames"].items() if count)
    end = f"ended {content['ended']}" if content["ended"] else "not ended"
    return (
        f"{content['done']} of {counted(len(content['shots']), 'shot')} done; "
        f"frames: {words or 'none'}; "
        f"started {content['started']}, {end}; exit code {content['exit_code']}"
    )


def html_page(content: Mapping[str, Any], folder: Path) -> str:
    """Return the report as HTML; pictures are linked from `folder`."""
    escape = html.escape
    rows = [
        "<tr>" + "".join(
            f"<td{_class(shot) if heading == 'State' else ''}>{escape(cell)}</td>"
            for heading, cell in zip(_HEADINGS, _cells(shot), strict=True)
        ) + "</tr>"
        for shot in content["shots"]
    ]  # fmt: skip
    parts = [
        "<!doctype html>\n<html lang=en><meta charset=utf-8>",
        "<meta name=viewport content='width=device-width'>",
        f"<title>vfxmatte: {escape(summary(content).split(';')[0])}</title><style>{_STYLE}</style>",
        f"<h1>vfxmatte batch</h1><p>{escape(summary(content))}</p><table><tr>",
        *(f"<th>{heading}</th>" for heading in _HEADINGS),
        "</tr>",
        *rows,
        "</table>",
    ]
    for title, lines in _sections(content):
        parts.append(f"<h2>{escape(title)}</h2>")
        parts += [f"<pre>{escape(line)}</pre>" for line in lines]
    for shot in content["shots"]:
        parts += [
            f"<h2>{escape(shot['shot'])}</h2><img alt='' src='{escape(_address(path, folder))}'>"
            for path in _pictures(shot)
        ]
    return "\n".join([*parts, "</html>", ""])


def markdown_page(content: Mapping[str, Any], folder: Path) -> str:
    """Return the report as Markdown; pictures are linked from `folder`."""
    lines = ["# vfxmatte batch", "", summary(content), ""]
    lines += [_row(_HEADINGS), _row(["---"] * len(_HEADINGS))]
    lines += [_row(_cells(shot)) for shot in content["shots"]]
    for title, texts in _sections(content):
        lines += ["", f"## {title}"]
        for text in texts:
            lines += ["", *(f"    {line}" for line in text.splitlines())]
    for shot in content["shots"]:
        for path in _pictures(shot):
            lines += ["", f"## {shot['shot']}", "", f"![]({_address(path, folder)})"]
    return "\n".join([*lines, ""])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(re.sub(r"([|\\`*_<])", r"\\\1", cell) for cell in cells) + " |"


def _cells(shot: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a shot's cells, in the order of `_HEADINGS`."""
    totals: Mapping[str, Any] = shot["totals"] or {}
    frames = ", ".join(f"{totals[name]} {name}" for name in COUNTS if totals.get(name))
    time = clock_text(totals["seconds"]) if totals else ""
    confidence = totals.get("suggested_confidence")
    weak = confidence is not None and confidence < SURE
    doubt = f"{totals['suggested_keyframe']} (confidence {confidence:.2f})" if weak else ""
    mattes = totals.get("mattes") or shot["output"] or ""
    return shot["shot"], shot["state"], frames, time, doubt, mattes


def _class(shot: Mapping[str, Any]) -> str:
    return f" class={_CLASSES.get(shot['state'], 'bad')}"


def _sections(content: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield a title and texts for each shot that is not whole, then the notes."""
    for shot in content["shots"]:
        if shot["reasons"]:
            yield f"{shot['shot']}: {shot['state']}", shot["reasons"]
    notes = [*content["notes"]]
    notes += [f"{shot['shot']}: {note}" for shot in content["shots"] for note in shot["notes"]]
    if notes:
        yield "Notes", notes


def _pictures(shot: Mapping[str, Any]) -> list[str]:
    files = (shot["totals"] or {}).get("files", ())
    return [path for path in files if path.endswith(".png")]


def _address(path: str, folder: Path) -> str:
    """Return the address of a file as seen from a page in `folder`."""
    try:
        return quote(Path(os.path.relpath(path, folder)).as_posix())
    except ValueError:  # on another drive
        return Path(path).absolute().as_uri()
