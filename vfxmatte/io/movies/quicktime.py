"""Parse what FFmpeg hides of QuickTime and MP4: edit lists, fragments, time code track."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

_PARENTS = (b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl")
_READ = (b"hdlr", b"elst", b"stsd", b"mdhd")
_MAX_BYTES = 1 << 20  # maximum size of a box to read


@dataclass(frozen=True, kw_only=True)
class Track:
    """A track of a movie."""

    kind: str
    """`vide`, `soun`, `tmcd` and others."""
    edits: tuple[int, ...]
    """Start of each visible piece in units of the track; -1 is a pause."""
    time_scale: int
    """Units per second."""
    timecode_rate: int
    """Numbers per second of a time code track, else 0."""

    @property
    def supported_edits(self) -> bool:
        """True for a single piece, perhaps after a pause."""
        return len(self.edits) <= 1 or (len(self.edits) == 2 and self.edits[0] < 0)

    @property
    def hidden_seconds(self) -> Fraction:
        """Duration that the edit list hides at the start of the track."""
        visible = [edit for edit in self.edits if edit >= 0]
        return Fraction(visible[0], self.time_scale) if visible and self.time_scale else Fraction(0)


@dataclass(frozen=True, kw_only=True)
class QuickTime:
    """The tracks of a movie, and whether it is fragmented."""

    tracks: tuple[Track, ...]
    fragmented: bool

    @classmethod
    def read(cls, path: Path) -> QuickTime:
        """Read the header of a file; no tracks if it is no QuickTime."""
        tracks: list[dict[bytes, bytes]] = []
        fragmented = False
        try:
            with path.open("rb") as file:
                for name, body in _boxes(file, 0, path.stat().st_size):
                    fragmented = fragmented or name == b"moof"
                    if name == b"trak":
                        tracks.append({})
                    elif name in _READ and tracks:
                        tracks[-1].setdefault(name, body)
        except (OSError, struct.error, ValueError):
            return cls(tracks=(), fragmented=False)
        return cls(tracks=tuple(map(_track, tracks)), fragmented=fragmented)

    def first(self, kind: str) -> Track | None:
        return next((track for track in self.tracks if track.kind == kind), None)


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names of boxes, recursively, with the bodies of those in `_READ`."""
    while start + 8 <= end:
        file.seek(start)
        size, name = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            size, head = struct.unpack(">Q", file.read(8))[0], 16
        size = size or end - start
        if size < head:
            return
        inside = name in _READ and size <= _MAX_BYTES
        yield name, file.read(size - head) if inside else b""
        if name in _PARENTS:
            yield from _boxes(file, start + head, min(end, start + size))
        start += size


def _track(boxes: dict[bytes, bytes]) -> Track:
    kind = boxes.get(b"hdlr", b"")[8:12].decode("latin-1")
    if kind != "vide" and boxes.get(b"stsd", b"")[12:16] == b"tmcd":
        kind = "tmcd"
    media = boxes.get(b"mdhd", b"")
    at = 20 if media[:1] == b"\1" else 12
    scale = struct.unpack(">I", media[at : at + 4])[0] if len(media) >= at + 4 else 0
    return Track(
        kind=kind,
        edits=tuple(_edits(boxes.get(b"elst", b""))),
        time_scale=scale,
        timecode_rate=_timecode_rate(boxes.get(b"stsd", b"")) if kind == "tmcd" else 0,
    )


def _edits(body: bytes) -> Iterator[int]:
    if len(body) < 8:
        return
    entry = struct.Struct(">QqI" if body[0] == 1 else ">IiI")
    count = struct.unpack(">I", body[4:8])[0]
    whole = (len(body) - 8) // entry.size * entry.size
    for _, begin, _ in list(entry.iter_unpack(body[8 : 8 + whole]))[:count]:
        yield begin


def _timecode_rate(body: bytes) -> int:
    """Numbers per second: the sample description's time scale over the length of a number."""
    if len(body) < 40:
        return 0
    scale, length = struct.unpack(">II", body[32:40])
    return round(scale / length) if length else 0
