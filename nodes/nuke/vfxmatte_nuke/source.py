"""The source of the plate's pixels: the files of a Read, or a render through Nuke."""

from __future__ import annotations

from typing import NamedTuple

from vfxmatte_nuke.colour import Project, file_space
from vfxmatte_nuke.paths import is_movie, still_of

PASS_THROUGH = ("Dot", "NoOp", "PostageStamp", "ModifyMetaData", "ViewMetaData", "AddTimeCode")
"""Node classes that pass every pixel of their first input on, at the same frame."""


class ReadInfo(NamedTuple):
    """The settings of a Read node."""

    name: str
    """The node's name."""
    pattern: str
    """Its files, with %04d."""
    first: int
    last: int
    """First and last number of its files."""
    frame_mode: str
    """expression, start at or offset."""
    frame: str
    """The text that belongs to frame_mode."""
    colorspace: str
    raw: bool


class FilePlate(NamedTuple):
    """A plate whose files vfxmatte can read itself."""

    pattern: str
    """Its files, with %04d, or a movie."""
    colorspace: str
    """OpenColorIO name."""
    first: int
    last: int
    """First and last frame of the plate."""
    first_frame: int | None
    """Number of a movie's first frame; None for an image sequence."""


def from_files(
    read: ReadInfo | None, project: Project, colorspace: str
) -> tuple[FilePlate | None, str]:
    """Make a plate of a Read's files.

    Args:
        read: the Read that the plate input shows unchanged, or None.
        project: the script's colour management.
        colorspace: the colour space set in the panel, or "".

    Returns:
        The plate and "", or None and why Nuke must render it.
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


def clean_plate_files(
    read: ReadInfo | None, project: Project, colorspace: str, plate: FilePlate
) -> tuple[str, str]:
    """Find the files of a clean plate's Read, which are read with the plate's frames and colours.

    Args:
        read: the Read that the clean plate input shows unchanged, or None.
        project: the script's colour management.
        colorspace: the plate's colour space as set in the panel, or "".
        plate: the files of the plate.

    Returns:
        Its files and "", or "" and why Nuke must render clean plate and plate.
    """
    is_still = read is not None and read.first == read.last and not is_movie(read.pattern)
    if read is not None and is_still:  # the same on every frame, whatever moves it
        read = read._replace(frame_mode="expression", frame="")
    files, note = from_files(read, project, colorspace)
    if files is None:
        return "", f"of the clean plate: {note}"
    if files.colorspace != plate.colorspace:
        return "", f"of the clean plate: it is in {files.colorspace}, not in {plate.colorspace}"
    if files.first_frame is not None and files.first_frame != plate.first_frame:
        return "", "of the clean plate: it is a movie that does not begin with the plate"
    return (still_of(files.pattern, files.first) if is_still else files.pattern), ""


def _start(read: ReadInfo) -> int | None:
    """Return Nuke's frame of the Read's first file; None if file and frame numbers differ."""
    text = read.frame.strip()
    start = read.first
    if text and read.frame_mode == "start at" and text.lstrip("-").isdigit():
        start = int(text)
    elif text and not (read.frame_mode == "offset" and text == "0"):
        return None
    counts_alike = read.first == 1 if is_movie(read.pattern) else start == read.first
    return start if counts_alike else None
