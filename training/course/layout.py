"""A folder of images and a folder of mattes of the same names: which belong together, which are
held out, and what each file holds.

A picture with its matte is a finished photograph: its colours along the edge already hold the
background, so it is not an element to lay over another one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from training.course.settings import MattedConfig
from training.elements.split import draw_held_out
from vfxmatte.colour import encode_for_network
from vfxmatte.errors import TrainingError
from vfxmatte.types import FloatImage

HELD_OUT = "held_out.txt"
"""Beside the two folders: a name a line, what is tested on and never trained on."""

_GREY_TOLERANCE = 4 / 255  # what a JPEG makes of grey
_LEAST_ALPHA = 1 / 255


@dataclass(frozen=True, kw_only=True)
class MattedFile:
    """A picture and its matte. name: what both are called, without suffix."""

    name: str
    image: Path
    matte: Path


@dataclass(frozen=True, kw_only=True)
class MattedSet:
    """The pictures of a library, in the order of their names, and those that are held out."""

    folder: Path
    files: tuple[MattedFile, ...]
    held_out: frozenset[str] = frozenset()

    @property
    def is_empty(self) -> bool:
        return not self.files

    def evenly(self, most: int | None) -> MattedSet:
        """At most so many of the files, evenly taken; None: all."""
        if most is None or len(self.files) <= most:
            return self
        chosen = [n * len(self.files) // most for n in range(most)]
        return replace(self, files=tuple(self.files[n] for n in chosen))

    def training(self) -> MattedSet:
        """The part that is trained on."""
        files = tuple(f for f in self.files if f.name not in self.held_out)
        return replace(self, files=files, held_out=frozenset())

    def validation(self) -> MattedSet:
        """The part that is tested on."""
        files = tuple(f for f in self.files if f.name in self.held_out)
        return replace(self, files=files)


def open_matted(folder: str | Path, config: MattedConfig) -> MattedSet:
    """The pictures of a folder with their mattes, split. Opens no picture.

    Raises TrainingError where a folder is missing or empty, a picture has no matte or a matte no
    picture, two have one name, or held_out.txt names what is not there.
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
    found: dict[str, Path] = {}
    for path in visible_images(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise TrainingError(
                f"two files have the name {name}: {found[name].name} and {path.name}",
                path=path,
                hint="move one of them away",
            )
        found[name] = path
    if not found:
        raise TrainingError("the folder has no pictures", path=folder)
    return found


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
    wanted = {line for line in lines if line and not line.startswith("#")}
    if missing := wanted - names:
        raise TrainingError(f"there is no picture {min(missing)!r} to hold out", path=listed)
    if wanted == names:
        raise TrainingError("every picture is held out: there is nothing to train on", path=listed)
    return frozenset(wanted)


def read_matted(file: MattedFile) -> tuple[FloatImage, FloatImage]:
    """The picture (H, W, 3) float32 in the network's encoding, and its alpha (H, W) in [0, 1].

    Pictures of 8 or 16 bits are taken as they are, EXR is encoded. Raises PlateError for a file
    that cannot be read, TrainingError for a matte that is none.
    """
    from vfxmatte.io.stills.reading import read_image

    image = read_image(file.image)
    colour = image.colour
    if image.header.file_type == "EXR":
        colour = encode_for_network(colour).astype(np.float32)
    alpha = _alpha(file)
    if alpha.shape != colour.shape[:2]:
        height, width = colour.shape[:2]
        raise TrainingError(
            f"the matte is {alpha.shape[1]}×{alpha.shape[0]} px, its picture {width}×{height} px",
            path=file.matte,
            hint=f"the picture is {file.image}",
        )
    return np.ascontiguousarray(np.nan_to_num(colour), np.float32), alpha


def _alpha(file: MattedFile) -> FloatImage:
    """The alpha channel of a file that has one, else its grey."""
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
