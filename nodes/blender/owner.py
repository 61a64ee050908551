"""The owner of a results' folder: a small file in it names .blend file, scene, plate and mask."""

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
    """The .blend file, scene, plate and mask that results were made from."""

    file: Path
    """The .blend file, absolute."""
    scene: str
    """The scene's name; with the library in brackets where it is linked."""
    plate: str
    """The name of the clip or image."""
    mask: str | None
    """The mask's name; None for painted trimaps."""
    mask_id: str | None = None
    """The mask's id, which renaming does not change; None before its first trimaps."""

    def __str__(self) -> str:
        mask = "painted trimaps" if self.mask is None else f"mask '{self.mask}'"
        return f"file {self.file}, scene '{self.scene}', plate '{self.plate}', {mask}"

    def record(self, folder: Path) -> str:
        """Return the text of the owner file in `folder`, which stays true when both move."""
        names = {"scene": self.scene, "plate": self.plate, "mask": self.mask}
        values = {"file": _relative(self.file, folder), **names, "mask_id": self.mask_id}
        return json.dumps(values, indent=1) + "\n"

    def is_called_like(self, other: Owner) -> bool:
        """Return True if file, scene, plate and mask have the same names."""
        names = (self.scene, self.plate, self.mask) == (other.scene, other.plate, other.mask)
        return names and os.path.realpath(self.file) == os.path.realpath(other.file)

    def is_same_as(self, other: Owner) -> bool:
        """Return True if all names are equal and the masks' ids, where known, do not differ."""
        return self.is_called_like(other) and (
            None in (self.mask_id, other.mask_id) or self.mask_id == other.mask_id
        )


class NotOurs(Problem):
    """Refusal: the folder holds the results of another file, scene or mask.

    Args:
        folder: the folder.
        owner: the owner of its results, or None if unknown.
        asking: the owner that was to write or read there.
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
    """Return the recorded owner of a folder, or None if there is no readable owner file."""
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
    """Write the owner file; raises FileExistsError if there is one and `replace` is False."""
    with (folder / OWNER_FILE).open("w" if replace else "x", encoding="utf-8") as stream:
        stream.write(owner.record(folder))


def _relative(file: Path, folder: Path) -> str:
    try:
        return Path(os.path.relpath(os.path.realpath(file), os.path.realpath(folder))).as_posix()
    except ValueError:  # another drive of Windows
        return file.as_posix()
