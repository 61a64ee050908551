"""Notes for the user on what of a movie is not applied or not carried to the mattes."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any

from av.stream import Disposition

from vfxmatte.io.movies.pixel_formats import layout_of

_HDR = {
    "MASTERING_DISPLAY_METADATA": "mastering display",
    "CONTENT_LIGHT_LEVEL": "content light level",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "DOVI_METADATA": "Dolby Vision",
}

_WIDE = ("bt470m", "film", "bt2020", "smpte428", "smpte431", "smpte432")
_UNLIKE_VIDEO = ("log100", "log316", "smpte428")


def is_attached_picture(stream: Any) -> bool:
    """Return True if a video stream is a cover or a thumbnail."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def movie_notes(container: Any, stream: Any, frame: Any) -> tuple[str, ...]:
    """List what is not applied or not carried, from the container and the first frame."""
    side = _side_data(frame)
    return (
        *_other_streams(container, stream),
        *_orientation(side.get("DISPLAYMATRIX"), int(frame.rotation)),
        *_frame_notes(frame, side),
    )


def colour_notes(transfer: str | None, primaries: str | None, space: str) -> tuple[str, ...]:
    """List the colour tags that contradict the chosen colour space."""
    unlike = []
    if transfer in _UNLIKE_VIDEO:
        unlike.append(f"transfer curve {transfer}")
    if primaries in _WIDE and transfer not in ("smpte2084", "arib-std-b67"):
        unlike.append(f"primaries {primaries}")
    if not unlike:
        return ()
    return (
        f"the movie is tagged with {' and '.join(unlike)}, which {space} does not have: "
        "name its colour space with --colorspace",
    )


def _other_streams(container: Any, stream: Any) -> Iterator[str]:
    for other in container.streams.video:
        if other.index == stream.index:
            continue
        if is_attached_picture(other):
            yield "the movie's attached picture (a cover) is not read"
        else:
            context = other.codec_context
            yield (
                f"of the movie's {len(container.streams.video)} video streams, number "
                f"{stream.index} is read; number {other.index} ({context.width}×{context.height} "
                f"{context.name}) is not"
            )


def _side_data(frame: Any) -> dict[str, bytes]:
    """Return a frame's side data; nothing if PyAV does not know one of its types."""
    try:
        return {data.type.name: bytes(data) for data in frame.side_data}
    except ValueError:
        return {}


def _orientation(matrix: bytes | None, counterclockwise: int) -> Iterator[str]:
    degrees, mirrored = -counterclockwise % 360, False
    if matrix is not None and len(matrix) == 36:
        a, b, _, c, d = struct.unpack("=5i", matrix[:20])
        degrees = round(math.degrees(math.atan2(b, a))) % 360
        mirrored = a * d - b * c < 0
    turns = [f"turn it by {degrees}° clockwise"] * bool(degrees) + ["mirror it"] * mirrored
    if turns:
        yield (
            f"the movie asks players to {' and '.join(turns)}; plate, trimaps and mattes are as "
            "it is stored, which is not as players show it"
        )


def _frame_notes(frame: Any, side: dict[str, bytes]) -> Iterator[str]:
    layout = layout_of(frame.format.name)
    if frame.interlaced_frame:
        yield (
            "the movie is interlaced; frames are matted with both fields as they are stored "
            "(deinterlace it first: ffmpeg -vf bwdif)"
        )
    if layout is not None and layout.alpha:
        yield "the movie's alpha channel is not read"
    if (layout is None or layout.kind != "yuv") and int(frame.color_range) == 1:
        yield "the movie is tagged as legal range; grey and RGB are read as full range nonetheless"
    if "STEREO3D" in side:
        yield "the movie is stereoscopic; its pictures are read as they are stored"
    kinds = sorted({_HDR[name] for name in side if name in _HDR})
    if kinds:
        yield f"the movie's HDR metadata ({', '.join(kinds)}) is neither applied nor carried"
