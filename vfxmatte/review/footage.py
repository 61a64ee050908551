"""The footage of a solved shot, reduced: plate, alpha, trimap, foreground colour.

Pictures cover the display window, at most `MOST_PX` wide or high, with square pixels. What has to
be exact to the pixel is taken before they are reduced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from vfxmatte.errors import VfxmatteError, as_foreseen, concerns_all_frames
from vfxmatte.io.canvas import crop, lay_on
from vfxmatte.io.mattes import matte_image
from vfxmatte.io.plate import FrameOrError
from vfxmatte.io.result_names import trimap_path
from vfxmatte.io.sequence import list_sequences
from vfxmatte.io.stills.reading import read_image
from vfxmatte.journal.journal import MANIFEST_FILE, Journal
from vfxmatte.journal.records import FrameRecord
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.pipeline.shot_folder import TRIMAP_FOLDER
from vfxmatte.review.exact import Exact, exact_figures
from vfxmatte.review.preview import resized, to_display
from vfxmatte.trimaps import labels_from_image
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Mask, Picture

_Size = tuple[int, int]
MOST_PX = 960
"""Longest side of the reduced pictures."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReviewFrame:
    """One frame, reduced; None for what the shot does not have."""

    number: int
    is_keyframe: bool
    plate: Picture | None = None
    """(h, w, 3) uint8 sRGB."""
    alpha: FloatImage | None = None
    """(h, w) float32, 0 to 1."""
    labels: Labels | None = None
    """(h, w) uint8: 0, 128, 255; a pixel that is unknown in part is unknown."""
    monitor: Picture | None = None
    """(h, w) uint8: 0 or 255 where all alpha is exactly 0 or 1, else 128."""
    foreground: Picture | None = None
    """(h, w, 3) uint8 sRGB, not multiplied by alpha; the plate where alpha is 0."""
    confidence: float | None = None
    """The matte's confidence, 0 to 1."""
    exact: Exact | None = None
    problems: tuple[str, ...] = ()
    """Why there is no plate, no matte."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Take:
    """The results in one output folder, of one shot."""

    run: PreparedRun
    """Prepared; its plate and plan are used."""
    output: Path
    name: str
    """The name that people read."""
    records: Mapping[int, FrameRecord]
    """The journal's record of each frame."""
    mattes: Mapping[int, Path]
    """The mattes on disk."""
    is_straight: bool
    """Colour beside alpha is not multiplied by it."""

    @classmethod
    def of(cls, run: PreparedRun, output: Path, name: str) -> Take:
        """Find the results in a folder."""
        sequences = list_sequences(output) if output.is_dir() else []
        own = [sequence for sequence in sequences if sequence.head == "matte."]
        mattes = {n: sequence.path(n) for sequence in own for n in sequence.numbers}
        records = Journal.peek(output).records
        for number, record in records.items():  # where there are two formats, the last one written
            if record.file is not None and (output / record.file).is_file():
                mattes[number] = output / record.file
        return cls(
            run=run,
            output=output,
            name=name,
            records=records,
            mattes=mattes,
            is_straight=_rgba_setting(read_manifest(output), run) == "straight",
        )

    def engine(self) -> str:
        """Return the engine and its weights as the manifest names them; "" if unknown."""
        engine = read_manifest(self.output).get("engine", {})
        name = str(engine.get("engine", ""))
        return f"{name} {str(engine.get('weights', ''))[:12]}".strip()

    def frame(self, bare: ReviewFrame, linear: FloatImage | None, size: _Size) -> ReviewFrame:
        """Add the results to a frame that has its plate alone.

        Args:
            linear: the plate over the display window, scene-linear Rec.709.
        """
        number, problems = bare.number, list(bare.problems)
        alpha = labels = foreground = None
        try:
            alpha, colour = self._matte(number)
            if colour is not None and linear is not None:
                foreground = self._foreground(colour, alpha, linear, size)
        except Exception as error:
            problems.append(f"no matte: {self._failure(number) or _reason(error)}")
        try:
            labels = self._labels(number)
        except Exception as error:
            problems.append(f"no trimap: {_reason(error)}")
        record = self.records.get(number)
        return replace(
            bare,
            alpha=None if alpha is None else resized(alpha, size),
            labels=None if labels is None else _reduced_labels(labels, size),
            monitor=None if alpha is None else _three_values(alpha <= 0, alpha >= 1, size),
            foreground=foreground,
            confidence=None if record is None else record.stats.get("confidence"),
            exact=None if alpha is None else exact_figures(alpha, labels),
            problems=tuple(problems),
        )

    def _failure(self, number: int) -> str | None:
        record = self.records.get(number)
        return None if record is None else record.error

    def _matte(self, number: int) -> tuple[FloatImage, FloatImage | None]:
        """Return alpha over the display window, and the file's colour as it is there, if any."""
        path = self.mattes.get(number)
        if path is None:
            raise FileNotFoundError("none was written")
        image = matte_image(path)
        info = self.run.plate.info

        def laid(values: FloatImage) -> FloatImage:
            whole = lay_on(values, image.header.data_window, info.canvas)
            return crop(whole, info.canvas, info.display_window)

        alpha = image.alpha if image.alpha is not None else image.pixels[:, :, -1]
        has_colour = image.alpha is not None and len(image.header.colour_channels) == 3
        colour = laid(image.pixels[:, :, :3]) if has_colour else None
        return laid(np.clip(np.nan_to_num(alpha), 0, 1)), colour

    def _foreground(
        self, colour: FloatImage, alpha: FloatImage, linear: FloatImage, size: _Size
    ) -> Picture:
        """Return the matte's own colour, not multiplied, with the plate where alpha is 0."""
        own = _linear(colour, self.run.plate.info.colour_space, self.run)
        coverage = alpha[:, :, None]
        if self.is_straight:
            own = own * coverage
        filled = resized(own + linear * (coverage == 0), size)
        share = resized(np.where(alpha == 0, np.float32(1), alpha), size)[:, :, None]
        return to_display(np.asarray(filled / np.maximum(share, 1e-4), np.float32))

    def _labels(self, number: int) -> Labels | None:
        info = self.run.plate.info
        path = trimap_path(self.output / TRIMAP_FOLDER, number, padding=info.padding)
        if path.is_file():
            labels = labels_from_image(read_image(path).pixels)
        elif number in self.run.plan.keyframes:
            labels = self.run.keyframes[number].labels
        else:
            return None
        if labels.shape != info.canvas.shape:
            raise ValueError("it has not the plate's size")
        return cast(Labels, crop(cast(FloatImage, labels), info.canvas, info.display_window))


