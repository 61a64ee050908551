"""Read movies through PyAV: frames by number, in full precision, with the right matrix and range.

Y'CbCr is converted in floats here, not by FFmpeg's scaler: values beyond legal range stay below 0
and above 1. Frames are counted as players show them: what an edit list hides has no number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vfxmatte.common.parallel import ordered_map
from vfxmatte.errors import MissingFrameError, OutputError, PlateError, VfxmatteError
from vfxmatte.io.movies.decoder import Decoder
from vfxmatte.io.movies.frame_count import FrameCount, frames_of
from vfxmatte.io.movies.notes import movie_notes
from vfxmatte.io.movies.pixel_formats import layout_of
from vfxmatte.io.movies.quicktime import QuickTime
from vfxmatte.io.movies.tags import PRIMARIES, TRANSFERS, MovieTags, timecode_of
from vfxmatte.io.movies.yuv import Encoding, alpha_of, picture_of
from vfxmatte.io.rates import frame_rate
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.io.timecode import advance_timecode, recounted, valid_timecode
from vfxmatte.types import FloatImage


@dataclass(frozen=True, kw_only=True)
class MovieInfo:
    """Properties of a movie by FFmpeg's names; None where it is not tagged."""

    width: int
    height: int
    count: int
    fps: Fraction
    pixel_aspect: Fraction
    codec: str
    pixel_format: str
    encoding: Encoding
    transfer: str | None
    primaries: str | None
    timecode: str | None
    is_float: bool = False
    """Its values are floats, like an EXR's."""
    bits: int | None = None
    """Bits per value; None for floats."""
    notes: tuple[str, ...] = ()
    """What is ignored or left out, a sentence each, see `PlateInfo`."""

    @property
    def description(self) -> str:
        fps = f"{float(self.fps):.3f}".rstrip("0").rstrip(".")
        return f"{self.codec} {self.pixel_format}, {self.encoding.description}, {fps} fps"


class Movie:
    """An open movie with frame numbers from `first_frame`; not thread safe.

    Raises PlateError: unreadable, no picture in it, variable frame rate, an unknown pixel format.
    """

    def __init__(self, path: str | Path, *, first_frame: int = 1) -> None:
        self.path = Path(path)
        self.first_frame = first_frame
        self._decoder = Decoder(self.path)
        try:
            self.info = self._inspect()
        except VfxmatteError as error:
            self.close()
            raise error.at(path=self.path) from error.__cause__
        except BaseException:
            self.close()
            raise

    @property
    def numbers(self) -> range:
        return range(self.first_frame, self.first_frame + self.info.count)

    def read(self, number: int) -> FloatImage:
        """Read (H, W, 3) float32; raises MissingFrameError or PlateError."""
        return self._picture(number, self._decode(number))

    def read_with_alpha(self, number: int) -> tuple[FloatImage, FloatImage | None]:
        """Read the same, and (H, W) float32 alpha; None for a movie without."""
        frame = self._decode(number)
        return self._picture(number, frame), alpha_of(frame)

    def pictures(
        self, numbers: Iterable[int], *, workers: int = 2
    ) -> Iterator[tuple[int, FloatImage | VfxmatteError]]:
        """Yield (number, picture or error) in the order given; convert in parallel."""

        def attempt(number: int, step: Callable[..., Any], *frame: Any) -> tuple[int, Any]:
            try:
                return number, step(number, *frame)
            except VfxmatteError as error:
                return number, error

        def convert(item: tuple[int, Any]) -> tuple[int, Any]:
            number, frame = item
            failed = isinstance(frame, VfxmatteError)
            return item if failed else attempt(number, self._picture, frame)

        decoded = (attempt(number, self._decode) for number in numbers)
        return ordered_map(convert, decoded, workers=workers)

    def metadata(self, number: int) -> Mapping[str, Any]:
        """Return attributes for files made from this frame: framesPerSecond, timeCode as text."""
        attributes: dict[str, Any] = {"framesPerSecond": self.info.fps}
        if self.info.timecode:
            index = number - self.first_frame
            attributes["timeCode"] = advance_timecode(self.info.timecode, index, self.info.fps)
        return attributes

    def close(self) -> None:
        self._decoder.close()

    def _inspect(self) -> MovieInfo:
        tags = MovieTags.of(self._decoder.stream)  # before anything is decoded
        rate = frames_of(self._decoder.container, self._decoder.stream, self.path)
        first = self._decoder.first(rate.fps)
        if first is None:
            raise PlateError(
                "no frame of this movie can be decoded",
                hint="it may be incomplete: copy or export it again",
            )
        return _describe(self._decoder, first, tags, rate)

    def _picture(self, number: int, frame: Any) -> FloatImage:
        encoding = self.info.encoding
        try:
            if frame.format.name != self.info.pixel_format:
                encoding = Encoding.of(frame)
            return picture_of(frame, encoding)
        except VfxmatteError as error:
            raise error.at(frame=number, path=self.path) from error.__cause__

    def _decode(self, number: int) -> Any:
        if number not in self.numbers:
            raise self._missing(number)
        frame = self._decoder.frame(number - self.first_frame)
        if frame is None:
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

    def _missing(self, number: int) -> MissingFrameError:
        first, last = self.numbers[0], self.numbers[-1]
        return MissingFrameError(
            "the movie has no such frame",
            frame=number,
            path=self.path,
            hint=f"its frames are {first}-{last}",
        )


