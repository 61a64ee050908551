"""The sparse solver: the network only at the pixels that the unknown region depends on.

Threads prepare frames: they list and gather the pixels. On a GPU the next frame is copied and
launched while the previous one is computed, so that the GPU never waits. After an out-of-memory
error the unknown region is cut in two, and each half is solved by itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vfxmatte.common.parallel import ordered_map
from vfxmatte.engines.answers import failure_of
from vfxmatte.engines.model import SMALLEST_PX, Model, trimap_values
from vfxmatte.engines.protocol import EngineSettings, Task, known_alpha
from vfxmatte.engines.transfer import Mark, transfer_to
from vfxmatte.errors import DeviceError
from vfxmatte.network.dim import STRIDE
from vfxmatte.network.dim_at_pixels import SparseNetwork, device_levels
from vfxmatte.network.reach import PixelPyramid, Reach, pixel_pyramid
from vfxmatte.network.tiling import padded_size, reflected
from vfxmatte.types import UNKNOWN, Failure, FloatImage, Mask, Matte

FAST_REACH_PX = 96
"""Reach of the fast mode, half that of the network; its error is in docs/lab."""

_PLANES = 4  # values of the widest layer alive per listed pixel: two results, skips, indices
_SMALLEST_SIDE_PX = 32  # an unknown region is not cut further


@dataclass(eq=False)
class _Piece:
    """A part of a frame's unknown pixels."""

    unknown: Mask
    """(H, W), over the padded picture."""
    pyramid: PixelPyramid
    """The pixels that they depend on."""
    picture: Tensor
    """The network's input at these, (n, 4 + priors) float32."""


@dataclass(eq=False)
class _Open:
    """A frame in progress, or its failure."""

    task: Task
    priors: FloatImage = field(default_factory=lambda: np.empty((0, 0, 0), np.float32))
    """(H, W, priors), empty where nothing is unknown."""
    pieces: list[_Piece] = field(default_factory=list)
    alphas: list[Tensor] = field(default_factory=list)
    """One for each piece, complete once `done` is reached."""
    done: Mark | None = None
    failure: Failure | None = None


