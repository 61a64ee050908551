"""Files made from finished mattes at the end of a run: previews, and a movie with alpha."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from vfxmatte.colour import ColourTags
from vfxmatte.errors import PlateError, VfxmatteError, concerns_all_frames
from vfxmatte.foreground.planes import PlaneMaker
from vfxmatte.io.canvas import crop
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.movies.movie import write_prores
from vfxmatte.io.rates import DEFAULT_FPS, frame_rate
from vfxmatte.io.stills.reading import read_image
from vfxmatte.io.timecode import text_of as timecode_text
from vfxmatte.pipeline.run import Run
from vfxmatte.review.preview import Panels, contact_sheet, make_panels, preview_movie, worst_chosen
from vfxmatte.trimaps import labels_from_image
from vfxmatte.types import FloatImage, Frame, FrameResult, Labels

SHEET_ROWS = 6
SHEET_PANEL_PX = 480
MOVIE_PANEL_PX = 960


class Delivery:
    """Makes previews and movies of a finished run."""

    def __init__(self, run: Run, results: Mapping[int, FrameResult]) -> None:
        """Take a run and its results by frame number; some may lack a matte."""
        self.run = run
        self.results = results
        self.numbers = [n for n in run.plan.numbers if n in results]

    @property
    def finished(self) -> list[int]:
        """Numbers of the frames with a matte."""
        return [n for n in self.numbers if self.results[n].path is not None]

    @property
    def fps(self) -> Fraction:
        """Frame rate of the settings, else of the plate, else 24."""
        fps = self.run.settings.fps
        if fps is not None:
            return frame_rate(fps)
        return self.run.plate.info.fps or DEFAULT_FPS

    def sheet(self) -> Path:
        """Write preview.png, a contact sheet of the frames with the least confidence.

        Raises VfxmatteError.
        """
        chosen = worst_chosen({n: self._confidence(n) for n in self.finished}, SHEET_ROWS)
        plates = (self._readable(number) for number in chosen)
        rows = [self._panels(frame, SHEET_PANEL_PX) for frame in plates if frame is not None]
        path = self.run.shot.output / "preview.png"
        if not rows:
            raise PlateError("no plate of a finished frame can be read for the preview", path=path)
        return contact_sheet(rows, path)

    def movie_preview(self) -> Path:
        """Write preview.mp4; an unreadable frame holds the one before."""
        return preview_movie(self._movie_panels(), self.run.shot.output / "preview.mp4", self.fps)

    def prores(self, path: Path) -> Path:
        """Write ProRes 4444: straight Rec.709 colour and alpha, with time code and pixel aspect.

        The colour is the foreground's where the mattes hold it, else the plate's.

        Frames without a readable plate and matte are transparent black, so that the movie keeps
        the plate's timing.
        """
        return write_prores(
            path,
            self._rgba(),
            self.fps,
            timecode=self._timecode(),
            pixel_aspect=self.run.plate.info.pixel_aspect,
        )

    def _timecode(self) -> str | None:
        """Return the first frame's time code, if any."""
        try:
            metadata = self._plate(self.numbers[0]).metadata
        except (VfxmatteError, IndexError):
            return None
        timecode = metadata.get("timeCode", metadata.get("smpte:TimeCode"))
        return timecode_text(timecode, self.fps)

    def _plate(self, number: int) -> Frame:
        """Read the plate; a held frame replaces a missing one under the missing one's number."""
        frame = self.run.plate.read(self.run.plan.sources[number])
        return frame if frame.number == number else replace(frame, number=number)

    def _readable(self, number: int) -> Frame | None:
        try:
            return self._plate(number)
        except Exception as error:
            if concerns_all_frames(error):
                raise
            return None

    def _matte(self, number: int, frame: Frame) -> FloatImage | None:
        """Return the frame's alpha over its canvas, if it can be read."""
        result = self.results.get(number)
        if result is None or result.path is None:
            return None
        try:
            return read_matte(result.path, frame.canvas)
        except VfxmatteError:
            return None

    def _panels(self, frame: Frame, width_px: int) -> Panels:
        number = frame.number
        alpha = self._matte(number, frame)
        colour = None
        if alpha is not None and self.run.settings.output.needs_colours:
            colour = self.run.colours.to_linear_rec709(*self._colour(frame, alpha))
        return make_panels(
            frame,
            alpha,
            self._labels(number),
            self.run.colours,
            width_px=width_px,
            is_keyframe=number in self.run.plan.keyframes,
            confidence=self._confidence(number),
            foreground=colour,
        )

    def _confidence(self, number: int) -> float:
        """Return the matte's confidence, 0 to 1; 1 if it is not known."""
        return self.results[number].stats.get("confidence", 1.0)

    def _labels(self, number: int) -> Labels | None:
        path = self.run.results.trimap_path(number)
        try:
            if number in self.run.plan.locked and number in self.run.keyframes:
                return self.run.keyframes[number].labels  # none was written for it
            return labels_from_image(read_image(path).pixels) if path.is_file() else None
        except VfxmatteError:
            return None

    def _movie_panels(self) -> Iterator[Panels]:
        latest: Panels | None = None
        for number in self.numbers:
            frame = self._readable(number)
            if frame is not None:
                latest = self._panels(frame, MOVIE_PANEL_PX)
            if latest is not None:
                yield latest

    def _colour(self, frame: Frame, alpha: FloatImage) -> tuple[FloatImage, str]:
        """Return the colour that the mattes are delivered with, (H, W, 3), and its space."""
        output = self.run.settings.output
        if not output.needs_colours:
            return frame.pixels, frame.colour_space
        return PlaneMaker(settings=output, colours=self.run.colours).foreground(frame, alpha)

    def _rgba(self) -> Iterator[FloatImage]:
        target = self.run.colours.default_space(ColourTags(kind="movie")).name
        info = self.run.plate.info
        for number in self.numbers:
            frame = self._readable(number) if self.results[number].path is not None else None
            alpha = None if frame is None else self._matte(number, frame)
            if frame is None or alpha is None:
                yield np.zeros((*info.display_window.shape, 4), np.float32)
                continue
            colour = self.run.colours.convert(*self._colour(frame, alpha), target)
            rgba = np.dstack((colour, alpha)).astype(np.float32)
            yield crop(rgba, frame.canvas, frame.display_window)
