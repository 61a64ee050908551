"""Decode frames of a movie by index, in any order, identical to playing it through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av

from vfxmatte.errors import PlateError
from vfxmatte.io.movies.notes import is_attached_picture

_OPTIONS = {
    # Never follow a playlist to other files and addresses.
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,matroska,webm,mxf,mxf_opatom,avi,mpegts,mpeg,mpegvideo,m4v,h264,"
    "hevc,dv,nut,flv,asf,ogg,ivf,yuv4mpegpipe,gif,apng,obu",
}
_NEAR = 24  # up to this many frames ahead, decoding on is cheaper than seeking
_FURTHER_BACK = (0, 48)  # frames before the requested one to seek to, before a full rewind


class Decoder:
    """An open movie's first stream of moving pictures; not thread safe.

    A seek may land where not all frames can be decoded: after it, frames count from the first key
    frame on, and if that comes too late, decoding starts earlier. Raises PlateError: unreadable, or
    no pictures.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.container: Any = None
        self._fps, self._start = Fraction(1), 0
        self._ahead: Any = None  # decoded, not yet requested
        self.rewind()

    def rewind(self) -> None:
        """Reopen the movie and decode from its start."""
        self.close()
        self.container = _open(self.path)
        self.stream = _moving_pictures(self.container, self.path)
        if self.stream.codec_context is None:
            raise PlateError("this movie's codec is not known", path=self.path)
        self.stream.thread_type = "AUTO"
        if self.stream.codec_context.name == "ffv1":  # it would conceal slices with wrong checksums
            self.stream.codec_context.options = {"err_detect": "explode"}
        self._begin(reliable_from=0)

    def first(self, fps: Fraction) -> Any:
        """Decode the first frame and count from it; None if no frame can be decoded."""
        self.rewind()
        frame = next(self._decoded, None)
        if frame is not None:
            self._fps = fps
            self._start = self._time_of_first(frame)
            self._ahead = frame
        return frame

    def frame(self, index: int) -> Any:
        """Decode one frame; None if it is damaged or missing."""
        if self._is_behind_the_end(index):
            return None
        frame = None
        for attempt in self._attempts(index):
            attempt()
            frame = self._forward(index)
            if frame is not None or self._has_passed(index):
                break
        return frame

    def close(self) -> None:
        if self.container is not None:
            self.container.close()

    def _begin(self, reliable_from: int | None) -> None:
        self._reliable_from = reliable_from  # None until a key frame is decoded
        self._decoded = self._frames()
        self._ahead = None
        self._is_broken = False  # damaged, up to the next key frame
        self._last: int | None = None  # index of the last frame, once reached

    def _attempts(self, index: int) -> Iterator[Callable[[], None]]:
        """Yield ways to reach a frame, each more reliable than the one before."""
        if self._ahead is not None and 0 <= index - self._index_of(self._ahead) <= _NEAR:
            yield lambda: None
        for back in _FURTHER_BACK:
            yield partial(self._seek, max(0, index - back))
        yield self.rewind

    def _seek(self, index: int) -> None:
        if self.stream.codec_context.pix_fmt == "pal8":
            self.rewind()  # the palette comes with the first packet only
            return
        time = self._start + round(index / (self._fps * self.stream.time_base))
        try:
            self.container.seek(time, stream=self.stream, backward=True)
        except (av.FFmpegError, OSError):
            self.rewind()
        else:
            self._begin(reliable_from=None)

    def _forward(self, index: int) -> Any:
        """Decode up to a frame; None if it does not come."""
        frame, before = self._ahead or self._next(), None
        while frame is not None and self._index_of(frame) < index:
            before, frame = frame, self._next()
        self._ahead = frame
        if frame is None:
            self._last = -1 if before is None else self._index_of(before)
        return frame if frame is not None and self._index_of(frame) == index else None

    def _next(self) -> Any:
        """Return the next reliable frame, skipping from damage to the next key frame."""
        for frame in self._decoded:
            if frame.key_frame:
                self._is_broken = False
                if self._reliable_from is None:
                    self._reliable_from = self._index_of(frame)
            if self._reliable_from is not None and not self._is_broken:
                return frame
        return None

    def _has_passed(self, index: int) -> bool:
        """Return True if everything up to a frame was decoded without it."""
        if self._reliable_from is None or self._reliable_from > index:
            return False
        return self._ahead is None or self._index_of(self._ahead) > index

    def _is_behind_the_end(self, index: int) -> bool:
        """Return True if the movie is known to end before a frame."""
        reliable = self._reliable_from is not None and self._reliable_from <= index
        return reliable and self._last is not None and 0 <= self._last < index

    def _index_of(self, frame: Any) -> int:
        seconds = Fraction((frame.pts - self._start) * self.stream.time_base)
        return round(seconds * self._fps)

    def _time_of_first(self, frame: Any) -> int:
        """Return the time of frame 0 in the stream's units; the first frames may be damaged."""
        begin = self.stream.start_time
        if begin is None:
            return int(frame.pts)
        period = 1 / (self._fps * self.stream.time_base)
        late = max(0, round((frame.pts - begin) / period))
        return int(frame.pts - round(late * period))

    def _frames(self) -> Iterator[Any]:
        """Yield decodable frames, skipping damaged packets; a damaged file ends it."""
        packets = self.container.demux(self.stream)
        damaged = set()
        packet: Any = self
        while packet is not None:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                packet = None
            if packet is not None and packet.is_corrupt:
                damaged.add(packet.pts)
            for frame in self._frames_of(packet):
                if frame.pts in damaged or frame.is_corrupt:
                    self._is_broken = True
                elif frame.pts is not None:
                    yield frame

    def _frames_of(self, packet: Any) -> list[Any]:
        """Return the frames that a packet completes; None flushes the decoder."""
        try:
            return list(self.stream.decode(packet))
        except EOFError:
            return []
        except av.FFmpegError:
            self._is_broken = True
            return []


def _moving_pictures(container: Any, path: Path) -> Any:
    """Return the first video stream that is no cover and no thumbnail."""
    for stream in container.streams.video:
        if not is_attached_picture(stream):
            return stream
    raise PlateError("this movie holds no pictures", path=path)


def _open(path: Path) -> Any:
    """Open a movie; metadata that is not UTF-8 is repaired. Raises PlateError."""
    try:
        return av.open(str(path), options=_OPTIONS, metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise PlateError(
            f"cannot read the movie: {getattr(error, 'strerror', None) or error}",
            path=path,
            hint="it may be incomplete: copy or export it again",
        ) from error
