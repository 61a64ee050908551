"""How good the results of a shot are, where its true alpha is known.

Trimaps: `missed` and `area` (see `qc`). Mattes: SAD, MSE, Grad, Conn on the unknown region, and
over time dtSSD and MESSDdt (see `metrics`). Reads what a run has written; trimaps that are not
there are carried through time as a run would do it. Holds few frames at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
from vfxmatte.io.images import read_image
from vfxmatte.io.sequence import FrameSequence, find_sequence, list_sequences, whole_sequence
from vfxmatte.io.writers import read_matte
from vfxmatte.pipeline.run import Run
from vfxmatte.propagation.confidence import TrimapScore, area_ratio, missed_share
from vfxmatte.propagation.flow import Picture, dense_flow, grey
from vfxmatte.propagation.shot_trimaps import carry
from vfxmatte.review.metrics import MatteErrors, dtssd, matte_errors, messddt
from vfxmatte.trimaps import from_matte, labels_from_image
from vfxmatte.types import UNKNOWN, Failure, FloatImage, Labels, Trimap

_WIDEST_BAND_PX = 256.0


@dataclass(frozen=True, kw_only=True)
class FrameEvaluation:
    """One frame against the truth; what there is no file or no next frame for is None.

    trimap: None for keyframes too. dtssd, messddt: from this frame to the next one. error: why
    there is nothing of this frame.
    """

    number: int
    is_keyframe: bool
    trimap: TrimapScore | None = None
    matte: MatteErrors | None = None
    dtssd: float | None = None
    messddt: float | None = None
    error: VfxmatteError | None = None


@dataclass(frozen=True, kw_only=True)
class Means:
    """Means over the frames that have a value; None where none has."""

    missed: float | None
    area: float | None
    sad: float | None
    mse: float | None
    grad: float | None
    conn: float | None
    dtssd: float | None
    messddt: float | None

    @classmethod
    def of(cls, frames: list[FrameEvaluation]) -> Means:
        trimaps = [frame.trimap for frame in frames if frame.trimap]
        mattes = [frame.matte for frame in frames if frame.matte]
        return cls(
            missed=_mean([one.missed for one in trimaps]),
            area=_mean([one.area for one in trimaps]),
            sad=_mean([one.sad for one in mattes]),
            mse=_mean([one.mse for one in mattes]),
            grad=_mean([one.grad for one in mattes]),
            conn=_mean([one.conn for one in mattes]),
            dtssd=_mean([frame.dtssd for frame in frames if frame.dtssd is not None]),
            messddt=_mean([frame.messddt for frame in frames if frame.messddt is not None]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Solved:
    """A frame with a matte: all that the next one is compared with."""

    number: int
    alpha: FloatImage
    truth: FloatImage
    labels: Labels
    picture: Picture | None


@dataclass(kw_only=True)
class Evaluation:
    """A shot's results against its true alpha.

    run: the prepared run; only its plate, plan and output folder are used.
    alpha: the true alpha, an image sequence with the plate's frame numbers.
    band_px: half-width of the keyframes' band, from which the ideal trimap is drawn.
    """

    run: Run
    alpha: FrameSequence
    numbers: list[int] = field(init=False)
    band_px: float = field(init=False)

    def __post_init__(self) -> None:
        """Raises ShotError where plate and alpha share no frame, TrimapError, PlateError."""
        wanted = self.run.plan.numbers
        self.numbers = [number for number in self.alpha.numbers if number in wanted]
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
        return any(number in self._mattes for number in self.numbers)

    def frames(self) -> Iterator[FrameEvaluation]:
        """Each frame that the true alpha has, ascending; one that cannot be read has an error.

        A frame's dtSSD and MESSDdt need the next one, so each comes when its successor is read.
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
            return self._measured(trimap)
        except Exception as error:
            if concerns_all_frames(error):
                raise
            failure = as_foreseen(error).at(shot=self.run.shot.name, frame=number)
            is_keyframe = number in self.run.plan.keyframes
            return FrameEvaluation(number=number, is_keyframe=is_keyframe, error=failure), None

    def _measured(self, trimap: Trimap) -> tuple[FrameEvaluation, _Solved | None]:
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

    # -- where things come from ------------------------------------------------------------------

    def _truth(self, number: int) -> FloatImage:
        path = self.alpha.existing_path(number)
        try:
            return read_matte(path, self.run.plate.info.canvas)
        except VfxmatteError as error:
            raise error.at(frame=number, path=path) from error.__cause__

    def _picture(self, number: int) -> Picture | None:
        """(H, W) uint8 luma as on a display, for the motion; None where the plate is unreadable."""
        try:
            frame = self.run.plate.read(self.run.plan.sources[number])
        except PlateError:
            return None
        shown = np.clip(to_network(frame, self.run.colours), 0, 1) * 255
        return grey(np.rint(shown).astype(np.uint8))

    def _keyframe(self, number: int) -> Trimap:
        return self.run.keyframes[number]

    def _all_trimaps(self) -> Iterator[Trimap | Failure]:
        """As written by a run where all are there, else carried through time now."""
        keys = self.run.plan.keyframes
        if all(number in self._trimaps or number in keys for number in self.numbers):
            yield from map(self._written_trimap, self.numbers)
            return
        self.run.check_keyframes()
        yield from carry(
            self.run.keyframes,
            self.run.plan.trail,
            self.run.proxies,
            self.run.settings.propagation,
            wanted=set(self.numbers),
            workers=self.run.workers,
        )

    def _written_trimap(self, number: int) -> Trimap | Failure:
        try:
            return self._trimap_of(number)
        except Exception as error:
            return Failure(number=number, error=error)

    def _trimap_of(self, number: int) -> Trimap:
        if number in self.run.plan.keyframes:
            return self._keyframe(number)
        path = self._trimaps[number]
        labels = labels_from_image(read_image(path).pixels)
        if labels.shape != self.run.plate.info.canvas.shape:
            raise TrimapError("this trimap has not the plate's size", frame=number, path=path)
        return Trimap(number=number, labels=labels, is_keyframe=False)

    def _band(self) -> float:
        """The band, eroded and dilated alike, whose area is that of the painted keyframes."""
        bands, unread = [], []
        for number in self.run.plan.keyframes:
            if number in self.alpha.numbers:
                try:
                    labels, truth = self._keyframe(number).labels, self._truth(number)
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


