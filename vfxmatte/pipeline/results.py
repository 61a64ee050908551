"""The files that a run writes: where they lie, how they are written, what must not be lost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vfxmatte.errors import TrimapError
from vfxmatte.io.marked import as_written
from vfxmatte.io.plates import PlateInfo
from vfxmatte.io.sequence import padded
from vfxmatte.io.writers import OutputSettings, matte_path, write_labels, write_matte
from vfxmatte.journal.stale import FINGERPRINT_ATTRIBUTE
from vfxmatte.pipeline.frame import Work
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import Trimap, numbers_as_text


@dataclass(frozen=True, kw_only=True)
class Results:
    """The mattes and the propagated trimaps of one shot."""

    shot: Shot
    plate: PlateInfo
    settings: OutputSettings

    def matte_path(self, number: int) -> Path:
        """Where a frame's matte is written."""
        return matte_path(self.shot.output, number, self.settings, padding=self.plate.padding)

    def trimap_path(self, number: int) -> Path:
        """Where a frame's propagated trimap is written."""
        name = f"trimap.{padded(number, max(4, self.plate.padding))}.png"
        return self.shot.trimap_output / name

    def write_trimap(self, trimap: Trimap) -> None:
        """Raises OutputError."""
        write_labels(trimap, self.trimap_path(trimap.number), self.plate.canvas)

    def write_matte(self, work: Work, attributes: Mapping[str, str]) -> Path:
        """The matte of a solved frame with the plate's own attributes, these, and those of the
        settings; raises OutputError."""
        assert work.matte is not None and work.frame is not None
        own = {FINGERPRINT_ATTRIBUTE: work.fingerprint, **self.settings.attributes}
        settings = replace(self.settings, attributes={**attributes, **own})
        return write_matte(work.matte, work.frame, settings, self.matte_path(work.number))

    def refuse_painted_over(self, numbers: Iterable[int], keyframes: Collection[int]) -> None:
        """An artist's work in a propagated trimap must not be overwritten, nor passed over.

        Raises TrimapError.
        """
        painted = [n for n in numbers if n not in keyframes and self._painted_over(n)]
        if painted:
            raise TrimapError(
                f"{len(painted)} propagated trimaps have been painted over where they were "
                f"written: frames {numbers_as_text(painted)}",
                path=self.trimap_path(painted[0]),
                hint="move them to the folder of the keyframes and run again, or delete them",
            )

    def _painted_over(self, number: int) -> bool:
        trimap, matte = self.trimap_path(number), self.matte_path(number)
        if not trimap.is_file():
            return False
        older = matte.is_file() and trimap.stat().st_mtime_ns <= matte.stat().st_mtime_ns
        return not older and not as_written(trimap)
