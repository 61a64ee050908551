"""Where a plate's trimaps and mattes lie on disk."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from .problem import Problem

_MATTE = re.compile(r"matte\.(-?\d+)\.exr")
_TRIMAP = re.compile(r".*?(\d+)\.(?:png|exr|tif|tiff)", re.IGNORECASE)


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
        """Frames between the first and the last that have no matte."""
        return [n for n in range(self.first, self.last + 1) if n not in self.files]


@dataclass(frozen=True)
class ShotFolder:
    """The folder of one plate, beside the .blend file."""

    path: Path

    @classmethod
    def of(cls, base: str, title: str) -> ShotFolder:
        """The plate's folder in `base`; raises Problem where that is not absolute."""
        folder = Path(base)
        if not base or not folder.is_absolute():
            raise Problem(
                "The .blend file has no folder yet", "Save it, or choose a folder for the results"
            )
        return cls(folder / re.sub(r"[^\w.-]+", "_", title))

    @property
    def trimaps(self) -> Path:
        return self.path / "trimaps"

    @property
    def matte(self) -> Path:
        return self.path / "matte"

    def trimap(self, number: int) -> Path:
        return self.trimaps / f"trimap.{number:04d}.png"

    def trimap_numbers(self) -> list[int]:
        """The frames that have a trimap, whoever made it."""
        names = self.trimaps.iterdir() if self.trimaps.is_dir() else ()
        found = [_TRIMAP.fullmatch(path.name) for path in names]
        return sorted(int(match[1]) for match in found if match is not None)

    def mattes(self) -> Mattes:
        """The mattes that are there; raises Problem where there is none."""
        files = self.matte.iterdir() if self.matte.is_dir() else ()
        found = [(_MATTE.fullmatch(path.name), path) for path in files]
        numbered = {int(match[1]): path for match, path in found if match is not None}
        if not numbered:
            raise Problem(f"There are no mattes in {self.matte}", "Run the shot first")
        return Mattes(numbered)
