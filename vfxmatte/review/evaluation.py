"""Errors of a shot's results against its true alpha.

Trimaps: `missed` and `area` (see `propagation.confidence`). Mattes: SAD, MSE, Grad, Conn on the
unknown region, and over time dtSSD and MESSDdt (see `metrics`). The results are those that a run
has written; missing trimaps are propagated. Few frames are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vfxmatte.colour import to_network
from vfxmatte.errors import (
    PlateError,
    ShotError,
    TrimapError,
    VfxmatteError,
    as_foreseen,
    concerns_all_frames,
)
from vfxmatte.io.mattes import read_matte
from vfxmatte.io.sequence import FrameSequence, find_sequence, list_sequences, whole_sequence
from vfxmatte.io.stills.reading import read_image
from vfxmatte.pipeline.run import Run
from vfxmatte.propagation.confidence import TrimapScore, area_ratio, missed_share
from vfxmatte.propagation.flow import dense_flow, grey
from vfxmatte.review.metrics import MatteErrors, dtssd, matte_errors, messddt
from vfxmatte.trimaps import from_matte, labels_from_image
from vfxmatte.types import UNKNOWN, Failure, FloatImage, Labels, Picture, Trimap

_MAX_BAND_PX = 256.0


@dataclass(frozen=True, kw_only=True)
class FrameEvaluation:
    """The errors of one frame; None where a file or the next frame is missing."""

    number: int
    """Frame number."""
    is_keyframe: bool
    """True if the trimap was painted."""
    trimap: TrimapScore | None = None
    """Score of the trimap; None for keyframes."""
    matte: MatteErrors | None = None
    """Errors of the matte."""
    dtssd: float | None = None
    """Error of the step to the next frame."""
    messddt: float | None = None
    """Error of the step to the next frame along the optical flow."""
    error: VfxmatteError | None = None
    """Reason why the frame could not be measured."""


@dataclass(frozen=True, kw_only=True)
class Means:
    """Means over the frames that have a value; None where none has."""

    missed: float | None
    """Mean share of soft pixels that the trimap calls certain."""
    area: float | None
    """Mean ratio of the unknown area to the ideal one."""
    sad: float | None
    """Mean of `MatteErrors.sad`, as the next three."""
    mse: float | None
    grad: float | None
    conn: float | None
    dtssd: float | None
    """Mean error of the steps."""
    messddt: float | None
    """Mean error of the steps along the optical flow."""

    @classmethod
    def of(cls, frames: list[FrameEvaluation]) -> Means:
        """Average the values of the frames."""

        def mean(name: str, rows: Iterable[object]) -> float | None:
            values = [getattr(row, name) for row in rows if row is not None]
            values = [value for value in values if value is not None]
            return float(np.mean(values)) if values else None

        trimaps, mattes = [one.trimap for one in frames], [one.matte for one in frames]
        return cls(
            **{name: mean(name, trimaps) for name in ("missed", "area")},
            **{name: mean(name, mattes) for name in ("sad", "mse", "grad", "conn")},
            **{name: mean(name, frames) for name in ("dtssd", "messddt")},
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Solved:
    """A frame with a matte, to compare the next one with."""

    number: int
    alpha: FloatImage
    truth: FloatImage
    labels: Labels
    picture: Picture | None


@dataclass(kw_only=True)
class Evaluation:
    """Measures a shot's results against its true alpha."""

    run: Run
    """A prepared run, of which plate, plan and output folder are used."""
    alpha: FrameSequence
    """The true alpha, with the plate's frame numbers."""
    numbers: list[int] = field(init=False)
    """Frames that are measured, ascending."""
    band_px: float = field(init=False)
    """Half-width of the keyframes' band, and of the ideal trimaps' band."""

    def __post_init__(self) -> None:
        """Raise ShotError if plate and alpha share no frame; TrimapError, PlateError."""
        planned = self.run.plan.numbers
        self.numbers = [number for number in self.alpha.numbers if number in planned]
        if not self.numbers:
            raise ShotError(
                "the true alpha has no frame of the plate",
                shot=self.run.shot.name,
                path=self.alpha.pattern,
            )
        self._mattes = _results(self.run.shot.output, "matte.")
        self._trimaps = _results(self.run.shot.trimap_output, "trimap.")
        self.band_px = self._band()

    @property
    def has_mattes(self) -> bool:
        """True if any frame has a matte."""
        return any(number in self._mattes for number in self.numbers)

    def frames(self) -> Iterator[FrameEvaluation]:
        """Yield the frames of the true alpha, ascending; unreadable ones have an error.

        Each is yielded once its successor is read, which dtSSD and MESSDdt need.
        """
        waiting: FrameEvaluation | None = None
        before: _Solved | None = None
        for trimap in self._all_trimaps():
            evaluation, solved = self._frame(trimap)
            if waiting is not None:
                yield _with_motion(waiting, before, solved)
            waiting, before = evaluation, solved
        if waiting is not None:
            yield waiting

    def _frame(self, trimap: Trimap | Failure) -> tuple[FrameEvaluation, _Solved | None]:
        number = trimap.number
        try:
            if isinstance(trimap, Failure):
                raise trimap.error
            return self._measure(trimap)
        except Exception as error:
            if concerns_all_frames(error):
                raise
            failure = as_foreseen(error).at(shot=self.run.shot.name, frame=number)
            is_keyframe = number in self.run.plan.keyframes
            return FrameEvaluation(number=number, is_keyframe=is_keyframe, error=failure), None

    def _measure(self, trimap: Trimap) -> tuple[FrameEvaluation, _Solved | None]:
        number, truth = trimap.number, self._truth(trimap.number)
        solved = self._solved(trimap, truth)
        evaluation = FrameEvaluation(
            number=number,
            is_keyframe=trimap.is_keyframe,
            trimap=None if trimap.is_keyframe else self._score(trimap, truth),
            matte=None if solved is None else matte_errors(solved.alpha, truth, trimap.labels),
        )
        return evaluation, solved

    def _solved(self, trimap: Trimap, truth: FloatImage) -> _Solved | None:
        path = self._mattes.get(trimap.number)
        if path is None:
            return None
        canvas = self.run.plate.info.canvas
        return _Solved(
            number=trimap.number,
            alpha=read_matte(path, canvas),
            truth=truth,
            labels=trimap.labels,
            picture=self._picture(trimap.number),
        )

    def _score(self, trimap: Trimap, truth: FloatImage) -> TrimapScore:
        ideal = from_matte(truth, erode_px=self.band_px, dilate_px=self.band_px)
        return TrimapScore(
            number=trimap.number,
            missed=missed_share(trimap.labels, truth),
            area=area_ratio(trimap.labels, ideal),
            confidence=trimap.confidence,
        )

    # -- reading -----------------------------------------------------------------------------

    def _truth(self, number: int) -> FloatImage:
        path = self.alpha.existing_path(number)
        try:
            return read_matte(path, self.run.plate.info.canvas)
        except VfxmatteError as error:
            raise error.at(frame=number, path=path) from error.__cause__

    def _picture(self, number: int) -> Picture | None:
        """Return (H, W) uint8 display luma for the optical flow; None without a readable plate."""
        try:
            frame = self.run.plate.read(self.run.plan.sources[number])
        except PlateError:
            return None
        encoded = np.clip(to_network(frame, self.run.colours), 0, 1) * 255
        return grey(np.rint(encoded).astype(np.uint8))

    def _all_trimaps(self) -> Iterator[Trimap | Failure]:
        """Yield the trimaps that a run has written, or propagate them if one is missing."""
        keys = self.run.plan.keyframes
        if all(number in self._trimaps or number in keys for number in self.numbers):
            yield from map(self._written_trimap, self.numbers)
            return
        self.run.check_keyframes()
        yield from self.run.carried(set(self.numbers))

    def _written_trimap(self, number: int) -> Trimap | Failure:
        try:
            return self._trimap_of(number)
        except Exception as error:
            return Failure(number=number, error=error)

    def _trimap_of(self, number: int) -> Trimap:
        if number in self.run.plan.keyframes:
            return self.run.keyframes[number]
        path = self._trimaps[number]
        labels = labels_from_image(read_image(path).pixels)
        if labels.shape != self.run.plate.info.canvas.shape:
            raise TrimapError("this trimap has not the plate's size", frame=number, path=path)
        return Trimap(number=number, labels=labels, is_keyframe=False)

    def _band(self) -> float:
        """Return the mean half-width of a band with the area of the painted keyframes' bands."""
        bands, unread = [], []
        for number in self.run.plan.keyframes:
            if number in self.alpha.numbers:
                try:
                    labels, truth = self.run.keyframes[number].labels, self._truth(number)
                except VfxmatteError as error:
                    unread.append(error)
                    continue
                bands.append(equal_band_px(labels, truth))
        if unread and not bands:
            raise unread[0]
        if not bands:
            raise TrimapError(
                "no keyframe stands on a frame of the true alpha, so its band cannot be measured",
                shot=self.run.shot.name,
                path=self.alpha.pattern,
            )
        return float(np.mean(bands))


