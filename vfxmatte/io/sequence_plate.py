"""A plate that is a sequence of stills, or one still.

A frame that cannot be read, or does not match the others, fails alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from vfxmatte.colour import ColourConfig, ColourTags
from vfxmatte.common.parallel import ordered_map
from vfxmatte.errors import PlateError, VfxmatteError, as_foreseen
from vfxmatte.io.canvas import canvas_of, display_problem, lay_on
from vfxmatte.io.plate import FrameOrError, Plate, PlateInfo, chosen_colour
from vfxmatte.io.rates import known_rate
from vfxmatte.io.sequence import FrameSequence
from vfxmatte.io.signatures import file_signature
from vfxmatte.io.stills.attributes import notes_of
from vfxmatte.io.stills.image import Image, ImageHeader
from vfxmatte.io.stills.reading import read_header, read_pixels
from vfxmatte.types import Frame, Window

_SCAN_WORKERS = 8  # headers are small: most of the time is storage latency
_REASONS = 3  # unreadable frames whose reason is a note


class SequencePlate(Plate):
    """A sequence of stills, or one still. Opening it reads all headers in parallel."""

    def __init__(
        self,
        spec: str,
        sequence: FrameSequence,
        layer: str | None,
        part: int | str | None,
        colour_space: str | None,
        config: ColourConfig,
    ) -> None:
        self.sequence = sequence
        self._layer, self._part = layer, part
        headers = self._scan()
        self._first = _first_header(headers)
        alike = _like_the_first(headers, self._first)
        canvas, self._far = canvas_of(alike, self._first.display_window)
        good = {number: header for number, header in alike.items() if number not in self._far}
        if not good:
            number, problem = next(iter(self._far.items()))
            raise PlateError(problem, frame=number, path=alike[number].path)
        bad = {n: self._problem(header) for n, header in headers.items() if n not in good}
        self.info = _sequence_info(spec, sequence, good, canvas, {**bad, **self._far})
        choice = chosen_colour(_still_tags(self._first), colour_space, config)
        self.info = replace(self.info, colour_space=choice.name, colour_reason=choice.reason)

    def read(self, number: int) -> Frame:
        path = self.sequence.existing_path(number)
        try:
            header = self._header(path)
            self._check(number, header)
            return self._frame(number, Image(header=header, pixels=read_pixels(header)))
        except VfxmatteError as error:
            raise error.at(frame=number, path=path) from error.__cause__

    def frames(
        self, numbers: Iterable[int], *, workers: int = 2
    ) -> Iterator[tuple[int, FrameOrError]]:
        return ordered_map(self._try, numbers, workers=workers)

    def signature(self, number: int) -> str:
        return file_signature(self.path(number))

    def path(self, number: int) -> Path:
        return self.sequence.path(number)

    def _try(self, number: int) -> tuple[int, FrameOrError]:
        try:
            return number, self.read(number)
        except Exception as error:  # any error fails this frame alone
            return number, as_foreseen(error).at(frame=number, path=self.path(number))

    def _header(self, path: Path) -> ImageHeader:
        return read_header(path, layer=self._layer, part=self._part)

    def _scan(self) -> dict[int, ImageHeader | VfxmatteError]:
        def scan(number: int) -> ImageHeader | VfxmatteError:
            try:
                return self._header(self.path(number))
            except Exception as error:  # any error fails this frame alone
                return as_foreseen(error).at(frame=number, path=self.path(number))

        numbers = self.sequence.numbers
        headers = ordered_map(scan, numbers, workers=min(_SCAN_WORKERS, len(numbers)))
        return dict(zip(numbers, headers, strict=True))

    def _problem(self, header: ImageHeader | VfxmatteError) -> str:
        """Explain by its header why a frame will fail."""
        if isinstance(header, VfxmatteError):
            return header.what
        return _difference(header, self._first) or ""

    def _check(self, number: int, header: ImageHeader) -> None:
        difference = _difference(header, self._first)
        if difference is None and not self.info.canvas.contains(header.data_window):
            difference = self._far.get(number, "the file changed after the plate was opened")
        if difference:
            raise PlateError(
                f"this frame does not match the plate: {difference}",
                hint=f"the plate is as in {self._first.path.name}",
            )

    def _frame(self, number: int, image: Image) -> Frame:
        header = image.header
        return Frame(
            number=number,
            pixels=lay_on(image.colour, header.data_window, self.info.canvas),
            canvas=self.info.canvas,
            data_window=header.data_window,
            display_window=header.display_window,
            colour_space=self.info.colour_space,
            pixel_aspect=header.pixel_aspect,
            metadata=header.metadata,
            path=header.path,
        )


def _first_header(headers: dict[int, ImageHeader | VfxmatteError]) -> ImageHeader:
    """Return the first usable header; raises the first error if there is none."""
    for number, header in headers.items():
        if isinstance(header, ImageHeader):
            problem = display_problem(header.display_window)
            if not problem:
                return header
            headers[number] = PlateError(problem, frame=number, path=header.path)
    raise next(error for error in headers.values() if isinstance(error, VfxmatteError))


def _like_the_first(
    headers: dict[int, ImageHeader | VfxmatteError], first: ImageHeader
) -> dict[int, ImageHeader]:
    return {
        number: header
        for number, header in headers.items()
        if isinstance(header, ImageHeader) and _difference(header, first) is None
    }


def _difference(header: ImageHeader, first: ImageHeader) -> str | None:
    """Describe how a frame's header differs from the first one's, or return None.

    An alpha channel makes no difference: it is not used.
    """
    if header.display_window != first.display_window:
        return (
            f"it changes size: expected {_size(first.display_window)}, "
            f"found {_size(header.display_window)}"
        )
    expected, actual = (" ".join(h.colour_channels) for h in (first, header))
    if actual.upper() != expected.upper():
        return f"it changes channels: expected {expected}, found {actual}"
    return None


def _size(window: Window) -> str:
    return f"{window.width}×{window.height} {window}"


def _sequence_info(
    spec: str,
    sequence: FrameSequence,
    good: Mapping[int, ImageHeader],
    canvas: Window,
    bad: Mapping[int, str],
) -> PlateInfo:
    """Collect a sequence's properties from `good` headers and the reasons of `bad` frames."""
    first = next(iter(good.values()))
    metadata = first.metadata
    notes = [f"frame {number}: {problem}" for number, problem in sorted(bad.items())[:_REASONS]]
    notes += dict.fromkeys(note for header in good.values() for note in header.notes)
    return PlateInfo(
        spec=spec,
        kind="sequence",
        numbers=sequence.numbers,
        padding=sequence.padding,
        canvas=canvas,
        display_window=first.display_window,
        pixel_aspect=first.pixel_aspect,
        fps=known_rate(metadata.get("framesPerSecond", metadata.get("FramesPerSecond"))),
        colour_space="",
        colour_reason="",
        description=first.description,
        bits=None if first.is_float else first.bits,
        unreadable=tuple(sorted(bad)),
        notes=(*notes, *notes_of(header.metadata for header in good.values())),
    )


def _still_tags(header: ImageHeader) -> ColourTags:
    metadata = header.metadata
    texts = {key: value for key, value in metadata.items() if isinstance(value, str)}
    if header.file_type in ("DPX", "CINEON"):
        return ColourTags(kind="log", path=header.path, transfer=texts.get("dpx:Transfer"))
    primaries = metadata.get("chromaticities")
    known = header.is_float and isinstance(primaries, (tuple, list)) and len(primaries) == 8
    return ColourTags(
        kind="float" if header.is_float else "display",
        path=header.path,
        chromaticities=primaries if known else None,
        interop_id=texts.get("colorInteropID"),
    )
