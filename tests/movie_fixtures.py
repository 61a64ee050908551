"""Small movies for tests: frame i is grey of (24 + 20·i) / 255, whatever codec and container."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vfxmatte.io.video import Movie

WIDTH, HEIGHT = 96, 64
X264 = {"crf": "4", "bf": "3", "g": "12"}


def greys(count: int) -> list[int]:
    return [24 + 20 * i for i in range(count)]


def make_movie(
    path: Path, *, codec: str = "libx264", pixel_format: str = "yuv420p", rate: Any = 24,
    count: int = 10, options: Mapping[str, str] | None = None, format: str | None = None,
    container: Mapping[str, str] | None = None, aspect: Any = None, timecode: str | None = None,
    tags: Mapping[str, str] | None = None, skip: Iterable[int] = (),
    size: tuple[int, int] = (WIDTH, HEIGHT),     streams: int = 1, rotation: int = 0, trc: int = 2,
    primaries: int = 2,
) -> Path:  # fmt: skip
    """Encode a movie; `tags` are the container's, a time code the stream's."""
    chosen = dict(options if options is not None else X264 if codec == "libx264" else {})
    with av.open(str(path), "w", format=format, options=dict(container or {})) as target:
        target.metadata.update(tags or {})
        made = [target.add_stream(codec, rate=rate, options=chosen) for _ in range(streams)]
        for stream in made:
            stream.width, stream.height = size
            stream.pix_fmt = pixel_format
            context = stream.codec_context
            context.time_base = 1 / Fraction(rate)
            context.color_trc, context.color_primaries = trc, primaries
            if aspect:
                context.sample_aspect_ratio = aspect
            if timecode:
                stream.metadata["timecode"] = timecode
            if rotation:
                stream.set_display_rotation(rotation)
        for i in (i for i in range(count) if i not in skip):
            picture = np.full((size[1], size[0], 3), 24 + 20 * (i % 10), np.uint8)
            for stream in made:
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame = frame.reformat(format=pixel_format)
                frame.pts, frame.time_base = i, 1 / Fraction(rate)
                target.mux(stream.encode(frame))
        for stream in made:
            target.mux(stream.encode())
    return path


def remux(source: Path, target: Path, *, shift: int = 0, **options: str) -> Path:
    """Copy packets without encoding; `shift` hides so many frames at the beginning."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        before = old.streams.video[0]
        stream = new.add_stream_from_template(before)
        offset = round(shift / (before.average_rate * before.time_base))
        for packet in old.demux(before):
            if packet.dts is not None:
                packet.pts -= offset
                packet.dts -= offset
                packet.stream = stream
                new.mux(packet)
    return target


def edit_list(source: Path, target: Path, edits: list[tuple[int, int]]) -> Path:
    """Give a QuickTime movie (header at the end) another edit list: (duration, begin) each."""
    data = bytearray(source.read_bytes())
    at = data.find(b"elst") - 4
    size = struct.unpack(">I", data[at : at + 4])[0]
    body = struct.pack(">II", 0, len(edits))
    body += b"".join(struct.pack(">IiI", *edit, 0x10000) for edit in edits)
    data[at : at + size] = struct.pack(">I", 8 + len(body)) + b"elst" + body
    for name in (b"edts", b"trak", b"moov"):
        parent = data.rfind(name, 0, at) - 4
        old = struct.unpack(">I", data[parent : parent + 4])[0]
        data[parent : parent + 4] = struct.pack(">I", old + 8 + len(body) - size)
    target.write_bytes(data)
    return target


def shown(movie: Movie) -> list[int | None]:
    """The greys of all frames, rounded; None where there is an error."""
    return [_grey(picture) for _, picture in movie.pictures(movie.numbers)]


def _grey(picture: Any) -> int | None:
    return round(float(picture.mean() * 255)) if isinstance(picture, np.ndarray) else None


def close_to(found: list[int | None], expected: list[int]) -> bool:
    """Equal but for what a codec loses."""
    pairs = zip(found, expected, strict=False)
    return len(found) == len(expected) and all(a is not None and abs(a - b) <= 3 for a, b in pairs)
