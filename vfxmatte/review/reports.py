"""A review for other programs: review.json and JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from vfxmatte.io.temporary import write_whole
from vfxmatte.review.figures import CHECKS
from vfxmatte.review.flags import FrameReview, ranked
from vfxmatte.version import __version__

FORMAT = 1
"""Version of review.json."""


def as_plain(
    shot: str,
    takes: Mapping[str, Sequence[FrameReview]],
    failures: Mapping[int, Sequence[str]],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Return the content of review.json.

    Args:
        takes: the frames of each take by its name; the first is the one that is reviewed.
        failures: what fails the gate, by frame number.
        notes: what concerns the whole shot.
    """
    (name, frames), *others = takes.items()
    return {
        "format": FORMAT,
        "vfxmatte": __version__,
        "shot": shot,
        "take": name,
        "notes": list(notes),
        "checks": dict(CHECKS),
        "flagged": [frame.number for frame in ranked(frames)],
        "without_matte": [f.number for f in frames if f.is_missing],
        "failures": {str(number): list(texts) for number, texts in failures.items()},
        "frames": [_frame(frame) for frame in frames],
        "against": {other: [_frame(frame) for frame in listed] for other, listed in others},
    }


def write_json(path: Path, plain: Mapping[str, Any]) -> None:
    """Write review.json; raises OutputError."""
    write_whole(path, json.dumps(plain, indent=1) + "\n")


def write_junit(
    path: Path, shot: str, frames: Sequence[FrameReview], failures: Mapping[int, Sequence[str]]
) -> None:
    """Write JUnit XML, a test case for each frame: an error where there is no matte, a failure
    where the gate's conditions hold; flags are its output. Raises OutputError."""
    missing = [frame for frame in frames if frame.is_missing]
    suite = ElementTree.Element(
        "testsuite",
        name=f"vfxmatte review {shot}",
        tests=str(len(frames)),
        failures=str(len(failures)),
        errors=str(len(missing)),
        skipped="0",
    )
    for frame in frames:
        case = ElementTree.SubElement(
            suite, "testcase", classname=shot, name=f"frame {frame.number}", time="0"
        )
        if frame.is_missing:
            ElementTree.SubElement(case, "error", message=_printable("; ".join(frame.problems)))
        elif frame.number in failures:
            text = _printable("; ".join(failures[frame.number]))
            ElementTree.SubElement(case, "failure", message=text).text = text
        if frame.flags:
            output = ElementTree.SubElement(case, "system-out")
            output.text = _printable("\n".join(flag.text for flag in frame.flags))
    ElementTree.indent(suite)
    write_whole(path, ElementTree.tostring(suite, "utf-8", xml_declaration=True) + b"\n")


def _frame(frame: FrameReview) -> dict[str, Any]:
    return {
        "frame": frame.number,
        "keyframe": frame.is_keyframe,
        "rank": frame.rank,
        "values": dict(frame.values),
        "flags": [asdict(flag) for flag in frame.flags],
        "problems": list(frame.problems),
    }


def _printable(text: str) -> str:
    """Replace what XML cannot hold."""
    return "".join(c if c in "\t\n" or c.isprintable() else "�" for c in text)