def open_alpha(
    shot_folder: Path | None, path: Path | None, subjects: Collection[str] = ()
) -> FrameSequence:
    """Find the true alpha: `path`, or `alpha/` in the shot's folder; raises ShotError.

    Args:
        subjects: the one of several subjects whose alpha is in `alpha/NAME/`; empty for a shot with
            a single one.
    """
    if path is not None:
        return find_sequence(whole_sequence(path))
    if shot_folder is None or not (shot_folder / "alpha").is_dir():
        raise ShotError(
            "there is no true alpha to compare with",
            path=None if shot_folder is None else shot_folder / "alpha",
            hint="give --alpha DIR, or put an image sequence into alpha/",
        )
    return find_sequence(shot_folder.joinpath("alpha", *subjects))


def equal_band_px(labels: Labels, truth: FloatImage) -> float:
    """Return the half-width of a band around `truth`'s edge with the unknown area of `labels`.

    Both are (H, W). The precision is 0.25 px; 0 where the soft pixels alone are more.
    """
    area = int(np.count_nonzero(labels == UNKNOWN))

    def reaches(band_px: float) -> bool:
        drawn = from_matte(truth, erode_px=band_px, dilate_px=band_px)
        return int(np.count_nonzero(drawn == UNKNOWN)) >= area

    low, high = 0.0, 1.0
    while not reaches(high) and high < _MAX_BAND_PX:
        low, high = high, 2 * high
    while high - low > 0.25:
        middle = (low + high) / 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return 0.0 if high <= 0.25 else high


def _with_motion(
    frame: FrameEvaluation, before: _Solved | None, after: _Solved | None
) -> FrameEvaluation:
    """Add the errors of the step from `before` (the matte of `frame`) to `after`."""
    if before is None or after is None:
        return frame
    alphas, truths = (before.alpha, after.alpha), (before.truth, after.truth)
    labels = before.labels, after.labels
    followed = None
    if before.picture is not None and after.picture is not None:
        flow = dense_flow(before.picture, after.picture)
        followed = messddt(alphas, truths, labels, flow)
    return replace(frame, dtssd=dtssd(alphas, truths, labels), messddt=followed)


def _results(folder: Path, head: str) -> Mapping[int, Path]:
    """Return the files of a run's output by frame number."""
    if not folder.is_dir():
        return {}
    chosen = [sequence for sequence in list_sequences(folder) if sequence.head == head]
    return {n: sequence.path(n) for sequence in chosen for n in sequence.numbers}
