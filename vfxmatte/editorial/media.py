"""The plate of a clip's media reference, and its frames by time.

Frames are counted from the start of the reference's `available_range`, whatever its time code.
Between rates that count alike (23.976 and 24, 29.97 and 30) frames are not converted: a cut at 24
of a plate at 23.976 uses its frames.
"""

from __future__ import annotations

import glob
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from vfxmatte.editorial.edl import reel_of
from vfxmatte.editorial.origin import ROUNDING, header_timecode, start_of
from vfxmatte.editorial.package import opentimelineio
from vfxmatte.editorial.places import Places, as_address, is_foreign, is_there
from vfxmatte.errors import ShotError
from vfxmatte.io.movies.movie import Movie
from vfxmatte.io.sequence import FrameSequence, find_sequence, frame_number, is_image, is_movie
from vfxmatte.pipeline.settings import Missing
from vfxmatte.types import FrameRange

_ANY_NUMBER = re.compile(r"(?:#+|\d+)(?=\.\w+$)")
_NUMBER = re.compile(
    r"#+|(?:%23)+|@+|\$F\d*|%(?:25)?(?:0(?P<digits>\d+))?d"
    r"|(?:\[|%5B)(?P<first>\d+)-\d+(?:\]|%5D)",
    re.IGNORECASE,
)
_FILES = frozenset({"file", "smb", "cifs", "afp", "nfs"})
_PLATE_SUFFIXES = frozenset({".exr", ".sxr", ".dpx", ".cin"})  # a single one is no still
_MISSING_HINT = (
    "mount it or relink the clip (relative addresses count from the cut's folder); for media that "
    "lie elsewhere here give --map FROM=TO or --media FOLDER"
)
_DRIVE = re.compile(r"/?(?P<path>[A-Za-z]:.*)")


