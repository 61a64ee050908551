"""Made from finished mattes at the end of a run: previews and a movie with alpha, as streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from vfxmatte.colour import ColourTags
from vfxmatte.errors import VfxmatteError
from vfxmatte.io.images import read_image
from vfxmatte.io.rates import frame_rate
from vfxmatte.io.sequence import padded
from vfxmatte.io.video import write_prores
from vfxmatte.io.writers import crop, read_matte
from vfxmatte.pipeline.run import Run
from vfxmatte.review.preview import Panels, contact_sheet, evenly_chosen, make_panels, preview_movie
from vfxmatte.trimaps import labels_from_image
from vfxmatte.types import FloatImage, Frame, FrameResult, Labels

DEFAULT_FPS = Fraction(24)
SHEET_ROWS = 6
SHEET_PANEL_PX = 480
MOVIE_PANEL_PX = 960


class Delivery:
    """A run that has ended, and the mattes that it has.

    results: by frame number; frames without a matte are shown as such.
    """

    def __init__(self, run: Run, results: Mapping[int, FrameResult]) -> None:
        self.run = run
        self.results = results
        self.numbers = [n for n in run.plan.numbers if n in results]

    @property
    def finished(self) -> list[int]:
        """Frames that have a matte."""
        return [n for n in self.numbers if self.results[n].path is not None]

    @property
    def fps(self) -> Fraction:
        """As the settings say, else as the plate says, else 24."""
        asked = self.run.settings.fps
        if asked is not None:
            return frame_rate(asked)
        return self.run.plate.info.fps or DEFAULT_FPS

    def sheet(self) -> Path:
        """preview.png in the output folder; raises VfxmatteError."""
        chosen = evenly_chosen(self.finished, SHEET_ROWS)
        rows = [self._panels(self._plate(number), SHEET_PANEL_PX) for number in chosen]
        return contact_sheet(rows, self.run.shot.output / "preview.png")

    def movie_preview(self) -> Path:
        """preview.mp4 in the output folder; a frame that cannot be read holds the one before."""
        return preview_movie(self._moving(), self.run.shot.output / "preview.mp4", self.fps)

    def prores(self, path: Path) -> Path:
        """ProRes 4444: the plate as a Rec.709 display has it, straight, with the alpha.

        Frames without a matte are transparent black, so that the movie keeps the plate's timing.
        """
        return write_prores(path, self._rgba(), self.fps)

    def _plate(self, number: int) -> Frame:
        """The plate under the shot's number; a held frame stands in for a missing one."""
        frame = self.run.plate.read(self.run.plan.sources[number])
        return frame if frame.number == number else replace(frame, number=number)

    def _panels(self, frame: Frame, width_px: int) -> Panels:
        number = frame.number
        result = self.results.get(number)
        path = None if result is None else result.path
        return make_panels(
            frame,
            None if path is None else read_matte(path, frame.canvas),
            self._labels(number),
            self.run.colours,
            width_px=width_px,
            is_keyframe=number in self.run.plan.keyframes,
        )

    def _labels(self, number: int) -> Labels | None:
        padding = max(4, self.run.plate.info.padding)
        path = self.run.shot.trimap_output / f"trimap.{padded(number, padding)}.png"
        return labels_from_image(read_image(path).pixels) if path.is_file() else None

    def _moving(self) -> Iterator[Panels]:
        latest: Panels | None = None
        for number in self.numbers:
            try:
                frame = self._plate(number)
            except VfxmatteError:
                pass
            else:
                latest = self._panels(frame, MOVIE_PANEL_PX)
            if latest is not None:
                yield latest

    def _rgba(self) -> Iterator[FloatImage]:
        target = self.run.colours.default_space(ColourTags(kind="movie")).name
        info = self.run.plate.info
        for number in self.numbers:
            result = self.results[number]
            if result.path is None:
                yield np.zeros((*info.display_window.shape, 4), np.float32)
                continue
            frame = self._plate(number)
            colour = self.run.colours.convert(frame.pixels, frame.colour_space, target)
            alpha = read_matte(result.path, frame.canvas)
            rgba = np.dstack((colour, alpha)).astype(np.float32)
            yield crop(rgba, frame.canvas, frame.display_window)
