"""Libraries of photographs with mattes: a folder of images and one of mattes of the same names.

Colours along a photograph's edge already hold the background, so it is not an element to lay over
another one. Readers of picture files are imported when used: a pack is trained on without them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training.course.settings import MattedConfig
from training.elements.split import draw_held_out
from vfxmatte.errors import TrainingError
from vfxmatte.types import FloatImage

HELD_OUT = "held_out.txt"
"""A file beside the two folders with the names of the held-out pictures, one per line."""

_GREY_TOLERANCE = 4 / 255  # between the channels of a grey JPEG
_LEAST_ALPHA = 1 / 255  # less counts as empty


@dataclass(frozen=True, kw_only=True)
class MattedFile:
    """A picture and its matte."""

    name: str
    """The name of both, without suffix."""
    image: Path
    matte: Path


@dataclass(frozen=True, kw_only=True)
class MattedSet:
    """The pictures of a library in the order of their names, and the names held out."""

    folder: Path
    files: tuple[MattedFile, ...]
    held_out: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Return True if there are no pictures."""
        return not self.files

    def evenly(self, most: int | None) -> MattedSet:
        """Return at most `most` files, evenly spaced; None returns all."""
        if most is None or len(self.files) <= most:
            return self
        chosen = [n * len(self.files) // most for n in range(most)]
        return replace(self, files=tuple(self.files[n] for n in chosen))

    def training(self) -> MattedSet:
        """Return the part that is trained on."""
        files = tuple(f for f in self.files if f.name not in self.held_out)
        return replace(self, files=files, held_out=frozenset())

    def validation(self) -> MattedSet:
        """Return the held-out part."""
        files = tuple(f for f in self.files if f.name in self.held_out)
        return replace(self, files=files)


def open_matted(folder: str | Path, config: MattedConfig) -> MattedSet:
    """List a folder's pictures with their mattes, split; the pictures stay unread.

    Raises:
        TrainingError: a folder is missing or empty, a picture has no matte or a matte no picture,
            two have one name, or held_out.txt names a missing picture.
    """
    folder = Path(folder)
    images = _by_name(folder / config.images, config)
    mattes = _by_name(folder / config.mattes, config)
    for name, path in images.items():
        if name not in mattes:
            raise _alone(path, "matte", folder / config.mattes / name)
    for name, path in mattes.items():
        if name not in images:
            raise _alone(path, "picture", folder / config.images / name)
    files = tuple(
        MattedFile(name=name, image=path, matte=mattes[name]) for name, path in images.items()
    )
    return MattedSet(folder=folder, files=files, held_out=_held_out(folder, files, config))


def _alone(path: Path, partner: str, expected: Path) -> TrainingError:
    return TrainingError(
        f"there is no {partner} for this file",
        path=path,
        hint=f"expected {expected}.*; add it or move this file away",
    )


def _by_name(folder: Path, config: MattedConfig) -> dict[str, Path]:
    from training.elements.library import visible_images

    if not folder.is_dir():
        raise TrainingError(
            "there is no such folder",
            path=folder,
            hint=f"the library needs {config.images}/ and {config.mattes}/; other names: "
            "--set matted.images=NAME --set matted.mattes=NAME",
        )
    paths: dict[str, Path] = {}
    for path in visible_images(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in paths:
            raise TrainingError(
                f"two files have the name {name}: {paths[name].name} and {path.name}",
                path=path,
                hint="move one of them away",
            )
        paths[name] = path
    if not paths:
        raise TrainingError("the folder has no pictures", path=folder)
    return paths


def _held_out(folder: Path, files: tuple[MattedFile, ...], config: MattedConfig) -> frozenset[str]:
    names = {file.name for file in files}
    listed = folder / HELD_OUT
    if not listed.is_file():
        groups = [(name, "picture") for name in sorted(names)]
        return frozenset(draw_held_out(groups, share=config.held_out, seed=config.split_seed))
    try:
        lines = [line.strip() for line in listed.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"the split cannot be read: {error}", path=listed) from error
    held_out = {line for line in lines if line and not line.startswith("#")}
    if missing := held_out - names:
        raise TrainingError(f"there is no picture {min(missing)!r} to hold out", path=listed)
    if held_out == names:
        raise TrainingError("every picture is held out: there is nothing to train on", path=listed)
    return frozenset(held_out)


def read_matted(file: MattedFile) -> tuple[FloatImage, FloatImage]:
    """Read a picture (H, W, 3) float32, network-encoded, and its alpha (H, W) float32 in [0, 1].

    Raises:
        PlateError: a file cannot be read.
        TrainingError: the matte is not grey, empty, opaque or of another size.
    """
    from training.elements.read_element import read_encoded

    colour = read_encoded(file.image)
    alpha = _alpha(file)
    if alpha.shape != colour.shape[:2]:
        height, width = colour.shape[:2]
        raise TrainingError(
            f"the matte is {alpha.shape[1]}×{alpha.shape[0]} px, its picture {width}×{height} px",
            path=file.matte,
            hint=f"the picture is {file.image}",
        )
    return np.nan_to_num(colour), alpha


def _alpha(file: MattedFile) -> FloatImage:
    """Read the alpha channel of a file that has one, else its grey."""
    from vfxmatte.io.stills.reading import read_image

    matte = read_image(file.matte)
    alpha = matte.alpha
    if alpha is None or bool((alpha >= 1).all()):
        alpha = matte.colour[..., 0]
        away = float(np.ptp(matte.colour, axis=2).max())
        if away > _GREY_TOLERANCE:
            raise TrainingError(
                f"the matte is not grey: its channels differ by up to {away:.2f}",
                path=file.matte,
                hint="a matte is a grey picture, or one with an alpha channel",
            )
    alpha = np.clip(np.nan_to_num(alpha), 0, 1).astype(np.float32)
    if alpha.max() < _LEAST_ALPHA or alpha.min() > 1 - _LEAST_ALPHA:
        what = "empty" if alpha.max() < _LEAST_ALPHA else "opaque everywhere"
        raise TrainingError(
            f"the matte is {what}: there is no edge to learn from",
            path=file.matte,
            hint="move it and its picture away",
        )
    return alpha
