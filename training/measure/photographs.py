"""Folders of pictures with trimaps and true alphas: `input/`, `alpha/`, `trimap*/`.

The layout of the alpha matting benchmark (Rhemann et al. 2009): files of the same name in each
folder; each folder whose name starts with `trimap` is a set of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.elements.read_element import read_encoded
from training.measure.samples import Sample
from vfxmatte.errors import TrainingError
from vfxmatte.trimaps import labels_from_image
from vfxmatte.types import FloatImage


def is_photograph_folder(folder: Path) -> bool:
    """Return True if `folder` has the layout that `photographs` reads."""
    return (folder / "input").is_dir() and (folder / "alpha").is_dir() and bool(_trimaps(folder))


def trimap_folders(folder: Path) -> tuple[str, ...]:
    """Return the names of the folders of trimaps, sorted."""
    return tuple(path.name for path in _trimaps(folder))


def photographs(folder: Path, trimaps: str) -> Iterator[Sample]:
    """Read each picture of `folder`/input with its alpha and its trimap of the folder `trimaps`.

    Raises:
        TrainingError: an alpha or trimap is missing or of another size.
        PlateError: a file cannot be read.
    """
    from vfxmatte.io.sequence import is_hidden, is_image
    from vfxmatte.io.stills.reading import read_image

    pictures = [p for p in sorted((folder / "input").iterdir()) if is_image(p.name)]
    for path in (p for p in pictures if not is_hidden(p.name)):
        trimap = read_image(_partner(folder / trimaps, path))
        yield Sample(
            name=path.stem,
            kind="photograph",
            image=read_encoded(path),
            labels=labels_from_image(trimap.pixels),
            truth=read_alpha(_partner(folder / "alpha", path)),
        )


def read_alpha(path: Path) -> FloatImage:
    """Read a matte (H, W) float32 in [0, 1] from a file's alpha channel, else its first channel."""
    from vfxmatte.io.stills.reading import read_image

    image = read_image(path)
    plane = image.pixels[..., 0] if image.alpha is None else image.alpha
    return np.clip(np.nan_to_num(plane), 0, 1).astype(np.float32)


def _trimaps(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("trimap*") if path.is_dir())


def _partner(folder: Path, picture: Path) -> Path:
    paths = sorted(p for p in folder.glob(f"{picture.stem}.*") if p.stem == picture.stem)
    if not paths:
        raise TrainingError(
            f"there is no {folder.name} for {picture.name}", path=folder / picture.name
        )
    return paths[0]
