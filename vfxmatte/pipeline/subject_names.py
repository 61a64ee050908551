"""The folders of a shot's subjects in trimaps/, and what subjects may be called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from vfxmatte.errors import ShotError
from vfxmatte.io.sequence import is_hidden, is_image

FindKeyframes = Callable[[Path], dict[int, Path]]

PAINT_FOLDERS = frozenset({"replaced", "unsaved"})
"""Folders that the paint page makes beside keyframes: copies, and what was not saved."""
_RESERVED = frozenset({"stale", "solved", "trimaps"})
"""Folders that results have beside the mattes."""
_LAYER = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)


def find_subjects(place: Path, find_keyframes: FindKeyframes) -> dict[str, dict[int, Path]]:
    """Return the keyframes of each subject of a trimaps folder by its name, in order.

    Folders alone make no subjects: one of them must hold an image.

    Raises:
        TrimapError: something that cannot be a keyframe.
        ShotError: a folder that cannot be a subject.
    """
    if not place.is_dir():
        return {}
    folders = sorted(path for path in place.iterdir() if path.is_dir() and _may_count(path.name))
    subjects = {folder.name: find_keyframes(folder) for folder in folders}
    if not any(subjects.values()):
        return {}
    _check_names(subjects, place)
    return subjects


def _check_names(names: Collection[str], place: Path) -> None:
    folded = Counter(name.casefold() for name in names)
    for name in names:
        if name.casefold() in _RESERVED:
            raise ShotError(
                f"a subject cannot be called {name!r}: results have a folder of that name",
                path=place / name,
                hint="rename the folder",
            )
        if folded[name.casefold()] > 1:
            raise ShotError(
                f"two subjects are called {name!r} on systems that do not tell capitals apart",
                path=place / name,
                hint="rename one of the folders",
            )


def folders_beside(keyframes: Iterable[Path]) -> list[str]:
    """Return the folders of images beside keyframes, which are no subjects, by name."""
    parents = {path.parent for path in keyframes}
    folders = [p for parent in parents for p in parent.iterdir() if p.is_dir()]
    visible = [p for p in folders if _may_count(p.name)]
    return sorted(p.name for p in visible if any(is_image(file) for file in p.iterdir()))


def _may_count(name: str) -> bool:
    return not is_hidden(name) and name not in PAINT_FOLDERS


def check_layer_names(names: Collection[str]) -> None:
    """Raise ShotError for a subject whose name Nuke does not show as a layer."""
    for name in names:
        if not _LAYER.fullmatch(name):
            raise ShotError(
                f"the subject {name!r} cannot be a layer: Nuke shows it wrong or not at all",
                hint="rename its folder: letters, digits and _, a letter first; or leave out "
                "--subject-layers",
            )
