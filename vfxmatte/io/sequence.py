"""Find image sequences and movies by folder, file pattern or file name.

Frame numbers come from file names and are never renumbered. Imports no image library, so that
submit machines and hosts may use it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vfxmatte.common.paths import as_on_disk, clean_path, normalised
from vfxmatte.errors import MissingFrameError, ShotError
from vfxmatte.types import numbers_as_text

EXR_SUFFIXES = frozenset({".exr", ".sxr"})
IMAGE_SUFFIXES = EXR_SUFFIXES | {
    ".png", ".tif", ".tiff", ".jpg", ".jpeg", ".dpx", ".cin", ".webp", ".tga", ".bmp", ".hdr",
    ".ppm",
}  # fmt: skip
MOVIE_SUFFIXES = frozenset(
    {".mov", ".mp4", ".m4v", ".mxf", ".mkv", ".avi", ".webm", ".ts", ".mts", ".m2ts"}
)

# The number precedes the suffix. A minus sign counts only where it cannot be a separator:
# `a.-0003.exr` is frame -3, `a-0003.exr` is frame 3 of `a-`.
_NAME = re.compile(r"^(?P<head>.*?)(?P<number>(?:(?<![^._])-)?\d+)(?P<tail>\.[^.\d][^.]*)$")

# A pattern's frame number: the last one in the file name, never one in a folder's name.
_HOLE = re.compile(
    r"(?:(?<![\d-])-?\d+--?\d+(?=[#@%$]))?"  # plate.1001-1100####.exr: the range is ignored
    r"(?P<hole>#+|@+|\$F\d*|%(?P<digits>\d*)d|\[-?\d+--?\d+\])"
)


@dataclass(frozen=True, kw_only=True)
class FrameSequence:
    """Numbered image files in one folder, or a single still."""

    folder: Path
    head: str
    """The part of a file name before the number."""
    tail: str
    """The part after it, with the suffix."""
    padding: int
    """Digits that numbers are zero-padded to; 0 for a single file without a number."""
    numbers: tuple[int, ...]
    """Frame numbers on disk, ascending."""
    names: Mapping[int, str] = field(default_factory=dict, repr=False)
    """File names that deviate from the padding, by number."""

    @property
    def pattern(self) -> str:
        """The file pattern for messages: `/shots/a/plate.####.exr`."""
        return str(self.folder / f"{self.head}{'#' * self.padding}{self.tail}")

    def path(self, number: int) -> Path:
        """Return the path of a frame, existing or not."""
        name = self.names.get(number)
        return self.folder / (name or f"{self.head}{padded(number, self.padding)}{self.tail}")

    def existing_path(self, number: int) -> Path:
        """Return the path of a frame; raises MissingFrameError if it is not on disk."""
        path = self.path(number)
        if number not in self.numbers or not path.is_file():
            raise MissingFrameError(
                "this frame is not on disk",
                frame=number,
                path=path,
                hint=f"frames on disk: {numbers_as_text(self.numbers)}",
            )
        return path


def padded(number: int, padding: int) -> str:
    """Zero-pad a number; the minus sign is not counted: -3 is `-0003`. "" for padding 0."""
    return f"{'-' if number < 0 else ''}{abs(number):0{padding}d}" if padding else ""


def frame_number(path: str | Path) -> int | None:
    """Return the number before the suffix: 1001 for `plate.1001.exr`, or None."""
    match = _NAME.match(Path(path).name)
    return int(match["number"]) if match else None


def is_image(path: str | Path) -> bool:
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def is_movie(path: str | Path) -> bool:
    return Path(path).suffix.lower() in MOVIE_SUFFIXES


def is_hidden(name: str) -> bool:
    """Return True for dot files, never frames: macOS writes `._plate.1001.exr`."""
    return name.startswith(".")


def find_media(spec: str | Path) -> FrameSequence | Path:
    """Find the image sequence or movie (a Path) that a folder, pattern or file names.

    Raises ShotError if there is none or more than one.
    """
    path = clean_path(spec)
    if path.is_file() and is_movie(path):
        return path
    if not path.is_dir():
        return find_sequence(path)
    movies = sorted(p for p in path.iterdir() if is_movie(p) and not is_hidden(p.name))
    sequences = list_sequences(path)
    if len(movies) == 1 and not sequences:
        return movies[0]
    if movies and (sequences or len(movies) > 1):
        raise _ambiguous(path, [s.pattern for s in sequences] + [str(movie) for movie in movies])
    return find_sequence(path)


def find_sequence(spec: str | Path) -> FrameSequence:
    """Find the image sequence that a folder, a pattern or a file names.

    A folder must hold exactly one sequence. Patterns: `a.####.exr`, `a.@@@@.exr`, `a.%04d.exr`,
    `a.$F4.exr`; `a.1001.exr` alone is a sequence of one frame, and so is `photo.png`, as frame 1.
    Only the file name is a pattern, never a folder's. Raises ShotError that lists what is there.
    """
    path = clean_path(spec)
    if path.is_dir():
        return _only_sequence(path)
    if path.is_file():
        return _single(path)
    return _from_pattern(path)


def list_sequences(folder: Path) -> list[FrameSequence]:
    """List the image sequences of a folder by name, ignoring hidden and other files."""
    names = [name for name in _file_names(folder) if is_image(name)]
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        match = _NAME.match(name)
        key = (match["head"], match["tail"]) if match else (name, "")
        groups.setdefault(key, []).append(name)
    return [_group(folder, key, groups[key]) for key in sorted(groups)]


def _file_names(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if not is_hidden(e.name) and not e.is_dir())
    except OSError as error:
        raise ShotError(
            f"cannot list the folder: {error.strerror}",
            path=folder,
            hint="give an existing folder, or a pattern such as plate.####.exr",
        ) from error


def _group(folder: Path, key: tuple[str, str], names: list[str]) -> FrameSequence:
    if not key[1]:
        return _single(folder / names[0])
    numbered = [(_digits(name, *key), name) for name in names]
    # In `a.0999.exr, a.1000.exr, a.10000.exr` the shortest number has the padding.
    padding = min(len(digits.lstrip("-")) for digits, _ in numbered)
    return _sequence(folder, *key, padding, numbered)


def _digits(name: str, head: str, tail: str) -> str:
    return name[len(head) : len(name) - len(tail)]


def _sequence(
    folder: Path, head: str, tail: str, padding: int, numbered: Iterable[tuple[str, str]]
) -> FrameSequence:
    by_number: dict[int, str] = {}
    for digits, name in numbered:
        number = int(digits)
        if number in by_number:
            raise ShotError(
                f"two files claim frame {number}: {by_number[number]} and {name}",
                frame=number,
                path=folder,
                hint="remove one of them, or give a pattern with the exact padding",
            )
        by_number[number] = name
    odd = {n: s for n, s in by_number.items() if s != f"{head}{padded(n, padding)}{tail}"}
    numbers = tuple(sorted(by_number))
    return FrameSequence(
        folder=folder, head=head, tail=tail, padding=padding, numbers=numbers, names=odd
    )


def _single(path: Path) -> FrameSequence:
    match = _NAME.match(path.name)
    if match is None:
        return FrameSequence(
            folder=path.parent, head=path.stem, tail=path.suffix, padding=0, numbers=(1,)
        )
    digits, head, tail = match["number"], match["head"], match["tail"]
    padding = len(digits.lstrip("-"))
    return _sequence(path.parent, head, tail, padding, [(digits, path.name)])


def _only_sequence(folder: Path) -> FrameSequence:
    sequences = list_sequences(folder)
    if len(sequences) == 1:
        return sequences[0]
    if sequences:
        raise _ambiguous(folder, [sequence.pattern for sequence in sequences])
    names = _file_names(folder)
    raise ShotError(
        f"no images in this folder; it holds {', '.join(names[:5]) or 'no files'}",
        path=folder,
        hint=f"images end in {' '.join(sorted(IMAGE_SUFFIXES))}",
    )


def _ambiguous(folder: Path, patterns: list[str]) -> ShotError:
    listed = "\n  ".join(patterns[:8]) + ("\n  …" if len(patterns) > 8 else "")
    return ShotError(
        f"expected one sequence or movie in this folder, found {len(patterns)}",
        path=folder,
        hint=f"name one of them by its pattern:\n  {listed}",
    )


def split_pattern(name: str) -> tuple[str, int, str] | None:
    """Split a pattern at its frame number; None for a name that is no pattern.

    Returns:
        The part before the number, its digits, and the part after it: `("plate.", 4, ".exr")` for
        `plate.####.exr`, `plate.%04d.exr` or `plate.$F4.exr`.
    """
    holes = list(_HOLE.finditer(name))
    if not holes:
        return None
    match = holes[-1]
    return name[: match.start()], _width(match), name[match.end() :]


def _width(match: re.Match[str]) -> int:
    hole = match["hole"]
    if hole[0] in "#@":
        return len(hole)
    if hole[0] == "[":
        return len(hole[1:].lstrip("-").partition("-")[0])
    return int(match["digits"] or 1) if hole[0] == "%" else int(hole[2:] or 1)


def whole_sequence(path: Path) -> Path:
    """Return the pattern of the sequence that an image file belongs to, or the path itself.

    A file belongs to a sequence if its folder has another one with the same name and padding.
    """
    match = _NAME.match(path.name)
    if match is None or not is_image(path) or not path.is_file():
        return path
    alone = _single(path)
    pattern = path.with_name(f"{alone.head}{'#' * alone.padding}{alone.tail}")
    if split_pattern(pattern.name) != (alone.head, alone.padding, alone.tail):
        return path  # the name itself would be read as a pattern
    return pattern if len(_from_pattern(pattern).numbers) > 1 else path


def _from_pattern(path: Path) -> FrameSequence:
    split = split_pattern(path.name)
    if split is None:
        raise ShotError(
            "no such file or folder",
            path=path,
            hint="a pattern holds the frame number as ####, @, %04d or $F4: plate.####.exr",
        )
    head, width, tail = split
    folder = as_on_disk(path.parent)
    matches = _matching(folder, head, tail)
    numbered = [(digits, name) for digits, name in matches if _fits(digits, width)]
    if not numbered:
        raise _nothing_matches(path)
    return _sequence(folder, head, tail, width, numbered)


def _matching(folder: Path, head: str, tail: str) -> list[tuple[str, str]]:
    head, tail = normalised(head), normalised(tail)
    pattern = re.compile(rf"{re.escape(head)}(-?\d+){re.escape(tail)}")
    matches = [(pattern.fullmatch(normalised(name)), name) for name in _file_names(folder)]
    return [(match[1], name) for match, name in matches if match]


def _fits(digits: str, width: int) -> bool:
    """Return True if digits are padded to `width`, with or without counting the minus sign."""
    bare = digits.lstrip("-")
    if len(bare) == width or (digits[0] == "-" and len(digits) == width):
        return True
    return len(bare) > width and not bare.startswith("0")


def _nothing_matches(path: Path) -> ShotError:
    near = [sequence.pattern for sequence in list_sequences(path.parent)][:5]
    hint = "this folder holds\n  " + "\n  ".join(near) if near else "this folder holds no images"
    return ShotError("no file matches the pattern", path=path, hint=hint)
