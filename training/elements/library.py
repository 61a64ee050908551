"""Foreground libraries on disk: their elements' files, kinds and sequences, and backgrounds.

A library is a folder (with subfolders) of stills and sequences with alpha, or of the folders `fg`
and `alpha` that hold pictures of the same names. Numbered files `NAME.1001.exr`, or bare numbers
in a folder of their own, are frames of one sequence.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vfxmatte.errors import TrainingError
from vfxmatte.io.sequence import is_hidden, is_image, is_movie

DEFAULT_KIND = "element"

_FRAME = re.compile(r"^(?P<name>.*?)\.(?P<number>-?\d+)$")
_KIND = re.compile(r"^\d+_(?P<kind>[A-Za-z][A-Za-z_-]*)$")


@dataclass(frozen=True, kw_only=True)
class ElementFile:
    """The files of one element."""

    name: str
    """The path inside the library without suffix, parts joined by `/`; unique."""
    kind: str
    path: Path
    """The picture with colour, and with alpha unless `alpha_path` has it."""
    alpha_path: Path | None = None
    sequence: str | None = None
    """The sequence that it is a frame of."""
    frame: int | None = None
    """Its frame number."""

    @property
    def group(self) -> str:
        """The unit of the held-out split: the sequence, or the still itself."""
        return self.sequence or self.name


def find_elements(folder: str | Path) -> tuple[ElementFile, ...]:
    """Find every element of a library, sequences in frame order.

    Raises:
        TrainingError: no such folder, no picture in it, or a colour without its alpha in a library
            of pairs.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise TrainingError("there is no such library", path=folder, hint="give a folder")
    colours, alphas = folder / "fg", folder / "alpha"
    paired = colours.is_dir() and alphas.is_dir()
    elements = _elements(colours, alphas) if paired else _elements(folder, None)
    if not elements:
        raise TrainingError(
            "the library has no pictures",
            path=folder,
            hint="it may hold EXR, PNG, TIFF or WebP with alpha, or the folders fg/ and alpha/",
        )
    _refuse_twins(elements)
    return elements


def find_backgrounds(folder: str | Path) -> tuple[Path, ...]:
    """Find every image and movie below `folder`; raises TrainingError if there is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise TrainingError("there is no such folder of backgrounds", path=folder)
    paths = tuple(p for p in _visible_files(folder) if is_image(p.name) or is_movie(p.name))
    if not paths:
        raise TrainingError("there are no images or movies to use as backgrounds", path=folder)
    return paths


def kind_of(name: str) -> str:
    """Return the kind in a file name: long_hair for `00012_long_hair`; `element` without one."""
    match = _KIND.match(name.rpartition("/")[2])
    return match["kind"] if match else DEFAULT_KIND


def visible_images(folder: Path) -> tuple[Path, ...]:
    """Return every image below a folder but the hidden ones, in the order of their paths."""
    return tuple(path for path in _visible_files(folder) if is_image(path.name))


def _visible_files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts
        if path.is_file() and not any(is_hidden(part) for part in inside):
            yield path


def _elements(folder: Path, alphas: Path | None) -> tuple[ElementFile, ...]:
    files = visible_images(folder)
    matching = _by_stem(alphas) if alphas else {}
    counts: dict[Path, int] = defaultdict(int)
    for path in files:
        counts[path.parent] += path.stem.isdigit()
    elements = []
    for path in files:
        name = path.relative_to(folder).with_suffix("").as_posix()
        if alphas is not None and name not in matching:
            raise TrainingError(
                "there is no alpha for this colour",
                path=path,
                hint=f"expected {alphas / name}.* beside fg/; add it or move the colour away",
            )
        numbered = path.parent != folder and counts[path.parent] > 1
        elements.append(_element(path, name, matching.get(name), numbered))
    return tuple(sorted(elements, key=lambda e: (e.group, e.frame or 0)))


def _by_stem(folder: Path) -> dict[str, Path]:
    files = visible_images(folder)
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files}


def _element(path: Path, name: str, alpha_path: Path | None, numbered: bool) -> ElementFile:
    sequence, frame = None, None
    if match := _FRAME.match(name):
        sequence, frame = match["name"], int(match["number"])
    elif numbered and path.stem.isdigit():
        sequence, frame = name.rpartition("/")[0], int(path.stem)
    kind = kind_of(sequence or name)
    return ElementFile(
        name=name, kind=kind, path=path, alpha_path=alpha_path, sequence=sequence, frame=frame
    )


def _refuse_twins(elements: tuple[ElementFile, ...]) -> None:
    seen: dict[str, Path] = {}
    for element in elements:
        if element.name in seen:
            raise TrainingError(
                f"two files have the name {element.name}: {seen[element.name].name} and "
                f"{element.path.name}",
                path=element.path,
                hint="rename one of them",
            )
        seen[element.name] = element.path