@dataclass(frozen=True, kw_only=True, eq=False)
class Footage:
    """Reads a shot's frames for a review, of one or several takes."""

    run: PreparedRun
    takes: Sequence[Take]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Frames of the shot, ascending."""
        return self.run.plan.numbers

    @property
    def full_size(self) -> _Size:
        """(width, height) of the plate's display window."""
        window = self.run.plate.info.display_window
        return window.width, window.height

    @property
    def size(self) -> _Size:
        """(width, height) of the reduced pictures."""
        width, height = self.full_size
        wide = width * self.run.plate.info.pixel_aspect
        scale = min(1.0, MOST_PX / max(wide, height))
        return max(1, round(wide * scale)), max(1, round(height * scale))

    def frames(self) -> Iterator[tuple[ReviewFrame, ...]]:
        """Yield each frame as every take has it, ascending; what cannot be read is a problem of
        its frame."""
        for number, plate in self.run.plate_reader.frames(self.numbers):
            yield self._frame(number, plate)

    def _frame(self, number: int, plate: FrameOrError) -> tuple[ReviewFrame, ...]:
        problems: tuple[str, ...] = ()
        picture = linear = None
        try:
            if isinstance(plate, VfxmatteError):
                raise plate
            info = self.run.plate.info
            whole = _linear(plate.pixels, plate.colour_space, self.run)
            linear = crop(whole, info.canvas, info.display_window)
            picture = to_display(resized(linear, self.size))
        except Exception as error:
            problems = (f"no plate: {_reason(error)}",)
        is_keyframe = number in self.run.plan.keyframes
        bare = ReviewFrame(number=number, is_keyframe=is_keyframe, plate=picture, problems=problems)
        return tuple(take.frame(bare, linear, self.size) for take in self.takes)


def read_manifest(output: Path) -> dict[str, Any]:
    """Return the last run's manifest; {} without a whole one."""
    try:
        return dict(json.loads((output / MANIFEST_FILE).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _rgba_setting(manifest: Mapping[str, Any], run: PreparedRun) -> str | None:
    try:
        return cast("str | None", manifest["settings"]["output"]["rgba"])
    except (KeyError, TypeError):
        return run.settings.output.rgba


def _linear(pixels: FloatImage, space: str, run: PreparedRun) -> FloatImage:
    linear = run.colours.to_linear_rec709(pixels, space)
    return np.nan_to_num(linear, copy=False, nan=0.0, posinf=65504.0, neginf=0.0)


def _reduced_labels(labels: Labels, size: _Size) -> Labels:
    if labels.shape[::-1] == size:
        return labels
    return _three_values(labels == BACKGROUND, labels == FOREGROUND, size)


def _three_values(low: Mask, high: Mask, size: _Size) -> Picture:
    """Reduce two masks to 0 and 255 where a pixel is wholly inside one of them, else 128."""
    values = np.full(size[::-1], UNKNOWN, np.uint8)
    for mask, value in ((low, BACKGROUND), (high, FOREGROUND)):
        share = resized(mask.astype(np.float32), size)
        values[share > 1 - 1e-4] = value
    return values


def _reason(error: Exception) -> str:
    if concerns_all_frames(error):
        raise error
    if isinstance(error, FileNotFoundError) and error.errno is None:
        return str(error)
    return as_foreseen(error).what
