"""The mattes and propagated trimaps that a run writes."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vfxmatte.common.wording import frames_text
from vfxmatte.errors import OutputError, TrimapError
from vfxmatte.io.marked import as_written
from vfxmatte.io.plate import PlateInfo
from vfxmatte.io.result_names import matte_path, trimap_path
from vfxmatte.io.stills.reading import read_image
from vfxmatte.io.writers import OutputSettings, alpha_type, write_labels, write_matte
from vfxmatte.journal.locks import read_locks
from vfxmatte.journal.stale import FINGERPRINT_ATTRIBUTE
from vfxmatte.pipeline.plan import alpha_part
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.solved import SolvedFile
from vfxmatte.trimaps import labels_from_image
from vfxmatte.types import FloatImage, Frame, Matte, Trimap

_PROBE_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Results:
    """The result files of one shot."""

    shot: Shot
    plate: PlateInfo
    settings: OutputSettings

    def matte_path(self, number: int) -> Path:
        """Return the path of a frame's matte."""
        padding = self.plate.padding
        return matte_path(self.shot.output, number, self.settings.format, padding=padding)

    def trimap_path(self, number: int) -> Path:
        """Return the path of a frame's propagated trimap."""
        return trimap_path(self.shot.trimap_output, number, padding=self.plate.padding)

    def read_trimap(self, number: int, *, is_keyframe: bool, confidence: float) -> Trimap:
        """Read the trimap that an earlier run has written; raises PlateError or TrimapError."""
        image = read_image(self.trimap_path(number))
        return Trimap(
            number=number,
            labels=labels_from_image(image.pixels),
            is_keyframe=is_keyframe,
            confidence=confidence,
        )

    def write_trimap(self, trimap: Trimap) -> None:
        """Write a propagated trimap; raises OutputError."""
        write_labels(trimap, self.trimap_path(trimap.number), self.plate.canvas)

    def write_matte(
        self,
        matte: Matte,
        frame: Frame,
        fingerprint: str,
        attributes: Mapping[str, str],
        planes: Mapping[str, FloatImage] | None = None,
    ) -> Path:
        """Write a matte; returns its path. Raises OutputError.

        Args:
            frame: its plate, whose own attributes the matte carries.
            attributes: further ones; those of the settings come last.
            planes: further channels, see `io.writers.write_matte`.
        """
        self._refuse_locked(matte.number)
        own = {FINGERPRINT_ATTRIBUTE: fingerprint, **self.settings.attributes}
        settings = replace(self.settings, attributes={**attributes, **own})
        path = self.matte_path(matte.number)
        return write_matte(matte, frame, settings, path, planes=planes)

    def keep_solved(
        self, matte: Matte, frame: Frame, fingerprint: str, known: str = "float"
    ) -> SolvedFile:
        """Write solved alpha beside a matte that will not hold it; raises OutputError.

        Args:
            known: how exactly alpha is known, see `FrameRecord.alpha`.
        """
        self._refuse_locked(matte.number)
        return SolvedFile.write(
            matte,
            frame,
            output=self.shot.output,
            kind="half" if alpha_type(self.settings) == "half" else known,
            fingerprint=alpha_part(fingerprint),  # whatever its edges and its neighbours become
            padding=self.plate.padding,
        )

    def _refuse_locked(self, number: int) -> None:
        """Raise OutputError if a frame was locked after the run had been planned."""
        if number in read_locks(self.shot.output):
            raise OutputError(
                "this frame was locked while it was solved: its matte is kept as it is",
                frame=number,
                path=self.matte_path(number),
            )

    def can_be_written(self) -> bool:
        """Return True if a new file can be created in the output folders at all."""
        try:
            for folder in (self.shot.output, self.shot.trimap_output):
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder) as probe:
                    probe.write(b"\0" * _PROBE_BYTES)
        except OSError:
            return False
        return True

    def refuse_painted_over(self, numbers: Iterable[int], keyframes: Collection[int]) -> None:
        """Raise TrimapError if an artist has painted over a propagated trimap, so that the work is
        neither overwritten nor ignored."""
        painted = [n for n in numbers if n not in keyframes and self._painted_over(n)]
        if painted:
            raise TrimapError(
                "propagated trimaps have been painted over where they were written: "
                f"{frames_text(painted)}",
                path=self.trimap_path(painted[0]),
                hint="move them to the folder of the keyframes and run again, or delete them",
            )

    def _painted_over(self, number: int) -> bool:
        trimap, matte = self.trimap_path(number), self.matte_path(number)
        if not trimap.is_file():
            return False
        older = matte.is_file() and trimap.stat().st_mtime_ns <= matte.stat().st_mtime_ns
        return not older and not as_written(trimap)
