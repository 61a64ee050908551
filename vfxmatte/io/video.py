"""Movies through PyAV: frames by number, in full precision, with the right matrix and range.

Y'CbCr is converted here and not by FFmpeg's scaler, in floats: values beyond legal range stay as
values below 0 and above 1. What a movie says about its colour is passed on by name; transfer
curves are none of this module's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vfxmatte.common.parallel import ordered_map
from vfxmatte.errors import MissingFrameError, OutputError, PlateError, VfxmatteError
from vfxmatte.io.container import open_container
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.io.yuv import Encoding, picture_of
from vfxmatte.types import FloatImage

_NEAR = 24  # frames that are decoded on the way rather than sought for
_TRANSFERS = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 8: "linear",
    13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084", 18: "arib-std-b67",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MovieInfo:
    """What a movie says about itself; names as FFmpeg's, None where it does not say."""

    width: int
    height: int
    count: int
    fps: Fraction
    pixel_aspect: Fraction
    codec: str
    pixel_format: str
    encoding: Encoding
    transfer: str | None
    timecode: str | None

    @property
    def description(self) -> str:
        matrix, spread = self.encoding.matrix, "full" if self.encoding.full_range else "legal"
        fps = f"{float(self.fps):.3f}".rstrip("0").rstrip(".")
        return f"{self.codec} {self.pixel_format}, {matrix}, {spread} range, {fps} fps"


