"""A plate that is a movie."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from vfxmatte.colour import ColourConfig, ColourTags
from vfxmatte.errors import VfxmatteError
from vfxmatte.io.movies.movie import Movie
from vfxmatte.io.movies.notes import colour_notes
from vfxmatte.io.plate import FrameOrError, Plate, PlateInfo, chosen_colour
from vfxmatte.io.signatures import file_signature
from vfxmatte.io.stills.attributes import notes_of
from vfxmatte.types import FloatImage, Frame, Window


class MoviePlate(Plate):
    """A movie, decoded in ascending order; a jump seeks."""

    def __init__(
        self, spec: str, movie: Movie, colour_space: str | None, config: ColourConfig
    ) -> None:
        self.movie = movie
        transfer = movie.info.transfer
        kind: Literal["float", "movie"] = (
            "float" if movie.info.is_float and transfer is None else "movie"
        )
        tags = ColourTags(kind=kind, path=movie.path, transfer=transfer)
        choice = chosen_colour(tags, colour_space, config)
        notes = () if colour_space else colour_notes(transfer, movie.info.primaries, choice.name)
        second = movie.numbers[: math.ceil(movie.info.fps)]
        window = Window.of_size(movie.info.width, movie.info.height)
        self.info = PlateInfo(
            spec=spec,
            kind="movie",
            numbers=tuple(movie.numbers),
            padding=4,
            canvas=window,
            display_window=window,
            pixel_aspect=float(movie.info.pixel_aspect),
            fps=movie.info.fps,
            colour_space=choice.name,
            colour_reason=choice.reason,
            description=movie.info.description,
            bits=movie.info.bits,
            notes=(
                *movie.info.notes,
                *notes,
                *notes_of(movie.metadata(number) for number in second),
            ),
        )

    def read(self, number: int) -> Frame:
        return self._frame(number, self.movie.read(number))

    def frames(
        self, numbers: Iterable[int], *, workers: int = 2
    ) -> Iterator[tuple[int, FrameOrError]]:
        for number, picture in self.movie.pictures(sorted(numbers), workers=workers):
            if isinstance(picture, VfxmatteError):
                yield number, picture
            else:
                yield number, self._frame(number, picture)

    def signature(self, number: int) -> str:
        return file_signature(self.movie.path)

    def path(self, number: int) -> Path:
        return self.movie.path

    def close(self) -> None:
        self.movie.close()

    def _frame(self, number: int, pixels: FloatImage) -> Frame:
        return Frame(
            number=number,
            pixels=pixels,
            canvas=self.info.canvas,
            data_window=self.info.canvas,
            display_window=self.info.canvas,
            colour_space=self.info.colour_space,
            pixel_aspect=self.info.pixel_aspect,
            metadata=self.movie.metadata(number),
            path=self.movie.path,
        )
