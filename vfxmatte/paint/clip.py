"""The shot folder of a movie that has none yet: made beside it, the movie linked into it."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from vfxmatte.errors import OutputError, ShotError
from vfxmatte.io.sequence import is_movie
from vfxmatte.pipeline.shot_folder import PLATE_FOLDER, TRIMAP_FOLDER


def shot_folder_of(movie: Path) -> tuple[Path, bool]:
    """Return the shot folder of a movie, `clip/` for `clip.mov`, and whether it was made just now.

    The folder holds a link to the movie as its plate; where the disk knows no links, a copy.

    Raises:
        ShotError: no such movie, or the folder exists and belongs to something else.
        OutputError: the folder cannot be written.
    """
    if not movie.is_file() or not is_movie(movie):
        raise ShotError("this is neither a shot folder nor a movie", path=movie)
    folder, plate = movie.with_suffix(""), f"{PLATE_FOLDER}{movie.suffix.lower()}"
    if folder.exists():
        with suppress(OSError):
            if (folder / plate).samefile(movie) or _is_copy(folder / plate, movie):
                return folder, False
        raise ShotError(
            "the movie's shot folder would be made here, and there is something else already",
            path=folder,
            hint="move it away, or put the movie into a shot folder yourself as plate.mov",
        )
    try:
        (folder / TRIMAP_FOLDER).mkdir(parents=True)
        _link(movie, folder / plate)
    except OSError as error:
        raise OutputError(
            f"the movie's shot folder cannot be made: {error.strerror or error}",
            path=folder,
            hint="copy the movie to a folder that you may write to",
        ) from error
    return folder, True


def _link(movie: Path, plate: Path) -> None:
    for link in (_link_symbolically, os.link, shutil.copy2):
        with suppress(OSError):
            link(movie, plate)
            return
    shutil.copy2(movie, plate)  # raises the reason


def _link_symbolically(movie: Path, plate: Path) -> None:
    plate.symlink_to(Path("..") / movie.name)


def _is_copy(plate: Path, movie: Path) -> bool:
    copied, original = plate.stat(), movie.stat()
    return (copied.st_size, int(copied.st_mtime)) == (original.st_size, int(original.st_mtime))
