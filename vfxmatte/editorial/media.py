"""The plate behind a clip's media reference, and which of its frames a time means.

Frames are counted from the start of the reference's `available_range`, whatever timecode that is.
Rates that count alike (23.976 and 24, 29.97 and 30) are counted as frames and not converted: a cut
at 24 of a plate at 23.976 means its frames.
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

from vfxmatte.editorial.package import opentimelineio
from vfxmatte.errors import ShotError
from vfxmatte.io.sequence import FrameSequence, find_sequence, is_image, is_movie
from vfxmatte.io.video import Movie
from vfxmatte.pipeline.settings import Missing
from vfxmatte.types import FrameRange

_NEARLY = 1e-3  # frames: what rounding of rates may leave
_NUMBER = re.compile(
    r"#+|(?:%23)+|@+|\$F\d*|%(?:25)?(?:0(?P<digits>\d+))?d"
    r"|(?:\[|%5B)(?P<first>\d+)-\d+(?:\]|%5D)",
    re.IGNORECASE,
)
_DRIVE = re.compile(r"/?(?P<path>[A-Za-z]:.*)")


@dataclass(frozen=True, kw_only=True)
class Media:
    """A plate and its times.

    plate: a file pattern, a still or a movie. numbers: the frames on disk. first: the number of
    the frame at `start`. step: numbers between one image and the next. count: how long the media
    is, in frames at `rate`. start: a RationalTime. missing: what the reference says should be done
    about lacking frames, None where it says nothing unusual. is_still: one image for all times.
    """

    plate: Path
    numbers: Sequence[int]
    first: int
    start: Any
    rate: float
    count: int
    step: int = 1
    padding: int = 4
    missing: Missing | None = None
    is_still: bool = False

    def offsets(self, times: Any) -> tuple[int, int]:
        """The first and the last frame of a TimeRange, counted from `start`; may lie outside."""
        if self.is_still:
            return 0, 0
        first = math.floor(self._offset(times.start_time) + _NEARLY)
        last = math.ceil(self._offset(times.end_time_exclusive()) - _NEARLY) - 1
        return first, max(first, last)

    def frames(self, first: int, last: int) -> FrameRange:
        """The images shown from offset `first` to `last`."""
        numbers = [self.first + offset // self.step * self.step for offset in (first, last)]
        return FrameRange(first=numbers[0], last=numbers[1], step=self.step)

    def time_of(self, number: int) -> Any:
        """When an image begins, as a RationalTime."""
        rate = self.start.rate if counts_alike(self.start.rate, self.rate) else self.rate
        return self.start + opentimelineio().opentime.RationalTime(number - self.first, rate)

    def on_disk(self) -> tuple[int, int]:
        """The offsets between which there are files."""
        return self.numbers[0] - self.first, self.numbers[-1] - self.first + self.step - 1

    def _offset(self, time: Any) -> float:
        return _counted(time, self.rate) - _counted(self.start, self.rate)


def counts_alike(one: float, other: float) -> bool:
    """Whether two rates number the same frames: 24 and 23.976 do, 24 and 25 do not."""
    return abs(one - other) < 1e-6 or (
        round(one) == round(other) and abs(one - other) / max(one, other) < 0.002
    )


def _counted(time: Any, rate: float) -> float:
    value = time.value if counts_alike(time.rate, rate) else time.value_rescaled_to(rate)
    return float(value)


def media_of(
    reference: Any, folder: Path, *, first_frame: Callable[[Path], int], is_trimmed: bool
) -> Media:
    """What a media reference means.

    folder: that of the cut, from which relative addresses count. first_frame: tells the
    number of a movie's first frame. is_trimmed: whether the clip has a `source_range`.
    Raises ShotError: nothing there, or nothing that can be matted.
    """
    schema = opentimelineio().schema
    if isinstance(reference, schema.ImageSequenceReference):
        return _image_sequence(reference, folder, is_trimmed)
    if not isinstance(reference, schema.ExternalReference) or not reference.target_url:
        raise ShotError(
            "this clip has no media", hint="relink it, or disable it, and export the cut again"
        )
    path = path_of(reference.target_url, folder)
    if is_movie(path):
        return _movie(reference.available_range, path, first_frame(path))
    return _images(reference.available_range, path, is_trimmed)


def path_of(url: str, folder: Path) -> Path:
    """The file or pattern (frame number as ####) that an address names.

    Percent-encoded or not, `file://` or a bare path; a relative one counts from `folder`.
    Raises ShotError for other kinds of address.
    """
    scheme = urlsplit(url).scheme
    if len(scheme) > 1 and scheme != "file":  # one letter is a Windows drive
        raise ShotError(f"media at {scheme}:// cannot be read", path=url, hint="relink to files")
    head, number, tail = _split_number(url)
    decoded = folder / f"{_decoded(head)}{number}{unquote(tail)}"
    literal = folder / f"{head}{number}{tail}"
    if not scheme and not decoded.parent.exists() and literal.parent.exists():
        return literal
    return decoded


def _split_number(url: str) -> tuple[str, str, str]:
    """What stands before the frame number of a pattern, the number as ####, and what follows."""
    found = list(_NUMBER.finditer(url, url.rfind("/") + 1))
    if not found:
        return url, "", ""
    match = found[-1]
    return url[: match.start()], "#" * _width(match), url[match.end() :]


def _width(match: re.Match[str]) -> int:
    """The digits that a pattern's frame number is filled up to."""
    text = match[0].replace("%23", "#")
    if match["first"]:
        return len(match["first"])
    if match["digits"]:
        return int(match["digits"])
    if text.startswith("$F"):
        return int(text[2:] or 1)
    return 1 if text.endswith("d") else len(text)


def _decoded(url: str) -> str:
    """The path of an address. OpenTimelineIO's own way decodes twice, which breaks `%25`."""
    split = urlsplit(quote(url, safe="%/:\\"))  # a bare path may hold # and ?
    path, server = unquote(split.path), unquote(split.netloc)
    if split.scheme and split.scheme != "file":  # a drive
        path = f"{split.scheme}:{path}"
    elif _DRIVE.fullmatch(server):
        path = f"{server}{path}"
    elif server and server != "localhost":
        path = f"//{server}{path}"
    drive = _DRIVE.fullmatch(path)
    return drive["path"] if drive else path


def _image_sequence(reference: Any, folder: Path, is_trimmed: bool) -> Media:
    if reference.frame_step < 1:
        raise ShotError(f"a frame step of {reference.frame_step} is not understood")
    base = path_of(reference.target_url_base, folder) if reference.target_url_base else folder
    width = max(1, reference.frame_zero_padding)
    prefix, suffix = reference.name_prefix, reference.name_suffix
    if not any(base.glob(f"{glob.escape(prefix)}*")):
        prefix, suffix = unquote(prefix), unquote(suffix)
    plate = base / f"{prefix}{'#' * width}{suffix}"
    _need_folder(base, plate)
    policy = str(reference.missing_frame_policy).rpartition(".")[2]
    return _sequence(
        reference.available_range,
        find_sequence(plate),
        plate,
        is_trimmed,
        first=reference.start_frame,
        step=reference.frame_step,
        rate=reference.rate,
        missing={"hold": "hold", "black": "skip"}.get(policy),
    )


def _images(available: Any | None, path: Path, is_trimmed: bool) -> Media:
    """A pattern, a still, or a sequence that is named by its first image."""
    _need_folder(path.parent, path)
    sequence = find_sequence(path)
    if "#" in path.name:
        return _sequence(available, sequence, path, is_trimmed)
    length = 1 if available is None else round(available.duration.value)
    if sequence.padding and length > 1 and is_image(path):
        pattern = path.with_name(f"{sequence.head}{'#' * sequence.padding}{sequence.tail}")
        whole = find_sequence(pattern)
        if sequence.numbers[0] + 1 in whole.numbers:
            first = sequence.numbers[0]
            return _sequence(available, whole, pattern, is_trimmed, first=first)
    return replace(_sequence(None, sequence, path, False), is_still=True)


def _sequence(
    available: Any | None,
    sequence: FrameSequence,
    plate: Path,
    is_trimmed: bool,
    *,
    first: int | None = None,
    step: int = 1,
    rate: float | None = None,
    missing: Any = None,
) -> Media:
    ot = opentimelineio().opentime
    if available is None:
        if is_trimmed:
            raise ShotError(
                "the media does not say its available range, so the clip's source range has no "
                "frame numbers",
                path=plate,
                hint="export the cut with available ranges",
            )
        rate = rate or 24.0
        first = sequence.numbers[0] if first is None else first
        length = sequence.numbers[-1] - first + step
        available = ot.TimeRange(ot.RationalTime(0, rate), ot.RationalTime(length, rate))
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
    )


def _movie(available: Any | None, path: Path, first_frame: int) -> Media:
    ot = opentimelineio().opentime
    if not path.is_file():
        raise ShotError("there is no such movie", path=path)
    movie = Movie(path, first_frame=first_frame)
    numbers, fps = tuple(movie.numbers), float(movie.info.fps)
    movie.close()
    if available is None:
        available = ot.TimeRange(ot.RationalTime(0, fps), ot.RationalTime(len(numbers), fps))
    return Media(
        plate=path,
        numbers=numbers,
        first=first_frame,
        start=available.start_time,
        rate=fps,
        count=round(_counted(available.duration, fps)),
    )


def _need_folder(folder: Path, plate: Path) -> None:
    if not folder.is_dir():
        raise ShotError(
            "the folder of this media is not there",
            path=plate,
            hint="mount it, or relink the clip; relative addresses count from the cut's folder",
        )


def address_of(folder: Path) -> str:
    """A folder as a file:// address that ends in a slash."""
    return f"{folder.absolute().as_uri()}/"
