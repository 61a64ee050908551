"""Read tags of a movie's streams and container: colour, time code, durations."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TRANSFERS = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear",
    9: "log100", 10: "log316", 11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1",
    14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
"""FFmpeg's names of transfer curves by number, without unspecified ones."""

PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020",
    10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MovieTags:
    """The colour tags of a stream in its container, by FFmpeg's numbers."""

    matrix: int
    range: int
    transfer: int
    primaries: int

    @classmethod
    def of(cls, stream: Any) -> MovieTags:
        """Read the tags of a stream before anything is decoded from it."""
        context = stream.codec_context
        return cls(
            matrix=int(context.colorspace if context.colorspace is not None else 2),
            range=int(context.color_range or 0),
            transfer=int(context.color_trc or 2),
            primaries=int(context.color_primaries or 2),
        )


def timecode_of(container: Any, stream: Any) -> str | None:
    """Return the first frame's time code from stream, container or time code track."""
    for metadata in _metadata(container, stream):
        for name, value in metadata.items():
            if name.lower() in ("timecode", "time_code", "smpte:timecode") and value.strip():
                return str(value).strip()
    return None


def clock_seconds(text: str | None) -> float | None:
    """Parse `00:00:01.500000000`, as in Matroska's tags, into seconds; None otherwise."""
    match = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", (text or "").strip())
    if match is None:
        return None
    return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3])


def _metadata(container: Any, stream: Any) -> Iterator[Mapping[str, str]]:
    yield stream.metadata
    yield container.metadata
    for other in container.streams:
        if other.type == "data":
            yield other.metadata
