"""Where the plate's pixels come from: the files behind a Read, or a render through Nuke."""

from __future__ import annotations

from typing import NamedTuple

from vfxmatte.io.sequence import is_movie
from vfxmatte_nuke.colour import Project, file_space

PASS_THROUGH = ("Dot", "NoOp", "PostageStamp", "ModifyMetaData", "ViewMetaData", "AddTimeCode")
"""Node classes that hand on every pixel of their first input at the same frame."""


class ReadInfo(NamedTuple):
    """What a Read node says of its files.

    pattern: with %04d. first, last: its range. frame_mode: "expression", "start at" or "offset";
    frame: that mode's text. colorspace, raw: its own knobs.
    """

    name: str
    pattern: str
    first: int
    last: int
    frame_mode: str
    frame: str
    colorspace: str
    raw: bool


class FilePlate(NamedTuple):
    """A plate that the engine can read itself.

    first, last: the frames that it has. first_frame: number of a movie's first frame, None for an
    image sequence.
    """

    pattern: str
    colorspace: str
    first: int
    last: int
    first_frame: int | None


def from_files(
    read: ReadInfo | None, project: Project, colorspace: str
) -> tuple[FilePlate | None, str]:
    """The Read's files as a plate, or None and the reason why Nuke must render it.

    colorspace: the artist's own word for it, "" where there is none.
    """
    if read is None:
        return None, "the input is not a Read alone"
    if not read.pattern:
        return None, f"{read.name} has no file"
    if "%v" in read.pattern.lower():
        return None, f"{read.name} has several views"
    space = colorspace or file_space(project, read.colorspace, read.raw)
    if space is None:
        return None, f"only Nuke knows the colour space '{read.colorspace}'"
    start = _start(read)
    if start is None:
        return None, f"{read.name} shifts its frames"
    last = start + read.last - read.first
    first_frame = start if is_movie(read.pattern) else None
    return FilePlate(read.pattern, space, start, last, first_frame), ""


def _start(read: ReadInfo) -> int | None:
    """Nuke's frame of the Read's first file; None where the engine could not count alike."""
    text = read.frame.strip()
    start = read.first
    if text and read.frame_mode == "start at" and text.lstrip("-").isdigit():
        start = int(text)
    elif text and not (read.frame_mode == "offset" and text == "0"):
        return None
    counts_alike = read.first == 1 if is_movie(read.pattern) else start == read.first
    return start if counts_alike else None
