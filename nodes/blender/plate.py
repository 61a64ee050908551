"""A plate: a movie clip or image of the .blend file, with the frame numbers of its files.

Blender counts scene frames, while files on disk have numbers of their own (1001 stays 1001). A
plate converts between both the way Blender plays them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .problem import Problem

_NUMBERED = re.compile(r"^(?P<head>.*?)(?P<digits>\d+)(?P<tail>\.[^.\d][^.]*)$")


@dataclass(frozen=True)
class Plate:
    """A plate as vfxmatte reads it and as Blender plays it."""

    name: str
    """Name of the datablock."""
    source: str
    """The path for vfxmatte: a movie, or a pattern such as `/shots/plate.####.exr`."""
    first: int
    """Number of the first frame: the one on disk, or 1 for a movie."""
    last: int
    """Number of the last frame."""
    shift: int
    """A file's number minus the scene frame that shows it."""
    width: int
    """Width in pixels."""
    height: int
    """Height in pixels."""
    colorspace: str
    """Blender's name of the colour space."""

    @property
    def title(self) -> str:
        """The name without its frame number: `plate` for plate.1001.exr, `cut.mov` for cut.mov.

        The .001 with which Blender distinguishes datablocks of the same name stays.
        """
        return re.sub(r"[._-]?\d+\.[A-Za-z]\w*(?=(\.\d{3})?$)", "", self.name) or self.name

    def number_at(self, scene_frame: int) -> int:
        """Return the number of the file shown on a scene frame."""
        return scene_frame + self.shift

    def scene_frame_of(self, number: int) -> int:
        """Return the scene frame that shows the file with this number."""
        return number - self.shift


def plate_of_clip(clip: Any, path: str) -> Plate:
    """Make the plate of a MovieClip whose absolute file path is `path`; raises Problem.

    A clip shows the file of its path (plus its offset) on the scene frame where it starts.
    """
    if clip.source == "SEQUENCE":
        source, first, last = _sequence(Path(path))
        start = _number_of(Path(path))
    else:
        source, first, last, start = _movie(Path(path)), 1, clip.frame_duration, 1
    shift = start + clip.frame_offset - clip.frame_start
    return _plate(clip, source, (first, last), shift)


def plate_of_image(image: Any, path: str, user: Any | None, start: int) -> Plate:
    """Make the plate of an Image that is a sequence or a movie; raises Problem.

    Args:
        image: the datablock, which does not hold the frames on which it plays.
        path: its absolute file path.
        user: the compositor node with frame_start and frame_offset that shows it, or None.
        start: the scene frame that shows the first file if there is no user.
    """
    if image.source == "MOVIE":
        source, first, last = _movie(Path(path)), 1, image.frame_duration
    elif image.source in ("SEQUENCE", "FILE") and _NUMBERED.match(Path(path).name):
        source, first, last = _sequence(Path(path))
    else:
        raise Problem(
            f"'{image.name}' is no image sequence and no movie", "Choose a sequence or a movie"
        )
    shift = first - start if user is None else user.frame_offset + 1 - user.frame_start
    return _plate(image, source, (first, last), shift)


def source_of_image(image: Any, path: str) -> str:
    """Return the path for vfxmatte of a still, a sequence or a movie; raises Problem."""
    if image.source == "SEQUENCE":
        return _sequence(Path(path))[0]
    if image.source not in ("FILE", "MOVIE") or not Path(path).is_file():
        raise Problem(f"'{image.name}' is no file on disk", "Choose a still, a sequence or a movie")
    return path


def _plate(block: Any, source: str, numbers: tuple[int, int], shift: int) -> Plate:
    width, height = (int(side) for side in block.size)
    if not width or not height:
        raise Problem(f"Blender cannot read '{block.name}'", f"Is {source} there?")
    colorspace = str(block.colorspace_settings.name)
    return Plate(str(block.name), source, *numbers, shift, width, height, colorspace)


def _movie(path: Path) -> str:
    if not path.is_file():
        raise Problem(f"There is no movie {path}", "Choose the file again in the clip's settings")
    return str(path)


def _number_of(path: Path) -> int:
    match = _NUMBERED.match(path.name)
    if match is None:
        raise Problem(
            f"{path.name} has no frame number before its suffix",
            "Name the files like plate.1001.exr",
        )
    return int(match["digits"])


def _sequence(path: Path) -> tuple[str, int, int]:
    """Return (pattern, first, last) of the sequence on disk that `path` belongs to."""
    number = _number_of(path)
    match = _NUMBERED.match(path.name)
    assert match is not None  # checked by _number_of
    head, digits, tail = match["head"], match["digits"], match["tail"]
    same = re.compile(rf"{re.escape(head)}(\d+){re.escape(tail)}")
    try:
        matches = [same.fullmatch(file.name) for file in path.parent.iterdir()]
    except OSError as error:
        raise Problem(f"Cannot list {path.parent}: {error.strerror}") from error
    numbers = [int(match[1]) for match in matches if match is not None]
    if number not in numbers:
        raise Problem(f"There is no file {path}", "Choose the files again in the clip's settings")
    pattern = path.with_name(f"{head}{'#' * len(digits)}{tail}")
    return pattern.as_posix(), min(numbers), max(numbers)