@dataclass(eq=False)
class SparseSolver:
    """The network at listed pixels, frame by frame."""

    model: Model
    reach: Reach
    """How far from the unknown pixels each layer is computed."""
    reach_px: int | None
    """The limit of that reach; None: all that the result depends on."""
    most_px: int
    """Most pixels that a piece of the unknown region may depend on."""

    def __post_init__(self) -> None:
        self._network = SparseNetwork(self.model.network)
        self._transfer = transfer_to(self.model.device)

    @classmethod
    def of(cls, model: Model, settings: EngineSettings) -> SparseSolver:
        """Create a solver from settings; the piece size defaults to what fits the memory."""
        reach = model.network.config.reach()
        reach_px = FAST_REACH_PX if settings.mode == "fast" else None
        return cls(
            model,
            reach if reach_px is None else reach.at_most(reach_px),
            reach_px,
            settings.max_window_px or model.affordable_px(_PLANES),
        )

    def describe(self) -> Mapping[str, Any]:
        """Return what decides the result beside the network.

        The bits depend neither on the number of threads nor on the size of the pieces."""
        return {} if self.reach_px is None else {"reach_px": self.reach_px}

    def free_memory(self) -> None:
        """Release the workspace that frames share."""
        self._network.free_memory()

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte | Failure]:
        """Solve tasks in order; on a GPU one is copied and launched ahead of the one awaited."""
        waiting: deque[_Open] = deque()
        for frame in ordered_map(self._begun, tasks, workers=self._transfer.workers):
            self._launched(frame)
            waiting.append(frame)
            if len(waiting) > self._transfer.ahead:
                yield self._answer(waiting.popleft())
        while waiting:
            yield self._answer(waiting.popleft())

    # -- the steps of one frame, whose errors become its failure ----------------------------------

    def _begun(self, task: Task) -> _Open:
        try:
            return self._prepare(task)
        except Exception as error:
            return _Open(task, failure=failure_of(task, error))

    def _launched(self, frame: _Open) -> None:
        if frame.failure is None:
            try:
                self._launch(frame)
            except Exception as error:
                frame.failure = failure_of(frame.task, error)

    def _answer(self, frame: _Open) -> Matte | Failure:
        if frame.failure is not None:
            return frame.failure
        try:
            return self._collected(frame)
        except Exception as error:
            return failure_of(frame.task, error)

    def _prepare(self, task: Task) -> _Open:
        labels = task.trimap.labels
        height, width = padded_size(labels.shape[0], labels.shape[1], STRIDE)
        unknown = np.zeros((height, width), bool)
        unknown[: labels.shape[0], : labels.shape[1]] = labels == UNKNOWN
        if not unknown.any():
            return _Open(task)
        frame = _Open(task, self.model.priors(task))
        frame.pieces = list(self._pieces(frame, unknown))
        return frame

    def _pieces(self, frame: _Open, unknown: Mask) -> Iterator[_Piece]:
        """Cut the unknown region until every piece depends on few enough pixels."""
        pyramid = pixel_pyramid(unknown, self.reach)
        halves = _halves(unknown) if len(pyramid.levels[0]) > self.most_px else []
        if halves:
            for half in halves:
                yield from self._pieces(frame, half)
        else:
            yield _Piece(unknown, pyramid, self._picture(frame, pyramid))

    def _picture(self, frame: _Open, pyramid: PixelPyramid) -> Tensor:
        """Gather the network's input at the listed pixels, (n, 4 + priors) float32."""
        labels, full = frame.task.trimap.labels, pyramid.levels[0]
        rows = reflected(labels.shape[0], full.shape[0])[full.y]
        place = rows * labels.shape[1] + reflected(labels.shape[1], full.shape[1])[full.x]
        picture = self._transfer.room(len(place), self.model.channels)
        values = picture.numpy()
        values[:, :3] = frame.task.image.reshape(-1, 3).take(place, 0)
        values[:, 3] = trimap_values(labels.reshape(-1).take(place))
        values[:, 4:] = frame.priors.reshape(labels.size, self.model.channels - 4).take(place, 0)
        return picture

    # -- on the device ----------------------------------------------------------------------------

    def _launch(self, frame: _Open) -> None:
        """Launch a frame's pieces on the device; on a GPU this returns before they are solved."""
        todo = deque(frame.pieces)
        frame.pieces = []
        while todo:
            piece = todo.popleft()
            try:
                alpha = self._solve(piece)
            except RuntimeError as error:
                if not self.model.out_of_memory(error):
                    raise self.model.lost(error, frame.task.number) from error
                todo.extendleft(reversed(self._smaller(frame, piece)))
                continue
            frame.pieces.append(piece)
            frame.alphas.append(alpha)
        frame.done = self._transfer.mark()

    def _solve(self, piece: _Piece) -> Tensor:
        """Solve a piece: (n,) float32 alpha of its unknown pixels, in host memory."""
        lists = [array for level in piece.pyramid.levels for array in level.arrays]
        picture, *sent = self._transfer.send([piece.picture, *map(torch.from_numpy, lists)])
        levels = device_levels(piece.pyramid, sent)
        alpha = self._network(picture.to(self.model.dtype), levels, self.reach)
        return self._transfer.fetch(alpha)

    def _smaller(self, frame: _Open, piece: _Piece) -> list[_Piece]:
        """Cut a piece that was too large for the device in two, and limit all later ones."""
        self._network.free_memory()
        self.model.free_memory()
        failed = len(piece.pyramid.levels[0])
        halves = _halves(piece.unknown)
        if not halves:
            raise DeviceError(
                f"{self.model.name} has too little memory for {failed} pixels, "
                "and no fewer can be solved at once",
                frame=frame.task.number,
                hint="close other programs, or use --device cpu",
            )
        self.most_px = max(SMALLEST_PX, min(self.most_px, failed // 2))
        return [smaller for half in halves for smaller in self._pieces(frame, half)]

    def _collected(self, frame: _Open) -> Matte:
        """Wait for a frame and join its pieces."""
        number, labels = frame.task.number, frame.task.trimap.labels
        alpha = known_alpha(labels)
        try:
            if frame.done is not None:
                frame.done.synchronize()
        except RuntimeError as error:
            raise self.model.lost(error, number) from error
        for piece, values in zip(frame.pieces, frame.alphas, strict=True):
            solved: FloatImage = values.numpy()
            self.model.check_finite(solved, number)
            alpha[piece.unknown[: labels.shape[0], : labels.shape[1]]] = solved
        return Matte(number=number, alpha=alpha)


def _halves(unknown: Mask) -> list[Mask]:
    """Cut a region across its longer side into two parts with pixels in each; [] if too small."""
    rows, columns = np.flatnonzero(unknown.any(1)), np.flatnonzero(unknown.any(0))
    tall = rows[-1] - rows[0] >= columns[-1] - columns[0]
    places = rows if tall else columns
    if places[-1] - places[0] < _SMALLEST_SIDE_PX:
        return []
    middle = int(places[0] + places[-1] + 1) // 2
    before, after = unknown.copy(), unknown.copy()
    if tall:
        before[middle:], after[:middle] = False, False
    else:
        before[:, middle:], after[:, :middle] = False, False
    return [before, after]
