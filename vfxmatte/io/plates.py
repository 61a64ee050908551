"""Open plates: sequences, stills or movies."""

from __future__ import annotations

from pathlib import Path

from vfxmatte.colour import ColourConfig
from vfxmatte.io.movie_plate import MoviePlate
from vfxmatte.io.movies.movie import Movie
from vfxmatte.io.plate import Plate
from vfxmatte.io.sequence import find_media
from vfxmatte.io.sequence_plate import SequencePlate


def open_plate(
    spec: str | Path,
    *,
    layer: str | None = None,
    part: int | str | None = None,
    colour_space: str | None = None,
    first_frame: int = 1,
    config: ColourConfig | None = None,
) -> Plate:
    """Open the plate that a folder, file pattern, still or movie names.

    Args:
        layer, part: of an EXR; by default those with a picture.
        colour_space: a name, alias or role of the configuration; None chooses by type and tags.
        first_frame: the number of a movie's first frame.
        config: None loads $OCIO or the built-in ACES configuration.
    Raises:
        ShotError: no plate, or more than one.
        PlateError: no frame can be read.
        ColourError: an unknown colour space.
    """
    colours = config or ColourConfig.load()
    media = find_media(spec)
    if isinstance(media, Path):
        return MoviePlate(str(spec), Movie(media, first_frame=first_frame), colour_space, colours)
    return SequencePlate(str(spec), media, layer, part, colour_space, colours)
