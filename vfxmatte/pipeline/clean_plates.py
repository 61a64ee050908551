"""The clean plates of a shot: what is behind the subject, as the user has it.

A still for every frame, or a sequence or a movie with the plate's frame numbers; a movie's first
frame stands on the plate's first. They are read as the plate is, and seen as small as it is when
its motion is estimated.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from vfxmatte.colour import ColourConfig
from vfxmatte.common.wording import HAS, IS, frames_text
from vfxmatte.errors import PlateError, ShotError, VfxmatteError, own_copy
from vfxmatte.io.canvas import lay_on
from vfxmatte.io.movie_plate import MoviePlate
from vfxmatte.io.movies.movie import Movie
from vfxmatte.io.plate import Plate, PlateInfo
from vfxmatte.io.sequence import FrameSequence, find_media
from vfxmatte.io.sequence_plate import SequencePlate
from vfxmatte.io.signatures import file_signature
from vfxmatte.pipeline.proxies import proxy_of
from vfxmatte.propagation.clean_plate import Behind
from vfxmatte.types import Frame, Window, numbers_as_text

_KNOWN = 0.99  # share of a small pixel that a clean plate's data window covers
_NEAR = 12  # frames within which threads ask for them in any order


@dataclass(frozen=True)
class CleanPlates:
    """The files of a shot's clean plates."""

    media: FrameSequence | Path
    """The stills, or a movie."""
    numbers: tuple[int, ...]
    """The frames that have one, ascending; a single one serves every frame."""

    @classmethod
    def find(cls, place: Path | None, plate: PlateInfo) -> CleanPlates | None:
        """Find what a folder, a pattern or a file names; None without a place.

        Raises:
            ShotError: nothing there, more than one sequence, or none on a frame of the plate.
            PlateError: a movie that cannot be read.
        """
        if place is None:
            return None
        media = find_media(place)
        if isinstance(media, FrameSequence):
            plates = cls(media, tuple(media.numbers))
        else:
            movie = Movie(media, first_frame=plate.numbers[0])
            plates = cls(media, tuple(movie.numbers))
            movie.close()
        if not plates.is_still and not set(plates.numbers) & set(plate.numbers):
            raise ShotError(
                "no clean plate stands on a frame of the plate: they have frames "
                f"{numbers_as_text(plates.numbers)}, the plate {numbers_as_text(plate.numbers)}",
                path=plates.spec,
                hint="their frame numbers must agree; a single file serves every frame",
            )
        return plates

    @property
    def is_still(self) -> bool:
        """True if a single one serves every frame."""
        return len(self.numbers) == 1

    @property
    def spec(self) -> Path:
        """The file, or the pattern of the files."""
        if isinstance(self.media, Path):
            return self.media
        return self.media.path(self.numbers[0]) if self.is_still else Path(self.media.pattern)

    def of(self, number: int) -> int | None:
        """Return the number of a frame's clean plate; None if it has none."""
        if self.is_still:
            return self.numbers[0]
        return number if number in self.numbers else None

    def signature(self, number: int) -> str | None:
        """Return what stands for a frame's clean plate in fingerprints; None if it has none."""
        held = self.of(number)
        if held is None:
            return None
        if isinstance(self.media, Path):
            return f"{file_signature(self.media)} {held - self.numbers[0]}"
        return file_signature(self.media.path(held))

    def notes(self, numbers: Iterable[int], keyframes: Iterable[int]) -> Iterator[str]:
        """Yield which clean plates there are, which frames have none, and which are of no use."""
        where = "every frame" if self.is_still else frames_text(self.numbers)
        yield f"clean plate on {where}: {self.spec}"
        without = [number for number in numbers if self.of(number) is None]
        if without:
            yield f"{frames_text(without, HAS)} no clean plate"
        for first, last in pairwise(sorted(keyframes)):
            between = [number for number in self.numbers if first < number < last]
            if between and self.of(first) is None and self.of(last) is None:
                yield (
                    f"{frames_text(between, IS, noun='clean plate')} left out: neither keyframe "
                    f"{first} nor {last} has one, by which they could be checked"
                )