class Movie:
    """An open movie, frame numbers from `first_frame`; not thread safe.

    Raises PlateError: unreadable, no picture in it, variable frame rate.
    """

    def __init__(self, path: str | Path, *, first_frame: int = 1) -> None:
        self.path = Path(path)
        self.first_frame = first_frame
        self._container: Any = open_container(self.path)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    @property
    def numbers(self) -> range:
        return range(self.first_frame, self.first_frame + self.info.count)

    def read(self, number: int) -> FloatImage:
        """(H, W, 3) float32; raises MissingFrameError or PlateError."""
        return picture_of(self._decode(number), self.info.encoding)

    def pictures(
        self, numbers: Iterable[int], *, workers: int = 2
    ) -> Iterator[tuple[int, FloatImage | VfxmatteError]]:
        """(number, picture or error) in the order given; decodes ahead, converts in parallel."""

        def decoded() -> Iterator[tuple[int, Any]]:
            for number in numbers:
                try:
                    yield number, self._decode(number)
                except VfxmatteError as error:
                    yield number, error

        def convert(item: tuple[int, Any]) -> tuple[int, FloatImage | VfxmatteError]:
            number, found = item
            if isinstance(found, VfxmatteError):
                return number, found
            return number, picture_of(found, self.info.encoding)

        return ordered_map(convert, decoded(), workers=workers)

    def metadata(self, number: int) -> Mapping[str, Any]:
        """Attributes for files made from this frame: framesPerSecond, and timeCode as text."""
        known: dict[str, Any] = {"framesPerSecond": self.info.fps}
        if self.info.timecode:
            index = number - self.first_frame
            known["timeCode"] = advance_timecode(self.info.timecode, index, self.info.fps)
        return known

    def close(self) -> None:
        self._container.close()

    def _prepare(self) -> None:
        if not self._container.streams.video:
            raise PlateError("this movie holds no pictures", path=self.path)
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        fps = self._stream.average_rate or self._stream.guessed_rate
        if not fps:
            raise PlateError("this movie does not say its frame rate", path=self.path)
        times = self._times()
        self._check_rate(times, fps)
        self._restart()
        first = next(self._decoder, None)
        if first is None:
            raise PlateError("no frame of this movie can be decoded", path=self.path)
        self._start = min(first.pts or 0, self._stream.start_time or 0)
        self.info = self._describe(first, Fraction(fps), len(times))
        self._end = self.info.count  # frames from here on cannot be reached
        self._restart(0)

    def _times(self) -> list[int]:
        """The time stamps of all frames, from the index or, where there is none, the packets."""
        indexed = list(self._stream.index_entries)
        if self._stream.frames and len(indexed) >= self._stream.frames:
            return sorted(entry.timestamp for entry in indexed)
        packets = self._container.demux(self._stream)
        times: list[int | None] = []
        with suppress(av.FFmpegError):  # where the rest is missing, what came before counts
            times.extend(p.pts if p.pts is not None else p.dts for p in packets if p.size)
        return sorted(time for time in times if time is not None)

    def _check_rate(self, times: list[int], fps: Fraction) -> None:
        if not times:
            raise PlateError("this movie holds no frames", path=self.path)
        period = 1 / (Fraction(fps) * self._stream.time_base)
        off = np.abs(np.diff(np.array(times, np.float64)) - float(period))
        # Containers with a coarse clock (1 ms) round every stamp.
        if len(off) and float(off.max()) > max(0.1 * float(period), 1.5):
            raise PlateError(
                f"variable frame rate: not every frame lasts 1/{float(fps):.3f} s",
                path=self.path,
                hint=f"conform it first: ffmpeg -i {self.path.name} -fps_mode cfr -r "
                f"{round(float(fps))} -c:v prores_ks conformed.mov",
            )

    def _describe(self, frame: Any, fps: Fraction, count: int) -> MovieInfo:
        context = self._stream.codec_context
        metadata = {**self._container.metadata, **self._stream.metadata}
        return MovieInfo(
            width=frame.width,
            height=frame.height,
            count=count,
            fps=fps,
            pixel_aspect=Fraction(context.sample_aspect_ratio or 1) or Fraction(1),
            codec=f"{context.name} {context.profile or ''}".strip(),
            pixel_format=frame.format.name,
            encoding=Encoding.of(frame, self.path),
            transfer=_TRANSFERS.get(int(context.color_trc or 2)),
            timecode=metadata.get("timecode"),
        )

    def _restart(self, index: int | None = None) -> None:
        """Set the decoder before frame `index` (None: where the file was opened)."""
        offset = (self._stream.start_time or 0) if index is None else self._time_of(index)
        try:
            self._container.seek(int(offset), stream=self._stream, backward=True)
        except av.FFmpegError as error:
            raise PlateError(f"this movie is damaged: {error}", path=self.path) from error
        self._decoder = _frames(self._container, self._stream)
        self._ahead: Any = None  # decoded, not yet asked for

    def _time_of(self, index: int) -> int:
        period = 1 / (self.info.fps * self._stream.time_base)
        return round(int(self._start) + index * Fraction(period))

    def _index_of(self, frame: Any) -> int:
        seconds = Fraction((frame.pts - self._start) * self._stream.time_base)
        return round(seconds * self.info.fps)

    def _decode(self, number: int) -> Any:
        index = number - self.first_frame
        if number not in self.numbers:
            raise self._missing(number)
        frame = self._search(index) if index < self._end else None
        if frame is None and index < self._end:  # once more from the key frame before it
            self._restart(index)
            frame = self._search(index)
            if self._ahead is None:
                self._end = min(self._end, index)
        if frame is None or frame.is_corrupt:
            raise PlateError(
                "this frame of the movie is damaged or missing",
                frame=number,
                path=self.path,
                hint="the movie may be incomplete: copy or export it again",
            )
        if (frame.width, frame.height) != (self.info.width, self.info.height):
            raise PlateError(
                f"it changes size: expected {self.info.width}×{self.info.height}, "
                f"found {frame.width}×{frame.height}",
                frame=number,
                path=self.path,
            )
        return frame

    def _search(self, index: int) -> Any:
        """Decode forward to a frame; None where it does not come."""
        frame = self._ahead or next(self._decoder, None)
        if frame is not None and not -_NEAR <= self._index_of(frame) - index <= 0:
            self._restart(index)
            frame = next(self._decoder, None)
        while frame is not None and self._index_of(frame) < index:
            frame = next(self._decoder, None)
        self._ahead = frame
        return frame if frame is not None and self._index_of(frame) == index else None

    def _missing(self, number: int) -> MissingFrameError:
        first, last = self.numbers[0], self.numbers[-1]
        return MissingFrameError(
            "the movie has no such frame",
            frame=number,
            path=self.path,
            hint=f"its frames are {first}-{last}",
        )


