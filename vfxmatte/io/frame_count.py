"""How many frames a movie has, and at what rate: by its index, or else by its packets."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vfxmatte.errors import PlateError
from vfxmatte.io.cadence import conforming_rate, constant_rate
from vfxmatte.io.cut_off import ends_early
from vfxmatte.io.movie_tags import clock_seconds
from vfxmatte.io.quicktime import QuickTime

_READABLE_IN_PART = ("matroska", "mov,", "avi")  # formats whose first frames keep their numbers


@dataclass(frozen=True, kw_only=True)
class FrameCount:
    """Frames that players show, a constant time apart.

    lacking: how many of them are not in the file, as far as it is known: it ends too early.
    """

    fps: Fraction
    count: int
    lacking: int = 0


@dataclass(frozen=True, kw_only=True)
class _Packets:
    """Time stamps of the frames that are shown, ascending.

    damaged: how many packets were shorter than they should be.
    whole: the file was read to its end, and no packet was damaged.
    """

    times: NDArray[np.float64]
    damaged: int
    whole: bool


def frames_of(container: Any, stream: Any, path: Path) -> FrameCount:
    """Count the frames of a stream.

    Raises:
        PlateError: no frames, frames without time stamps, a variable rate, or an incomplete file
            of a kind whose beginning cannot be relied upon.
    """
    times, shown, lacking = _indexed(stream, path)
    fps = _constant_rate(times, stream)
    if fps is not None and _ends_without_gap(container, stream, times, fps):
        return FrameCount(fps=fps, count=shown, lacking=lacking)
    if len(times):  # the index was looked at: the movie is read from its beginning again
        container.seek(int(times[0]), stream=stream, backward=True)
    packets = _packets(container, stream)
    short = ends_early(path)
    if short and not container.format.name.startswith(_READABLE_IN_PART):
        raise PlateError(
            "this movie ends too early: the file is incomplete", hint="copy or export it again"
        )
    if not len(packets.times):
        raise _no_frames(short, stream)
    incomplete = short or not packets.whole
    fps = _constant_rate(packets.times, stream, gaps=incomplete)
    if fps is None:
        raise _variable(packets.times, stream, path)
    count = _count(container, stream, packets.times, fps, incomplete)
    lacking = count - len(packets.times) + packets.damaged
    return FrameCount(fps=fps, count=count, lacking=max(0, lacking))


def _constant_rate(
    times: NDArray[np.float64], stream: Any, *, gaps: bool = False
) -> Fraction | None:
    if not len(times):
        return None
    proposals = (stream.average_rate, stream.base_rate, stream.guessed_rate)
    rate = constant_rate(times, stream.time_base, proposals)
    if rate is None and gaps:
        rate = constant_rate(times, stream.time_base, proposals, gaps=True)
    return rate


def _indexed(stream: Any, path: Path) -> tuple[NDArray[np.float64], int, int]:
    """Time stamps in the container's index, ascending; how many frames are shown, and lack.

    Empty where the index does not hold every frame. Those of QuickTime are the times of decoding,
    those that its edit list hides among them.

    Raises:
        PlateError: the edit list shows several pieces.
    """
    entries = list(stream.index_entries)
    movie = QuickTime.read(path)
    track = movie.first("vide")
    if track is not None and not track.supported_edits:
        raise PlateError(
            f"the movie's edit list has {len(track.edits)} entries: it is put together from pieces",
            hint="export it as one piece from the program that cut it",
        )
    complete = not movie.fragmented if movie.tracks else len(entries) >= stream.frames
    if not stream.frames or not complete:
        return np.zeros(0), 0, 0
    times = np.array(sorted(entry.timestamp for entry in entries), np.float64)
    shown = [entry for entry in entries if not entry.is_discard]
    size = path.stat().st_size
    return times, len(shown), sum(entry.pos + entry.size > size for entry in shown)


def _ends_without_gap(
    container: Any, stream: Any, times: NDArray[np.float64], fps: Fraction
) -> bool:
    """Whether the last frames follow each other: a cut without encoding can leave gaps among them.

    Only where frames are not stored in the order that they are shown in; else the index has told.
    """
    if not stream.codec_context.has_b_frames:
        return True
    try:
        container.seek(int(times[-1]), stream=stream, backward=True)
    except (av.FFmpegError, OSError):
        return False
    last = _packets(container, stream).times
    return bool(np.all(np.diff(last) * float(stream.time_base) * float(fps) < 1.5))


def _packets(container: Any, stream: Any) -> _Packets:
    times: list[int | None] = []
    damaged, whole = 0, True
    try:
        for packet in container.demux(stream):
            damaged += packet.is_corrupt
            if packet.size and not packet.is_discard:
                times.append(packet.pts if packet.pts is not None else packet.dts)
    except av.FFmpegError:  # where the rest is missing, what came before counts
        whole = False
    stamps = sorted(time for time in times if time is not None)
    return _Packets(
        times=np.array(stamps, np.float64), damaged=damaged, whole=whole and not damaged
    )


def _count(
    container: Any, stream: Any, times: NDArray[np.float64], fps: Fraction, incomplete: bool
) -> int:
    """Frames from the first to the last; and those at the end that are lost."""
    tick = float(stream.time_base)
    found = round(float(times[-1] - times[0]) * tick * float(fps)) + 1
    seconds = clock_seconds(stream.metadata.get("DURATION"))
    if seconds is None and len(container.streams) == 1 and "matroska" in container.format.name:
        seconds = (container.duration or 0) / av.time_base
    claimed = int(stream.frames) if container.format.name == "avi" else 0
    if seconds:  # from the container's beginning to the end of the last frame
        claimed = max(claimed, int((seconds - float(times[0]) * tick) * float(fps) + 0.25))
    if claimed:
        return max(found, claimed)
    return found + incomplete


def _no_frames(short: bool, stream: Any) -> PlateError:
    if short:
        return PlateError(
            "this movie holds no whole frame: the file ends too early",
            hint="copy or export it again",
        )
    return PlateError(
        "this movie holds no frames, or none with a time stamp",
        hint="put it into a container with time stamps: "
        f"ffmpeg -r {stream.base_rate or 24} -i MOVIE -c copy movie.mkv",
    )


def _variable(times: NDArray[np.float64], stream: Any, path: Path) -> PlateError:
    rate, lost = conforming_rate(times, stream.time_base, stream.base_rate)
    kept = (
        f"{lost} of {len(times)} frames lie too close to another and are left out"
        if lost
        else f"all {len(times)} frames are kept, and gaps filled by repeated ones"
    )
    return PlateError(
        f"variable frame rate: not every frame lasts 1/{float(rate):.6g} s",
        hint=f"conform it first ({kept}): ffmpeg -i {shlex.quote(path.name)} "
        f"-fps_mode cfr -r {rate} -c:v prores_ks conformed.mov",
    )
