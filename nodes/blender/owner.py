"""Whose the results in a folder are: a small file in it that names .blend file, scene and mask."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .problem import Problem

OWNER_FILE = "owner.json"


@dataclass(frozen=True)
class Owner:
    """What a folder's results were made from."""

    file: Path
    """The .blend file, absolute."""
    scene: str
    """The scene's name; with the library in brackets where it is linked."""
    plate: str
    """The name of the clip or image."""
    mask: str | None
    """The mask's name; None for painted trimaps."""
    mask_id: str | None = None
    """What stays with the mask when it is renamed; None where it has never been drawn."""

    def __str__(self) -> str:
        mask = "painted trimaps" if self.mask is None else f"mask '{self.mask}'"
        return f"file {self.file}, scene '{self.scene}', plate '{self.plate}', {mask}"

    def record(self, folder: Path) -> str:
        """Return the text of the owner file in `folder`; it stays true when both move together."""
        names = {"scene": self.scene, "plate": self.plate, "mask": self.mask}
        values = {"file": _relative(self.file, folder), **names, "mask_id": self.mask_id}
        return json.dumps(values, indent=1) + "\n"

    def is_called_like(self, other: Owner) -> bool:
        """Return True if both name the same scene, plate and mask of the same file."""
        names = (self.scene, self.plate, self.mask) == (other.scene, other.plate, other.mask)
        return names and os.path.realpath(self.file) == os.path.realpath(other.file)

    def is_same_as(self, other: Owner) -> bool:
        """Return True if both are called alike and neither mask is known to be another one."""
        return self.is_called_like(other) and (
            None in (self.mask_id, other.mask_id) or self.mask_id == other.mask_id
        )


class NotOurs(Problem):
    """The folder holds results of another file, scene or mask.

    Args:
        folder: the folder.
        owner: whose results it holds, if that is known.
        asking: who wants to write there.
    """

    def __init__(self, folder: Path, owner: Owner | None, asking: Owner) -> None:
        whose = "mattes of unknown origin" if owner is None else f"the results of {owner}"
        if owner is not None and owner.is_called_like(asking):
            whose += ", which was another mask of that name"
        self.folder = folder
        super().__init__(
            f"{folder} holds {whose}",
            "Choose another Folder or rename what clashes; to replace them, press Take Over",
        )


def read_owner(folder: Path) -> Owner | None:
    """Return whose results `folder` holds; None where no readable owner file says so."""
    try:
        values: dict[str, Any] = json.loads((folder / OWNER_FILE).read_text(encoding="utf-8"))
        file = Path(os.path.normpath(os.path.join(os.path.realpath(folder), values["file"])))
        names = values["scene"], values["plate"], values["mask"], values.get("mask_id")
        scene, plate, mask, mask_id = (None if n is None else str(n) for n in names)
        return Owner(file, str(scene), str(plate), mask, mask_id)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, AttributeError):  # damaged, or of another program
        return None


def write_owner(folder: Path, owner: Owner, *, replace: bool) -> None:
    """Write the owner file; raises FileExistsError where there is one and it is not replaced."""
    with (folder / OWNER_FILE).open("w" if replace else "x", encoding="utf-8") as stream:
        stream.write(owner.record(folder))


def _relative(file: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(os.path.realpath(file), os.path.realpath(folder))).as_posix()
    except ValueError:  # another drive of Windows
        return file.as_posix()