class CleanPlateReader:
    """Reads clean plates small; thread safe."""

    def __init__(
        self, files: CleanPlates, plate: PlateInfo, colour_space: str | None, colours: ColourConfig
    ) -> None:
        """Open the files.

        Args:
            plate: what they are behind.
            colour_space: theirs and the plate's; None chooses by file type.

        Raises:
            PlateError: unreadable, or of another size than the plate.
            ColourError: an unknown colour space.
        """
        self._files, self._canvas, self._colours = files, plate.canvas, colours
        self._lock = threading.Lock()
        self._kept: dict[tuple[int, tuple[int, int]], Behind | VfxmatteError] = {}
        self._plate = _opened(files, plate.numbers[0], colour_space, colours)
        self._next = files.numbers[0]
        own, window = self._plate.info.display_window, plate.display_window
        if own.shape != window.shape:
            self.close()
            raise PlateError(
                f"the clean plate is {own.width}x{own.height}, the plate "
                f"{window.width}x{window.height}",
                path=files.spec,
                hint="both must have one size and framing",
            )
        self._right, self._down = window.x_min - own.x_min, window.y_min - own.y_min

    @property
    def notes(self) -> list[str]:
        """A sentence on the clean plates that cannot be read, as far as headers tell."""
        will = (
            "cannot be read, or differs from the first one",
            "cannot be read, or differ from the first one",
        )
        unreadable = self._plate.info.unreadable
        return [frames_text(unreadable, will, noun="clean plate")] if unreadable else []

    def close(self) -> None:
        """Close a movie."""
        self._plate.close()

    def read(self, number: int, size: tuple[int, int]) -> Behind | None:
        """Read a frame's clean plate at a size (h, w); None if it has none.

        Raises:
            PlateError: it cannot be read.
        """
        held = self._files.of(number)
        if held is None:
            return None
        with self._lock:
            if (held, size) not in self._kept:
                self._read_up_to(held, size)
            plate = self._kept[held, size]
        if isinstance(plate, VfxmatteError):
            error = cast(VfxmatteError, own_copy(plate))
            error.frame = number
            raise error
        return plate

    def _read_up_to(self, held: int, size: tuple[int, int]) -> None:
        """Read one; of a movie also those shortly before it, which are asked for soon."""
        is_movie = isinstance(self._plate, MoviePlate)
        is_near = is_movie and self._next <= held < self._next + _NEAR
        for number in range(self._next if is_near else held, held + 1):
            self._kept[number, size] = self._tried(number, size)
        self._next = held + 1
        while len(self._kept) > 2 * _NEAR:
            del self._kept[next(iter(self._kept))]

    def _tried(self, held: int, size: tuple[int, int]) -> Behind | VfxmatteError:
        try:
            return self._behind(self._plate.read(held), size)
        except VfxmatteError as error:
            return error

    def _behind(self, frame: Frame, size: tuple[int, int]) -> Behind:
        pixels = lay_on(frame.pixels, self._moved(frame.canvas), self._canvas)
        laid = replace(frame, pixels=pixels, canvas=self._canvas)
        data = self._moved(frame.data_window)
        covered = lay_on(np.ones(data.shape, np.float32), data, self._canvas)
        is_known = cv2.resize(covered, size[::-1], interpolation=cv2.INTER_AREA) > _KNOWN
        return Behind(proxy_of(laid, size, self._colours), np.asarray(is_known, bool))

    def _moved(self, window: Window) -> Window:
        """Return where a clean plate's window lies under the plate: their frames are one."""
        return Window(
            x_min=window.x_min + self._right,
            y_min=window.y_min + self._down,
            x_max=window.x_max + self._right,
            y_max=window.y_max + self._down,
        )


def _opened(
    files: CleanPlates, first: int, colour_space: str | None, colours: ColourConfig
) -> Plate:
    spec = str(files.spec)
    if isinstance(files.media, Path):
        return MoviePlate(spec, Movie(files.media, first_frame=first), colour_space, colours)
    return SequencePlate(spec, files.media, None, None, colour_space, colours)
