"""The mattes of all subjects of a frame in one EXR: A is their sum, NAME.A the alpha of each.

Made from the finished mattes, so that it says what they say. A frame of which a subject has no
matte has no such file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vfxmatte.common.parallel import ordered_map
from vfxmatte.errors import OutputError, UsageError, VfxmatteError
from vfxmatte.io.canvas import crop
from vfxmatte.io.plate import PlateInfo
from vfxmatte.io.result_names import matte_path
from vfxmatte.io.signatures import content_digest
from vfxmatte.io.stills.exr import read_exr_header, read_exr_planes, write_exr
from vfxmatte.io.temporary import renamed_when_whole
from vfxmatte.io.writers import OutputSettings
from vfxmatte.journal.stale import FINGERPRINT_ATTRIBUTE, move_aside, readable_fingerprint
from vfxmatte.pipeline.finished import read_finished
from vfxmatte.pipeline.settings import digest
from vfxmatte.pipeline.subject_names import check_layer_names
from vfxmatte.types import Window

if TYPE_CHECKING:
    from vfxmatte.pipeline.subjects_run import SubjectsRun


@dataclass(frozen=True, kw_only=True)
class LayeredMattes:
    """The files of several subjects' mattes."""

    output: Path
    """The shot's folder of results."""
    subjects: Mapping[str, Path]
    """Each subject's folder of results."""
    locked: Mapping[str, Mapping[int, Path]]
    """Each subject's mattes of locked frames, of any format and edited by hand or not."""
    settings: OutputSettings
    plate: PlateInfo
    workers: int

    @classmethod
    def of(cls, run: SubjectsRun) -> LayeredMattes:
        """Take the places of a run's subjects.

        Raises:
            UsageError: mattes that are no EXR.
            ShotError: a subject whose name cannot be a layer.
        """
        output = run.settings.output
        if output.format != "exr":
            raise UsageError(
                f"{output.format} has no layers",
                shot=run.shot.name,
                hint="leave out --subject-layers, or write EXR",
            )
        first = next(iter(run.runs.values()))
        try:
            check_layer_names(run.runs)
            run.shot.check_apart(run.shot.output)
        except VfxmatteError as error:
            raise error.at(shot=run.shot.name) from error.__cause__
        return cls(
            output=run.shot.output,
            subjects={name: one.shot.output for name, one in run.runs.items()},
            locked={name: one.plan.locked for name, one in run.runs.items()},
            settings=output,
            plate=first.plate.info,
            workers=first.workers,
        )

    def path(self, number: int) -> Path:
        """Return a frame's file."""
        return matte_path(self.output, number, padding=self.plate.padding)

    def write(self, numbers: Iterable[int]) -> None:
        """Write the files that are not up to date; raises OutputError, PlateError."""
        for _ in ordered_map(self._write, numbers, workers=self.workers):
            pass

    def _write(self, number: int) -> None:
        path = self.path(number)
        mattes = {name: self._matte(name, number) for name in self.subjects}
        prints = {
            name: content_digest(matte)
            if self._is_locked(name, number)
            else readable_fingerprint(matte)
            for name, matte in mattes.items()
        }
        fingerprint = digest(prints)
        if path.is_file() and readable_fingerprint(path) == fingerprint:
            return
        if None in prints.values():
            move_aside(path, fingerprint, None)
            return
        with renamed_when_whole(path) as temporary:
            self._write_layers(temporary, number, mattes, fingerprint)

    def _matte(self, name: str, number: int) -> Path:
        """Return the file of a subject's matte, which need not exist."""
        usual = matte_path(self.subjects[name], number, padding=self.plate.padding)
        return self.locked[name].get(number, usual)

    def _is_locked(self, name: str, number: int) -> bool:
        return number in self.locked[name]

    def _write_layers(
        self, path: Path, number: int, mattes: Mapping[str, Path], fingerprint: str
    ) -> None:
        exrs = [name for name, matte in mattes.items() if matte.suffix == ".exr"]
        exrs.sort(key=lambda name: self._is_locked(name, number))  # a locked one may be edited
        if not exrs:
            raise OutputError(
                "all subjects' mattes of this frame are locked and none is an EXR: there is no "
                "header for their layers",
                frame=number,
                path=mattes[next(iter(mattes))],
                hint="unlock one of them, or leave out --subject-layers",
            )
        header = read_exr_header(mattes[exrs[0]])
        planes: dict[str, np.ndarray] = {}
        for name, matte in mattes.items():
            if self._is_locked(name, number):
                own = self._locked_planes(matte, number, header.data_window)
            else:
                own = read_exr_planes(matte)
            planes |= {_channel(name, channel): pixels for channel, pixels in own.items()}
        alphas = [planes[f"{name}.A"] for name in mattes]
        total = np.sum(alphas, axis=0, dtype=np.float32)
        own_print = {FINGERPRINT_ATTRIBUTE: fingerprint, "vfxmatte/subjects": ", ".join(mattes)}
        write_exr(
            path,
            {"A": total.astype(alphas[0].dtype), **planes},
            data_window=header.data_window,
            display_window=header.display_window,
            attributes={**header.metadata, **own_print},
            compression=self.settings.compression,
        )

    def _locked_planes(self, matte: Path, number: int, window: Window) -> dict[str, np.ndarray]:
        """Return a locked matte's channels, or only A where it was edited into something else."""
        if matte.suffix == ".exr" and read_exr_header(matte).data_window == window:
            planes = read_exr_planes(matte)
            if "A" in planes:
                return planes
        alpha = read_finished(matte, number, self.plate)
        kind = np.float32 if self.settings.pixel_type == "float" else np.float16
        return {"A": crop(alpha, self.plate.canvas, window).astype(kind)}


def _channel(subject: str, channel: str) -> str:
    """Return `hero.A`, and `hero_fg.R` for a channel that has a layer already."""
    layer, _, name = channel.rpartition(".")
    return f"{subject}_{layer}.{name}" if layer else f"{subject}.{name}"