def _describe(decoder: Decoder, frame: Any, tags: MovieTags, rate: FrameCount) -> MovieInfo:
    """Collect the properties of the container, the stream and the first frame."""
    container, stream = decoder.container, decoder.stream
    context, layout = stream.codec_context, layout_of(frame.format.name)
    encoding = Encoding.of(frame, matrix_tag=tags.matrix, range_tag=tags.range)
    timecode, notes = _timecode(decoder, rate.fps), movie_notes(container, stream, frame)
    if rate.lacking:
        notes += (f"the movie's file ends too early: {rate.lacking} of its frames are missing",)
    if timecode and not valid_timecode(timecode, rate.fps):
        notes += (f"time code {timecode} cannot be counted at this rate: it is not carried",)
    aspect = stream.sample_aspect_ratio or context.sample_aspect_ratio
    return MovieInfo(
        width=frame.width,
        height=frame.height,
        count=rate.count,
        fps=rate.fps,
        pixel_aspect=Fraction(aspect or 1) or Fraction(1),
        codec=f"{context.name} {context.profile or ''}".strip(),
        pixel_format=frame.format.name,
        encoding=encoding,
        transfer=TRANSFERS.get(int(frame.color_trc)) or TRANSFERS.get(tags.transfer),
        primaries=PRIMARIES.get(int(frame.color_primaries)) or PRIMARIES.get(tags.primaries),
        timecode=valid_timecode(timecode, rate.fps),
        is_float=layout is not None and layout.is_float,
        bits=None if layout is not None and layout.is_float else frame.format.components[0].bits,
        notes=notes,
    )


def _timecode(decoder: Decoder, fps: Fraction) -> str | None:
    """Return the first visible frame's time code, counted in the movie's frames."""
    text = timecode_of(decoder.container, decoder.stream)
    track = QuickTime.read(decoder.path).first("tmcd") if text else None
    if text is None or track is None:
        return text
    text = recounted(text, track.timecode_rate, fps)
    hidden = round(track.hidden_seconds * fps)
    return advance_timecode(text, hidden, fps) if valid_timecode(text, fps) else text


def write_prores(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: Fraction | float,
    *,
    timecode: str | None = None,
    pixel_aspect: float = 1.0,
) -> Path:
    """Write ProRes 4444 with alpha, atomically.

    Args:
        frames: (H, W, 4) float32 RGBA, 0 to 1, Rec.709-encoded.
        timecode: of the first frame, `01:00:00:00`.
        pixel_aspect: width of a pixel for a height of 1.
    Raises:
        OutputError: it cannot be written; no file is left then.
    """
    path = Path(path)
    aspect = Fraction(pixel_aspect).limit_denominator(10_000)
    with renamed_when_whole(path) as temporary:
        try:
            _encode_prores(temporary, frames, frame_rate(fps), timecode, aspect)
        except (av.FFmpegError, OSError) as error:
            raise OutputError(f"cannot write the movie: {error}", path=path) from error
    return path


def _encode_prores(
    path: Path,
    frames: Iterable[np.ndarray],
    fps: Fraction,
    timecode: str | None,
    pixel_aspect: Fraction,
) -> None:
    with av.open(str(path), "w", format="mov") as container:
        stream: Any = None
        for rgba in frames:
            if stream is None:
                stream = _prores_stream(container, rgba.shape[1], rgba.shape[0], fps)
                stream.codec_context.sample_aspect_ratio = pixel_aspect
                if timecode:
                    stream.metadata["timecode"] = timecode
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
