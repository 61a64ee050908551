"""Decoded frames of a movie by index, in any order, as they are when it is played through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av

from vfxmatte.errors import PlateError
from vfxmatte.io.container import open_container
from vfxmatte.io.movie_notes import is_attached_picture

_NEAR = 24  # frames that are decoded on the way rather than sought for
_FURTHER_BACK = (0, 48)  # frames before the wanted one that are sought for; then from the start


class Decoder:
    """An open movie's first stream of moving pictures; not thread safe.

    A container may lead to a place from where not all frames can be decoded: after a jump, frames
    count from the first key frame on, and where that comes too late, decoding begins earlier.

    Raises PlateError: unreadable, no pictures in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.container: Any = None
        self._fps, self._start = Fraction(1), 0
        self._ahead: Any = None  # decoded, not yet asked for
        self.rewind()

    def rewind(self) -> None:
        """Open the movie anew and decode from its start."""
        self.close()
        self.container = open_container(self.path)
        self.stream = _moving_pictures(self.container, self.path)
        if self.stream.codec_context is None:
            raise PlateError("this movie's codec is not known", path=self.path)
        self.stream.thread_type = "AUTO"
        if self.stream.codec_context.name == "ffv1":  # it conceals slices of a wrong checksum
            self.stream.codec_context.options = {"err_detect": "explode"}
        self._begin(reliable_from=0)

    def first(self, fps: Fraction) -> Any:
        """Decode the first frame and count from it; None where no frame can be decoded."""
        self.rewind()
        frame = next(self._decoded, None)
        if frame is not None:
            self._fps = fps
            self._start = self._time_of_first(frame)
            self._ahead = frame
        return frame

    def frame(self, index: int) -> Any:
        """Decode one frame; None where it is damaged or not there."""
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
        self._reliable_from = reliable_from  # None until a key frame has come
        self._decoded = self._frames()
        self._ahead = None
        self._is_broken = False  # what was decoded last is damaged, and what builds upon it
        self._last: int | None = None  # the last frame of all, once it has come

    def _attempts(self, index: int) -> Iterator[Callable[[], None]]:
        """Places to decode a frame from, each safer than the one before."""
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
        """Decode on to a frame; None where it does not come."""
        frame, before = self._ahead or self._next(), None
        while frame is not None and self._index_of(frame) < index:
            before, frame = frame, self._next()
        self._ahead = frame
        if frame is None:
            self._last = -1 if before is None else self._index_of(before)
        return frame if frame is not None and self._index_of(frame) == index else None

    def _next(self) -> Any:
        """The next frame that can be relied upon: none after damage, until a key frame comes."""
        for frame in self._decoded:
            if frame.key_frame:
                self._is_broken = False
                if self._reliable_from is None:
                    self._reliable_from = self._index_of(frame)
            if self._reliable_from is not None and not self._is_broken:
                return frame
        return None

    def _has_passed(self, index: int) -> bool:
        """Whether everything up to a frame was decoded, and it did not come."""
        if self._reliable_from is None or self._reliable_from > index:
            return False
        return self._ahead is None or self._index_of(self._ahead) > index

    def _is_behind_the_end(self, index: int) -> bool:
        """Whether decoding has come to the movie's end before a frame."""
        reliable = self._reliable_from is not None and self._reliable_from <= index
        return reliable and self._last is not None and 0 <= self._last < index

    def _index_of(self, frame: Any) -> int:
        seconds = Fraction((frame.pts - self._start) * self.stream.time_base)
        return round(seconds * self._fps)

    def _time_of_first(self, frame: Any) -> int:
        """The time of frame 0, in the stream's units; the first ones may be damaged."""
        begin = self.stream.start_time
        if begin is None:
            return int(frame.pts)
        period = 1 / (self._fps * self.stream.time_base)
        late = max(0, round((frame.pts - begin) / period))
        return int(frame.pts - round(late * period))

    def _frames(self) -> Iterator[Any]:
        """Frames as they decode; damaged packets are passed over, a damaged file ends it."""
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
        """The frames that a packet completes; None has the decoder give what it still holds."""
        try:
            return list(self.stream.decode(packet))
        except EOFError:
            return []
        except av.FFmpegError:
            self._is_broken = True
            return []


def _moving_pictures(container: Any, path: Path) -> Any:
    """The first video stream that is no cover and no thumbnail."""
    for stream in container.streams.video:
        if not is_attached_picture(stream):
            return stream
    raise PlateError("this movie holds no pictures", path=path)
