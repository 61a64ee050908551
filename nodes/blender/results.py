"""The folder of a mask's trimaps and mattes, protected from other owners."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from .names import folder_name
from .owner import OWNER_FILE, NotOurs, Owner, read_owner, write_owner
from .problem import Problem

_MATTE = re.compile(r"matte\.(-?\d+)\.exr")
_TRIMAP = re.compile(r".*?(\d+)\.(?:png|exr|tif|tiff)", re.IGNORECASE)
_PAINTED = "painted trimaps"


@dataclass(frozen=True)
class Mattes:
    """Mattes on disk: files by frame number; there may be gaps."""

    files: dict[int, Path]

    @property
    def first(self) -> int:
        return min(self.files)

    @property
    def last(self) -> int:
        return max(self.files)

    def missing(self) -> list[int]:
        """Return the frames between the first and the last that have no matte."""
        return [n for n in range(self.first, self.last + 1) if n not in self.files]


@dataclass(frozen=True)
class ShotFolder:
    """The folder of one mask on one plate in one scene of one .blend file."""

    base: Path
    """The folder chosen in the panel, absolute."""
    owner: Owner
    """The owner of the results."""
    subject: str = ""
    """The subject that is meant; "" for a single one, or for all."""

    @classmethod
    def of(cls, base: str, owner: Owner, subject: str = "") -> ShotFolder:
        """Return the owner's folder in `base`; raises Problem where that is not absolute."""
        if not base.strip():
            raise Problem("No folder is chosen for the results", "Choose one, such as //vfxmatte/")
        if not Path(base).is_absolute():
            raise Problem(
                f"The results' folder '{base}' does not say where it begins",
                "Begin it with // (the folder of the .blend file), ~ or /",
            )
        if subject and folder_name(subject) != subject:
            raise Problem(
                f"'{subject}' cannot be a subject: its folder could not be called so everywhere",
                "Use letters, digits and _",
            )
        return cls(Path(os.path.normpath(base)), owner, subject)

    @property
    def path(self) -> Path:
        owner = self.owner
        mask = _PAINTED if owner.mask is None else folder_name(owner.mask)
        if owner.mask is not None and mask.casefold() == _PAINTED:
            mask = f"mask {mask}"
        parts = folder_name(owner.file.stem), folder_name(owner.scene), folder_name(owner.plate)
        return self.base.joinpath(*parts, mask)

    @property
    def all_trimaps(self) -> Path:
        """The folder of trimaps; of several subjects, with a folder for each."""
        return self.path / "trimaps"

    @property
    def all_mattes(self) -> Path:
        return self.path / "matte"

    @property
    def trimaps(self) -> Path:
        return self.all_trimaps / self.subject

    @property
    def matte(self) -> Path:
        return self.all_mattes / self.subject

    @property
    def whole(self) -> ShotFolder:
        """Return the same folder, for all subjects."""
        return replace(self, subject="")

    def subjects(self) -> list[str]:
        """Return the names of the subjects that have trimaps; none where trimaps lie beside."""
        if self.whole.trimap_numbers():
            return []
        names = (path.name for path in _listed(self.all_trimaps) if path.is_dir())
        visible = (name for name in names if not name.startswith("."))
        return sorted(n for n in visible if replace(self, subject=n).trimap_numbers())

    def trimap(self, number: int) -> Path:
        return self.trimaps / f"trimap.{number:04d}.png"

    def trimap_numbers(self) -> list[int]:
        """Return the frames that have a trimap, from a mask or painted."""
        matches = [_TRIMAP.fullmatch(path.name) for path in _listed(self.trimaps)]
        return sorted(int(match[1]) for match in matches if match is not None)

    def claim(self, *, take_over: bool = False) -> None:
        """Make the folder and record its owner, before anything is written.

        Args:
            take_over: replace another owner.

        Raises:
            NotOurs: it holds another owner's results.
            Problem: it cannot be written.
        """
        with writing(self.path):
            self.all_trimaps.mkdir(parents=True, exist_ok=True)
            self.all_mattes.mkdir(exist_ok=True)
            if take_over:
                write_owner(self.path, self.owner, replace=True)
                return
            if not (self.path / OWNER_FILE).exists() and self._numbered():
                raise NotOurs(self.path, None, self.owner)
            with contextlib.suppress(FileExistsError):
                write_owner(self.path, self.owner, replace=False)
        self._check()

    def has_mattes(self) -> bool:
        return bool(self._numbered())

    def mattes(self) -> Mattes:
        """Return the mattes that are there.

        Raises:
            NotOurs: they are another owner's.
            Problem: there is none.
        """
        numbered = self._numbered()
        if not numbered:
            raise Problem(f"There are no mattes in {self.matte}", self._elsewhere())
        if (self.path / OWNER_FILE).exists():
            self._check()
        return Mattes(numbered)

    def _numbered(self) -> dict[int, Path]:
        matches = [(_MATTE.fullmatch(path.name), path) for path in _listed(self.matte)]
        return {int(match[1]): path for match, path in matches if match is not None}

    def _check(self) -> None:
        recorded = read_owner(self.path)
        if recorded is None or not recorded.is_same_as(self.owner):
            raise NotOurs(self.path, recorded, self.owner)

    def _elsewhere(self) -> str:
        """Return what to do if there are no mattes; lists the plate's mattes under other names."""
        plate = folder_name(self.owner.plate)
        owner_files = sorted(self.base.glob(f"*/*/{plate}/*/{OWNER_FILE}"))
        others = [path.parent for path in owner_files if _listed(path.parent / "matte")]
        if not others:
            return "Run the shot first"
        listed = ", ".join(other.relative_to(self.base).as_posix() for other in others[:3])
        return f"Run the shot first. Under other names this plate has mattes in {listed}"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a system error while writing below `path` into a Problem."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise Problem(
            f"{where} cannot be written: {error.strerror or error}",
            "Choose a Folder in which you may write, with room on its disk",
        ) from error


def _listed(folder: Path) -> list[Path]:
    """Return the contents of a folder, none if it does not exist; raises Problem."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise Problem(
            f"{folder} cannot be read: {error.strerror or error}", "Choose another Folder"
        ) from error
