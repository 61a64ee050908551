"""Determine the number and rate of a movie's frames by its index, or else by its packets."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vfxmatte.errors import PlateError
from vfxmatte.io.movies.cadence import conforming_rate, constant_rate
from vfxmatte.io.movies.cut_off import ends_early
from vfxmatte.io.movies.quicktime import QuickTime
from vfxmatte.io.movies.tags import clock_seconds
from vfxmatte.types import Floats

_GAP = 1.5  # frame durations between neighbours from which one is missing
_READABLE_IN_PART = (
    "matroska",
    "mov,",
    "avi",
)  # formats that keep frame numbers


_MAX_FRAMES = 10_000_000  # nearly five days at 24 fps; a damaged duration claims more


@dataclass(frozen=True, kw_only=True)
class FrameCount:
    """Number and constant rate of the frames that players show."""

    fps: Fraction
    count: int
    lacking: int = 0
    """How many of them the file lacks because it ends too early, as far as known."""


@dataclass(frozen=True, kw_only=True)
class _Packets:
    """Time stamps of the visible frames, ascending."""

    times: Floats
    damaged: int
    """Number of truncated packets."""
    whole: bool
    """Read to the end of the file without a damaged packet."""


def frames_of(container: Any, stream: Any, path: Path) -> FrameCount:
    """Count the frames of a stream.

    Raises:
        PlateError: no frames, no time stamps, a variable rate, or an incomplete file of a format
            whose frames then lose their numbers.
    """
    times, visible, lacking = _indexed(stream, path)
    fps = _constant_rate(times, stream)
    if fps is not None and _ends_without_gap(container, stream, times, fps):
        return FrameCount(fps=fps, count=visible, lacking=lacking)
    if len(times):  # the index was read: rewind
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
    size = path.stat().st_size
    if count > min(_MAX_FRAMES, size):  # a frame takes a byte at least
        raise PlateError(
            f"this movie announces {count:,} frames in {size:,} bytes, and holds "
            f"{len(packets.times):,}",
            hint="its header is damaged: copy or export it again",
        )
    lacking = count - len(packets.times) + packets.damaged
    return FrameCount(fps=fps, count=count, lacking=max(0, lacking))


def _constant_rate(times: Floats, stream: Any, *, gaps: bool = False) -> Fraction | None:
    if not len(times):
        return None
    proposals = (stream.average_rate, stream.base_rate, stream.guessed_rate)
    rate = constant_rate(times, stream.time_base, proposals)
    if rate is None and gaps:
        rate = constant_rate(times, stream.time_base, proposals, gaps=True)
    return rate


def _indexed(stream: Any, path: Path) -> tuple[Floats, int, int]:
    """Return the index's time stamps, ascending, and the numbers of visible and missing frames.

    Empty if the index is incomplete. QuickTime's stamps are decoding times and include frames
    hidden by the edit list.

    Raises:
        PlateError: the edit list has several pieces.
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
    visible = [entry for entry in entries if not entry.is_discard]
    size = path.stat().st_size
    return times, len(visible), sum(entry.pos + entry.size > size for entry in visible)


def _ends_without_gap(container: Any, stream: Any, times: Floats, fps: Fraction) -> bool:
    """Return True if the last frames are gapless; a cut without re-encoding can leave gaps there.

    Only checked for reordered frames; otherwise the index shows gaps.
    """
    if not stream.codec_context.has_b_frames:
        return True
    try:
        container.seek(int(times[-1]), stream=stream, backward=True)
    except (av.FFmpegError, OSError):
        return False
    last = _packets(container, stream).times
    return bool(np.all(np.diff(last) * float(stream.time_base) * float(fps) < _GAP))


def _packets(container: Any, stream: Any) -> _Packets:
    times: list[int | None] = []
    damaged, whole = 0, True
    try:
        for packet in container.demux(stream):
            damaged += packet.is_corrupt
            if packet.size and not packet.is_discard:
                times.append(packet.pts if packet.pts is not None else packet.dts)
    except av.FFmpegError:  # the rest is missing: count what came before
        whole = False
    stamps = sorted(time for time in times if time is not None)
    return _Packets(
        times=np.array(stamps, np.float64), damaged=damaged, whole=whole and not damaged
    )


def _count(container: Any, stream: Any, times: Floats, fps: Fraction, incomplete: bool) -> int:
    """Count the frames from the first to the last, and those missing at the end."""
    tick = float(stream.time_base)
    present = round(float(times[-1] - times[0]) * tick * float(fps)) + 1
    seconds = clock_seconds(stream.metadata.get("DURATION"))
    if seconds is None and len(container.streams) == 1 and "matroska" in container.format.name:
        seconds = (container.duration or 0) / av.time_base
    claimed = int(stream.frames) if container.format.name == "avi" else 0
    if seconds:  # from the start of the container to the end of the last frame
        claimed = max(claimed, int((seconds - float(times[0]) * tick) * float(fps) + 0.25))
    if claimed:
        return max(present, claimed)
    return present + incomplete


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


def _variable(times: Floats, stream: Any, path: Path) -> PlateError:
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
