"""The folder of a shot: the names of what lies in it, its plate and its settings.

shot/plate/  (an image sequence or a movie)  or  shot/plate.mov
shot/trimaps/NAME.FRAME.ext                  painted keyframes
shot/keys/NAME.FRAME.ext                     finished mattes, which are keyframes too
shot/garbage/, shot/core/                    mattes that limit alpha, see `limits`
shot/cleanplate/                             what is behind the subject
shot/shot.toml                               optional settings, see `settings.RunSettings`
shot/matte/                                  results
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vfxmatte.common.configuration import changed, read_toml
from vfxmatte.errors import ShotError
from vfxmatte.io.sequence import is_hidden, is_movie
from vfxmatte.pipeline.settings import RunSettings

PLATE_FOLDER = "plate"
TRIMAP_FOLDER = "trimaps"
MATTE_FOLDER = "matte"
SETTINGS_FILE = "shot.toml"
SIDE_FOLDERS = ("keys", "garbage", "core", "cleanplate")
"""Folders of a shot beside plate and trimaps; settings of the same names win over them."""
SHARED_FOLDERS = ("cleanplate",)
"""The folders that all subjects share; the others hold a folder for each of several."""


def plate_folder(plate: Path) -> Path | None:
    """Return the folder that must hold nothing but the plate; None for a movie file."""
    if plate.is_dir():
        return plate
    return None if is_movie(plate) else plate.parent


def find_plate(folder: Path) -> Path:
    """Return `plate/`, or a movie called `plate`; raises ShotError."""
    candidates = sorted(
        p
        for p in folder.iterdir()
        if not is_hidden(p.name)
        and ((p.is_dir() and p.name == PLATE_FOLDER) or (p.stem == PLATE_FOLDER and is_movie(p)))
    )
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        names = " and ".join(p.name for p in candidates)
        raise ShotError(f"the shot has more than one plate: {names}", hint="keep one of them")
    raise ShotError(
        "the shot has no plate",
        path=folder / PLATE_FOLDER,
        hint="put an image sequence or a movie into plate/, or a movie beside it as plate.mov",
    )


def side_folders(folder: Path | None) -> dict[str, Path]:
    """Return those of `SIDE_FOLDERS` that a shot's folder has and that are not empty, by name."""
    if folder is None:
        return {}
    places = {name: folder / name for name in SIDE_FOLDERS}
    return {name: place for name, place in places.items() if _holds_files(place)}


def empty_folders(folder: Path | None) -> tuple[Path, ...]:
    """Return those of `SIDE_FOLDERS` that a shot's folder has and that are empty."""
    places = [] if folder is None else [folder / name for name in SIDE_FOLDERS]
    return tuple(place for place in places if place.is_dir() and not _holds_files(place))


def _holds_files(place: Path) -> bool:
    return place.is_dir() and any(not is_hidden(path.name) for path in place.iterdir())


def read_settings(path: Path) -> RunSettings:
    """Read shot.toml; without one, return the defaults.

    The places of `SIDE_FOLDERS` are named in it relative to its folder.

    Raises:
        ShotError: it cannot be read.
        UsageError: an invalid setting.
    """
    if not path.is_file():
        return RunSettings()
    settings = changed(RunSettings(), read_toml(path, ShotError), path=path)
    places = {name: getattr(settings, name) for name in SIDE_FOLDERS}
    return replace(settings, **{n: path.parent / place for n, place in places.items() if place})