@dataclass(frozen=True, kw_only=True)
class Media:
    """A plate and its times."""

    plate: Path
    """A file pattern, a still or a movie."""
    numbers: Sequence[int]
    """Frames on disk, ascending."""
    first: int
    """Number of the frame at `start`."""
    start: Any
    """RationalTime of the first frame."""
    rate: float
    """Frames per second."""
    count: int
    """Length of the media, in frames."""
    step: int = 1
    """Difference between the numbers of consecutive images."""
    padding: int = 4
    """Digits of a frame number."""
    missing: Missing | None = None
    """The reference's policy for missing frames; None: the default."""
    is_still: bool = False
    """True for one image that is shown at all times."""
    note: str = ""
    """The assumption about the start time, "" for none."""

    def offsets(self, times: Any) -> tuple[int, int]:
        """Return the first and last frame of a TimeRange, counted from `start`; may lie outside."""
        if self.is_still:
            return 0, 0
        first = math.floor(self._offset(times.start_time) + ROUNDING)
        last = math.ceil(self._offset(times.end_time_exclusive()) - ROUNDING) - 1
        return first, max(first, last)

    def frames(self, first: int, last: int) -> FrameRange:
        """Return the images shown from offset `first` to `last`."""
        numbers = [self.first + offset // self.step * self.step for offset in (first, last)]
        return FrameRange(first=numbers[0], last=numbers[1], step=self.step)

    def time_of(self, number: int) -> Any:
        """Return the RationalTime at which an image begins."""
        rate = self.start.rate if counts_alike(self.start.rate, self.rate) else self.rate
        return self.start + opentimelineio().opentime.RationalTime(number - self.first, rate)

    def on_disk(self) -> tuple[int, int]:
        """Return the offsets of the first and last file."""
        return self.numbers[0] - self.first, self.numbers[-1] - self.first + self.step - 1

    def _offset(self, time: Any) -> float:
        return _counted(time, self.rate) - _counted(self.start, self.rate)


def counts_alike(one: float, other: float) -> bool:
    """Return True if two rates number the same frames: 24 and 23.976 do, 24 and 25 do not."""
    return abs(one - other) < 1e-6 or (
        round(one) == round(other) and abs(one - other) / max(one, other) < 0.002
    )


def _counted(time: Any, rate: float) -> float:
    value = time.value if counts_alike(time.rate, rate) else time.value_rescaled_to(rate)
    return float(value)


def media_of(
    clip: Any,
    folder: Path,
    needed: Any | None,
    *,
    first_frame: Callable[[Path], int],
    places: Places | None = None,
) -> Media:
    """Find the media of a clip.

    Args:
        folder: the cut's folder, which relative addresses start from.
        needed: the TimeRange of the media that the clip shows, None for all of it.
        first_frame: returns the number of a movie's first frame.
        places: locations of media on this machine.
    Raises:
        ShotError: there are no media, or none that can be matted.
    """
    schema, places = opentimelineio().schema, places or Places()
    reference = clip.media_reference
    if isinstance(reference, schema.ImageSequenceReference):
        return _image_sequence(reference, folder, needed, places)
    if isinstance(reference, schema.ExternalReference) and reference.target_url:
        path, available = path_of(reference.target_url, folder, places), reference.available_range
    else:
        path, available = _by_name(clip, places), None
    if is_movie(path):
        return _movie(available, path, first_frame(path), needed)
    return _images(available, path, needed)


def address_in_cut(clip: Any, folder: Path, places: Places) -> str:
    """Return the address of a clip's media in the cut, without searches: equal for equal media."""
    schema, places = opentimelineio().schema, replace(places, folders=())
    reference = clip.media_reference
    if isinstance(reference, schema.ImageSequenceReference):
        path = _pattern_of(reference, folder, places)
    elif isinstance(reference, schema.ExternalReference) and reference.target_url:
        path = path_of(reference.target_url, folder, places)
    else:
        return str(clip.name)
    return str(path.with_name(_ANY_NUMBER.sub("#", path.name)))


def _by_name(clip: Any, places: Places) -> Path:
    """Find the media of a clip without reference, by its name and, in an EDL, its reel."""
    is_file_name = is_movie(clip.name) or is_image(clip.name)
    bare = Path(clip.name).stem if is_file_name else None
    names = [name for name in (clip.name, bare, reel_of(clip)) if name]
    path = places.named(names)
    if path is None:
        known = " or ".join(repr(name) for name in dict.fromkeys(names)) or "it has no name either"
        raise ShotError(
            "this clip has no media",
            hint="relink it, or give --media FOLDER with a movie, a sequence or a folder called "
            f"{known}",
        )
    return path


def path_of(url: str, folder: Path, places: Places | None = None) -> Path:
    """Convert an address to a file or pattern (frame number as ####).

    Addresses are percent-encoded or not, `file://` or bare paths; drives and servers are mapped,
    relative paths start from `folder`, and missing files are searched for. Raises ShotError for
    other kinds of address.
    """
    scheme = urlsplit(url).scheme.lower()
    if len(scheme) > 1 and scheme not in _FILES:  # one letter is a Windows drive
        raise ShotError(f"media at {scheme}:// cannot be read", path=url, hint="relink to files")
    if scheme in _FILES:
        url = f"file{url[len(scheme) :]}"
    head, number, tail = _split_number(url)
    texts = [f"{_decoded(head)}{number}{unquote(tail)}"]
    if not scheme or len(scheme) == 1:
        texts.append(f"{head}{number}{tail}")
    return _first_existing([as_address(text) for text in texts], folder, places or Places())


def _first_existing(texts: Sequence[str], folder: Path, places: Places) -> Path:
    """Return the first of several readings of an address that exists, else the likeliest."""
    paths = [_local(text, folder, places) for text in texts]
    for path in paths:
        if is_there(path):
            return path
    for text in texts:
        match = places.find(text)
        if match is not None:
            return match
    return next((path for path in paths if path.parent.exists()), paths[0])


def _local(text: str, folder: Path, places: Places) -> Path:
    mapped = places.mapped(text)
    if mapped is None:
        mapped = Path(text) if is_foreign(text) else folder / text
    return mapped


def _split_number(url: str) -> tuple[str, str, str]:
    """Split a pattern into the text before the frame number, the number as ####, and the rest."""
    matches = list(_NUMBER.finditer(url, max(url.rfind("/"), url.rfind("\\")) + 1))
    if not matches:
        return url, "", ""
    match = matches[-1]
    return url[: match.start()], "#" * _width(match), url[match.end() :]


def _width(match: re.Match[str]) -> int:
    """Return the number of digits that a pattern pads its frame number to."""
    text = match[0].replace("%23", "#")
    if match["first"]:
        return len(match["first"])
    if match["digits"]:
        return int(match["digits"])
    if text.startswith("$F"):
        return int(text[2:] or 1)
    return 1 if text.endswith("d") else len(text)


def _decoded(url: str) -> str:
    """Return the path of an address; OpenTimelineIO's own function decodes `%25` twice."""
    split = urlsplit(quote(url, safe="%/:\\"))  # a bare path may hold # and ?
    path, server = unquote(split.path), unquote(split.netloc)
    if split.scheme and split.scheme != "file":  # a drive
        path = f"{url[: len(split.scheme)]}:{path}"
    elif _DRIVE.fullmatch(server):
        path = f"{server}{path}"
    elif server and server != "localhost":
        path = f"//{server}{path}"
    drive = _DRIVE.fullmatch(path)
    return drive["path"] if drive else path


def _image_sequence(reference: Any, folder: Path, needed: Any | None, places: Places) -> Media:
    if reference.frame_step < 1:
        raise ShotError(f"a frame step of {reference.frame_step} is not understood")
    plate = _pattern_of(reference, folder, places)
    _need_folder(plate.parent, plate)
    policy = str(reference.missing_frame_policy).rpartition(".")[2]
    return _sequence(
        reference.available_range,
        find_sequence(plate),
        plate,
        needed,
        first=reference.start_frame,
        step=reference.frame_step,
        rate=reference.rate,
        missing={"hold": "hold", "black": "skip"}.get(policy),
    )


def _pattern_of(reference: Any, folder: Path, places: Places) -> Path:
    """Return the file pattern of an image sequence reference."""
    hashes = "#" * max(1, reference.frame_zero_padding)
    names = [f"{reference.name_prefix}{hashes}{reference.name_suffix}"]
    names.append(f"{unquote(reference.name_prefix)}{hashes}{unquote(reference.name_suffix)}")
    url = reference.target_url_base
    base = path_of(url, folder, places) if url else folder
    for name in names:
        if is_there(base / name):
            return base / name
    for name in names:
        match = places.find(as_address(f"{_decoded(url)}/{name}"))
        if match is not None:
            return match
    return base / names[1 if not any(base.glob(f"{glob.escape(names[0][:1])}*")) else 0]


def _images(available: Any | None, path: Path, needed: Any | None) -> Media:
    """Return the media of a pattern, a still, or a sequence named by one of its images."""
    _need_folder(path.parent, path)
    pattern = _pattern_around(path)
    if pattern is None:
        sequence = find_sequence(path)
        if "#" in path.name:
            return _sequence(available, sequence, path, needed)
        return replace(_sequence(None, sequence, path, None), is_still=True)
    whole, number = find_sequence(pattern), frame_number(path)
    length = _length(available or needed)
    if available is not None and length == 1:
        whole = find_sequence(path)
        return replace(_sequence(None, whole, path, None), is_still=True)
    if len(whole.numbers) == 1 and (length == 1 or not _is_frame(path)):
        return replace(_sequence(None, whole, path, None), is_still=True)
    if len(whole.numbers) == 1 and length is not None:
        raise ShotError(
            f"the cut shows {length} frames of this sequence, and one is there",
            path=path,
            hint="deliver the others; a still has no frame number in its name, or an available "
            "range of one frame",
        )
    return _sequence(available, whole, pattern, needed, first=number if available else None)


def _pattern_around(path: Path) -> Path | None:
    """Return the pattern of the numbered files that a file belongs to, if any."""
    number = frame_number(path)
    if number is None or not is_image(path) or "#" in path.name:
        return None
    digits = re.findall(r"\d+", path.stem)[-1]
    head = path.stem[: path.stem.rindex(digits)].removesuffix("-" if number < 0 else "")
    pattern = path.with_name(f"{head}{'#' * len(digits)}{path.suffix}")
    return pattern if is_there(pattern) else None


def _is_frame(path: Path) -> bool:
    """Return True for a frame (`plate.1001.png`), False for a still (`IMG_2034.JPG`)."""
    return path.suffix.lower() in _PLATE_SUFFIXES or bool(re.search(r"\.-?\d+$", path.stem))


def _length(times: Any | None) -> int | None:
    """Return a TimeRange's number of frames at its own rate."""
    return None if times is None else round(times.duration.value)


def _sequence(
    available: Any | None,
    sequence: FrameSequence,
    plate: Path,
    needed: Any | None,
    *,
    first: int | None = None,
    step: int = 1,
    rate: float | None = None,
    missing: Any = None,
) -> Media:
    ot, note = opentimelineio().opentime, ""
    if available is None:
        rate = rate or (24.0 if needed is None else needed.start_time.rate)
        first = sequence.numbers[0] if first is None else first
        start = ot.RationalTime(0, rate)
        if needed is not None:
            on_disk = [n for n in sequence.numbers if n >= first]
            code = header_timecode(sequence.path(first))
            start, note = start_of(needed, on_disk or sequence.numbers, plate, code)
        length = sequence.numbers[-1] - first + step
        available = ot.TimeRange(start, ot.RationalTime(length, start.rate))
    rate = rate or available.start_time.rate
    return Media(
        plate=plate,
        numbers=sequence.numbers,
        first=sequence.numbers[0] if first is None else first,
        start=available.start_time,
        rate=rate,
        count=round(_counted(available.duration, rate)),
        step=step,
        padding=sequence.padding,
        missing=missing,
        note=note,
    )


def _movie(available: Any | None, path: Path, first_frame: int, needed: Any | None) -> Media:
    ot, note = opentimelineio().opentime, ""
    if not path.is_file():
        raise ShotError("there is no such movie", path=path, hint=_MISSING_HINT)
    movie = Movie(path, first_frame=first_frame)
    numbers, fps, code = tuple(movie.numbers), float(movie.info.fps), movie.info.timecode
    movie.close()
    if available is None:
        start = ot.RationalTime(0, fps)
        if needed is not None and not 0 <= _counted(needed.start_time, fps) < len(numbers):
            alike = ot.TimeRange(
                ot.RationalTime(_counted(needed.start_time, fps), fps),
                ot.RationalTime(_counted(needed.duration, fps), fps),
            )
            start, note = start_of(alike, numbers, path, code)
        available = ot.TimeRange(start, ot.RationalTime(len(numbers), fps))
    return Media(
        plate=path,
        numbers=numbers,
        first=first_frame,
        start=available.start_time,
        rate=fps,
        count=round(_counted(available.duration, fps)),
        note=note,
    )


def _need_folder(folder: Path, plate: Path) -> None:
    if not folder.is_dir():
        raise ShotError("the folder of this media is not there", path=plate, hint=_MISSING_HINT)


def address_of(folder: Path) -> str:
    """Convert a folder to a file:// address that ends in a slash."""
    return f"{folder.absolute().as_uri()}/"
