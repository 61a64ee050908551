"""What is to be matted: a movie clip or an image of the .blend file, as files with their numbers.

Blender counts scene frames; files on disk have numbers of their own (1001 stays 1001). Here is how
the one becomes the other, as Blender itself plays them.
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
    """One plate.

    name: of the datablock.
    source: the engine's word for it: a movie, or a pattern such as `/shots/plate.####.exr`.
    first, last: numbers of its first and last frame: those on disk, or from 1 in a movie.
    shift: a file's number less the scene frame that shows it.
    width, height: in px.
    colorspace: Blender's name of its colour space.
    """

    name: str
    source: str
    first: int
    last: int
    shift: int
    width: int
    height: int
    colorspace: str

    @property
    def title(self) -> str:
        """The name without a frame number: `plate` of plate.1001.exr, `cut.mov` of cut.mov.

        Blender tells two datablocks of one name apart by .001, which stays.
        """
        return re.sub(r"[._-]?\d+\.[A-Za-z]\w*(?=(\.\d{3})?$)", "", self.name) or self.name

    def number_at(self, scene_frame: int) -> int:
        """The number of the file that is shown on a scene frame."""
        return scene_frame + self.shift

    def scene_frame_of(self, number: int) -> int:
        """The scene frame that shows the file with this number."""
        return number - self.shift


def plate_of_clip(clip: Any, path: str) -> Plate:
    """The plate of a MovieClip whose absolute file path is `path`; raises Problem.

    A clip shows its file with the first number (plus its offset) on the frame where it starts.
    """
    if clip.source == "SEQUENCE":
        source, first, last = _sequence(Path(path))
        start = _number_of(Path(path))
    else:
        source, first, last, start = _movie(Path(path)), 1, clip.frame_duration, 1
    shift = start + clip.frame_offset - clip.frame_start
    return _plate(clip, source, (first, last), shift)


def plate_of_image(image: Any, path: str, user: Any | None, start: int) -> Plate:
    """The plate of an Image that is a sequence or a movie; raises Problem.

    Args:
        image: the datablock; its own settings do not say when it plays.
        path: its absolute file path.
        user: what shows it, with frame_start and frame_offset (a compositor node), or None.
        start: the scene frame that shows the first file where there is no user.
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
    """(pattern, first, last) of the files on disk that belong to `path`."""
    number = _number_of(path)
    match = _NUMBERED.match(path.name)
    assert match is not None  # _number_of has looked
    head, digits, tail = match["head"], match["digits"], match["tail"]
    same = re.compile(rf"{re.escape(head)}(\d+){re.escape(tail)}")
    try:
        found = [same.fullmatch(name.name) for name in path.parent.iterdir()]
    except OSError as error:
        raise Problem(f"Cannot list {path.parent}: {error.strerror}") from error
    numbers = [int(name[1]) for name in found if name is not None]
    if number not in numbers:
        raise Problem(f"There is no file {path}", "Choose the files again in the clip's settings")
    pattern = path.with_name(f"{head}{'#' * len(digits)}{tail}")
    return pattern.as_posix(), min(numbers), max(numbers)