def write_prores(path: str | Path, frames: Iterable[np.ndarray], fps: Fraction | float) -> Path:
    """ProRes 4444 with alpha from (H, W, 4) float32 RGBA frames, 0 to 1, Rec.709-encoded.

    Written to a temporary name, then renamed. Raises OutputError; nothing stays behind then.
    """
    path = Path(path)
    with renamed_when_whole(path) as temporary:
        try:
            _encode_prores(temporary, frames, Fraction(fps).limit_denominator(1001))
        except (av.FFmpegError, OSError) as error:
            raise OutputError(f"cannot write the movie: {error}", path=path) from error
    return path


def _encode_prores(path: Path, frames: Iterable[np.ndarray], fps: Fraction) -> None:
    with av.open(str(path), "w", format="mov") as container:
        stream: Any = None
        for rgba in frames:
            if stream is None:
                stream = _prores_stream(container, rgba.shape[1], rgba.shape[0], fps)
            values = np.nan_to_num(rgba).clip(0, 1) * 65535 + 0.5
            frame = av.VideoFrame.from_ndarray(values.astype(np.uint16), format="rgba64le")
            frame = frame.reformat(
                format="yuva444p10le", dst_colorspace="ITU709", dst_color_range="MPEG"
            )
            frame.colorspace = frame.color_primaries = frame.color_trc = frame.color_range = 1
            container.mux(stream.encode(frame))
        if stream is None:
            raise OutputError("no frames to write", path=path)
        container.mux(stream.encode())


def _prores_stream(container: Any, width: int, height: int, fps: Fraction) -> Any:
    options = {"profile": "4444", "alpha_bits": "16", "vendor": "apl0"}
    stream = container.add_stream("prores_ks", rate=fps, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuva444p10le"
    context = stream.codec_context
    context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
    return stream


def advance_timecode(text: str, frames: int, fps: Fraction) -> str:
    """`01:00:00:00` so many frames later; `;` before the frames marks drop-frame timecode."""
    match = re.fullmatch(r"(\d+):(\d+):(\d+)([:;.])(\d+)", text.strip())
    if match is None:
        return text
    rate, drop = round(fps), match[4] != ":" and round(fps) in (30, 60)
    hours, minutes, seconds, frame = (int(match[i]) for i in (1, 2, 3, 5))
    dropped = rate // 15 if drop else 0
    total_minutes = hours * 60 + minutes
    count = (total_minutes * 60 + seconds) * rate + frame
    count -= dropped * (total_minutes - total_minutes // 10)
    return _timecode_of(count + frames, rate, dropped, match[4])


def _timecode_of(count: int, rate: int, dropped: int, separator: str) -> str:
    if dropped:
        tens, rest = divmod(count, 600 * rate - 9 * dropped)
        over = max(0, rest - dropped) // (60 * rate - dropped) if rest >= 60 * rate else 0
        count += dropped * (9 * tens + over)
    seconds, frame = divmod(count, rate)
    clock = (seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
    return "{:02d}:{:02d}:{:02d}".format(*clock) + f"{separator}{frame:02d}"


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    """Frames as they decode; damaged packets are passed over, a damaged file ends it."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            packet = None
        if packet is None:
            yield from _rest(stream)
            return
        try:
            decoded = stream.decode(packet)
        except (av.FFmpegError, EOFError):
            continue
        yield from (frame for frame in decoded if frame.pts is not None)


def _rest(stream: Any) -> Iterator[Any]:
    try:
        yield from (frame for frame in stream.decode(None) if frame.pts is not None)
    except (av.FFmpegError, EOFError):
        return