def open_alpha(shot_folder: Path | None, given: Path | None) -> FrameSequence:
    """The true alpha: `given`, or `alpha/` in the shot's folder; raises ShotError."""
    if given is not None:
        return find_sequence(whole_sequence(given))
    if shot_folder is None or not (shot_folder / "alpha").is_dir():
        raise ShotError(
            "there is no true alpha to compare with",
            path=None if shot_folder is None else shot_folder / "alpha",
            hint="give --alpha DIR, or put an image sequence into alpha/",
        )
    return find_sequence(shot_folder / "alpha")


def equal_band_px(labels: Labels, truth: FloatImage) -> float:
    """How far a trimap drawn from `truth` must reach, inward and outward, to have `labels`' area.

    Both (H, W). To a quarter of a pixel; 0 where even the soft pixels alone are more.
    """
    area = int(np.count_nonzero(labels == UNKNOWN))

    def reaches(band_px: float) -> bool:
        drawn = from_matte(truth, erode_px=band_px, dilate_px=band_px)
        return int(np.count_nonzero(drawn == UNKNOWN)) >= area

    low, high = 0.0, 1.0
    while not reaches(high) and high < _WIDEST_BAND_PX:
        low, high = high, 2 * high
    while high - low > 0.25:
        middle = (low + high) / 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return 0.0 if high <= 0.25 else high


def _with_motion(
    frame: FrameEvaluation, before: _Solved | None, after: _Solved | None
) -> FrameEvaluation:
    """With the errors of the step from `before` (that of `frame`) to `after`."""
    if before is None or after is None:
        return frame
    alphas, truths = (before.alpha, after.alpha), (before.truth, after.truth)
    labels = before.labels, after.labels
    followed = None
    if before.picture is not None and after.picture is not None:
        flow = dense_flow(before.picture, after.picture)
        followed = messddt(alphas, truths, labels, flow)
    return FrameEvaluation(
        number=frame.number,
        is_keyframe=frame.is_keyframe,
        trimap=frame.trimap,
        matte=frame.matte,
        dtssd=dtssd(alphas, truths, labels),
        messddt=followed,
    )


def _results(folder: Path, head: str) -> Mapping[int, Path]:
    """Files of a run's output by frame number; {} where there are none."""
    if not folder.is_dir():
        return {}
    chosen = [sequence for sequence in list_sequences(folder) if sequence.head == head]
    return {n: sequence.path(n) for sequence in chosen for n in sequence.numbers}


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
