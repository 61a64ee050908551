"""Garbage, core and finished mattes, and edges, applied to trimaps before and to alpha after they
are solved."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import numpy as np

from vfxmatte.common.parallel import ordered_map
from vfxmatte.errors import concerns_all_frames
from vfxmatte.io.canvas import crop, lay_on
from vfxmatte.io.plate import PlateInfo
from vfxmatte.io.stills.halves import narrowed, widened
from vfxmatte.io.writers import OutputSettings, alpha_type
from vfxmatte.pipeline.edges import MatteSettings, shaped
from vfxmatte.pipeline.finished import read_finished
from vfxmatte.pipeline.plan import RunPlan
from vfxmatte.types import FOREGROUND, UNKNOWN, Failure, FloatImage, Frame, Labels, Matte, Trimap

_MOST = np.float32(65535)  # of uint16


@dataclass(frozen=True, kw_only=True)
class Controls:
    """Finished mattes, garbage and core mattes, and the settings of edges, frame by frame.

    A finished matte stays as it is: nothing limits or shapes it.
    """

    plan: RunPlan
    plate: PlateInfo
    edges: MatteSettings
    output: OutputSettings

    @property
    def change_alpha(self) -> bool:
        """Return True if solved alpha is not simply written."""
        return bool(self.plan.limits) or not self.edges.is_neutral

    def limited_trimaps(
        self, trimaps: Generator[Trimap | Failure], workers: int
    ) -> Generator[Trimap | Failure]:
        """Make known in trimaps what garbage and core mattes know; in order."""
        if not self.plan.limits:
            return trimaps
        return ordered_map(self._limited_trimap, trimaps, workers=workers)

    def _limited_trimap(self, trimap: Trimap | Failure) -> Trimap | Failure:
        if isinstance(trimap, Failure) or trimap.number in self.plan.finished:
            return trimap
        try:
            limits = self.plan.limits.read(trimap.number)
        except Exception as error:
            if concerns_all_frames(error):
                raise
            return Failure(number=trimap.number, error=error)
        return limits.trimap(trimap)

    def finished(self, number: int) -> Matte | None:
        """Return a frame's finished matte; None if it has none. Raises TrimapError."""
        path = self.plan.finished.get(number)
        if path is None:
            return None
        return Matte(number=number, alpha=read_finished(path, number, self.plate))

    def limited(self, matte: Matte) -> tuple[Matte, dict[str, float]]:
        """Limit solved alpha by the garbage and core mattes; returns it with figures to report."""
        if not self.plan.limits or matte.number in self.plan.finished:
            return matte, {}
        limits = self.plan.limits.read(matte.number)
        alpha = limits.alpha(matte.alpha)
        labels = None if matte.labels is None else _agreeing(matte.labels, alpha)
        return replace(matte, alpha=alpha, labels=labels), limits.stats()

    def shapes(self, number: int) -> bool:
        """Return True if a frame's alpha is written otherwise than it was solved."""
        return not self.edges.is_neutral and number not in self.plan.finished

    def shaped(self, matte: Matte, frame: Frame) -> Matte:
        """Shape the edges of solved alpha; garbage and core mattes hold for the result too."""
        shaped = self.limited(with_edges(matte, frame, self.edges, self.output))[0]
        return replace(shaped, labels=matte.labels)


def _agreeing(labels: Labels, alpha: FloatImage) -> Labels:
    """Return labels that are certain only where alpha is 0 or 1 accordingly."""
    certain = np.where(labels == FOREGROUND, alpha == 1, alpha == 0)
    return np.where(certain, labels, UNKNOWN).astype(np.uint8)


def with_edges(matte: Matte, frame: Frame, edges: MatteSettings, output: OutputSettings) -> Matte:
    """Shape the edges of a frame's solved alpha.

    Begins with alpha as a file of the output's kind holds it, so that it makes no difference
    whether alpha was solved just now or is read from there.
    """
    kind = alpha_type(output)
    window = frame.display_window if kind == "uint16" else frame.data_window
    alpha = crop(matte.alpha, frame.canvas, window)
    if kind == "half":
        alpha = widened(narrowed(alpha))
    elif kind == "uint16":
        alpha = np.rint(alpha * _MOST) / _MOST
    return replace(matte, alpha=lay_on(shaped(alpha, edges), window, frame.canvas))
