"""The dense solver: the network on windows of the picture.

On a GPU small windows of several frames share a batch; on a CPU a batch gains nothing, so windows
go one by one. A batch is padded to its full size, which depends on the window's size alone, so that
a matte never depends on the frames it was solved with. After an out-of-memory error the batch, then
the window, is halved.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vfxmatte.engines.answers import failure_of
from vfxmatte.engines.model import SMALLEST_PX, Model, network_input
from vfxmatte.engines.protocol import EngineSettings, Task, known_alpha
from vfxmatte.errors import DeviceError, WeightsError
from vfxmatte.network.dim import STRIDE
from vfxmatte.network.tiling import Tile, pad_reflect, padded_size, plan_tiles
from vfxmatte.types import BACKGROUND, UNKNOWN, Failure, FloatImage, Labels, Matte

_ACTIVATIONS = 6  # full-resolution planes of the widest layer alive at once, measured
_LARGEST_BATCH = 16
_FULL_PX = 1024 * 1024  # pixels at once that keep a GPU busy


@dataclass(eq=False)
class _Open:
    """A frame in progress, or its failure."""

    task: Task
    alpha: FloatImage
    """The result so far, (H, W)."""
    padded: FloatImage
    """The padded network input, (h, w, 4 + priors); empty without tiles."""
    waiting: deque[Tile]
    """The tiles that are not solved yet."""
    failure: Failure | None = None

    def fail(self, failure: Failure) -> None:
        self.failure = failure
        self.waiting.clear()


@dataclass(eq=False)
class WindowSolver:
    """Solves whole windows, and keeps the part of each that its border does not affect."""

    model: Model
    window_px: int
    """Most pixels of a window."""
    batch: int
    """Most windows at once."""
    batch_px: int | None = None
    """Most pixels of a batch of several windows; None: `batch` alone decides."""
    everything: bool = False
    """Whether the whole picture is computed, not only windows with unknown pixels."""
    halo_px: int = field(init=False)
    """Reach of the network, on its stride."""

    def __post_init__(self) -> None:
        self.halo_px = self.model.network.config.halo_px()

    @classmethod
    def of(cls, model: Model, settings: EngineSettings) -> WindowSolver:
        """Create a solver from settings; the window size defaults to what fits the memory."""
        on_gpu = model.device.type == "cuda"
        window_px = settings.max_window_px or model.affordable_px(_ACTIVATIONS)
        if on_gpu and settings.max_window_px is None:
            window_px = max(SMALLEST_PX, min(window_px // 4, 2048 * 2048))
        return cls(
            model,
            window_px,
            settings.batch or (_LARGEST_BATCH if on_gpu else 1),
            None if settings.batch else _FULL_PX,
            everything=settings.mode == "dense",
        )

    def describe(self) -> Mapping[str, Any]:
        """Return what decides the last bits beside the network: the windows' size, and on a CPU the
        number of threads, by which oneDNN orders its sums."""
        mode = "dense" if self.everything else "windows"
        described: dict[str, Any] = {"mode": mode, "window_px": self.window_px}
        if self.model.device.type == "cpu":
            described["threads"] = torch.get_num_threads()
        return described

    def free_memory(self) -> None:
        """Do nothing: frames share no memory."""

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte | Failure]:
        """Solve tasks in order; tiles of up to a batch of frames are mixed.

        Raises a batch's error; `answers` finds out which of its frames is at fault.
        """
        frames: deque[_Open] = deque()
        for task in tasks:
            frames.append(self._begun(task))
            while self._has_batch(frames):
                self._solve_batch(frames)
            yield from _finished(frames)
        while frames:
            self._solve_batch(frames)
            yield from _finished(frames)

    def _begun(self, task: Task) -> _Open:
        try:
            return self._begin(task)
        except Exception as error:
            failure = failure_of(task, error)
            return _Open(task, known_alpha(task.trimap.labels), _nothing(), deque(), failure)

    def _begin(self, task: Task) -> _Open:
        labels = task.trimap.labels
        tiles = self._tiles(self._labels_to_solve(labels))
        padded = _nothing()
        if tiles:
            height, width = padded_size(labels.shape[0], labels.shape[1], STRIDE)
            stacked = network_input(task, self.model.priors(task))
            padded = pad_reflect(stacked, height, width)
        return _Open(task, known_alpha(labels), padded, deque(tiles))

    def _labels_to_solve(self, labels: Labels) -> Labels:
        if self.everything and (labels == UNKNOWN).any():
            return np.full_like(labels, UNKNOWN)
        return labels

    def _tiles(self, labels: Labels) -> list[Tile]:
        return plan_tiles(labels, stride=STRIDE, halo_px=self.halo_px, max_window_px=self.window_px)

    def _batch_of(self, window_px: int) -> int:
        """Return how many windows of this size fit into a batch."""
        if self.batch_px is None:
            return self.batch
        return max(1, min(self.batch, self.batch_px // window_px))

    def _has_batch(self, frames: Collection[_Open]) -> bool:
        """Return True if a batch is complete, or more frames wait than it holds."""
        chosen = self._next_batch(frames)
        if not chosen:
            return False
        size = self._batch_of(chosen[0][1].window.area)
        return len(chosen) == size or len(frames) > size

    def _next_batch(self, frames: Iterable[_Open]) -> list[tuple[_Open, Tile]]:
        """Choose tiles of one shape, oldest frame first, up to a batch."""
        waiting = ((frame, tile) for frame in frames for tile in frame.waiting)
        oldest = next(waiting, None)
        if oldest is None:
            return []
        window = oldest[1].window
        alike = (pair for pair in waiting if pair[1].window.shape == window.shape)
        return [oldest, *islice(alike, self._batch_of(window.area) - 1)]

    def _solve_batch(self, frames: Collection[_Open]) -> None:
        chosen = self._next_batch(frames)
        if not chosen:
            return
        try:
            alphas = self._forward([_cut(frame, tile) for frame, tile in chosen])
        except RuntimeError as error:
            if not self.model.out_of_memory(error):
                raise self.model.lost(error, chosen[0][0].task.number) from error
            self._smaller(frames, chosen[0][1].window.area)
            return
        for (frame, tile), alpha in zip(chosen, alphas, strict=True):
            if frame.failure is not None:  # another tile of this batch was not a number
                continue
            try:
                self.model.check_finite(alpha, frame.task.number)
            except WeightsError as error:
                frame.fail(failure_of(frame.task, error))
                continue
            _stitch(frame, tile, alpha)
            frame.waiting.remove(tile)

    def _forward(self, windows: list[FloatImage]) -> FloatImage:
        """Run the network: (N, H, W) float32 clamped alphas; the batch is padded to its size."""
        stacked = torch.from_numpy(np.stack(windows)).permute(0, 3, 1, 2)
        missing = self._batch_of(windows[0].shape[0] * windows[0].shape[1]) - len(windows)
        if missing:
            stacked = torch.cat((stacked, stacked.new_zeros(missing, *stacked.shape[1:])))
        batch = stacked.to(self.model.device, self.model.dtype, non_blocking=True)
        batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            alpha: Tensor = self.model.network(batch).alpha
        return alpha[: len(windows), 0].float().cpu().numpy()

    def _smaller(self, frames: Iterable[_Open], failed_px: int) -> None:
        """Reduce the batch, then the window, after an out-of-memory error at this window size."""
        self.model.free_memory()
        if self._batch_of(failed_px) > 1:
            self.batch = self._batch_of(failed_px) // 2
            return
        self.window_px = failed_px // 2
        for frame in frames:
            frame.waiting = deque(self._tiles(_still_wanted(frame)))
            if any(tile.window.area >= failed_px for tile in frame.waiting):
                raise DeviceError(
                    f"{self.model.name} has too little memory for a window of {failed_px} pixels, "
                    "and none smaller can be cut",
                    frame=frame.task.number,
                    hint="close other programs, or use --device cpu",
                )


def _cut(frame: _Open, tile: Tile) -> FloatImage:
    return np.ascontiguousarray(frame.padded[tile.window.slices])


def _still_wanted(frame: _Open) -> Labels:
    """Return the labels, unknown only where waiting tiles will solve."""
    labels = frame.task.trimap.labels.copy()
    solved = np.ones(labels.shape, bool)
    for tile in frame.waiting:
        solved[tile.core.slices] = False
    labels[solved] = BACKGROUND
    return labels


def _stitch(frame: _Open, tile: Tile, alpha: FloatImage) -> None:
    """Write the core's unknown pixels into the frame's alpha."""
    unknown = frame.task.trimap.labels[tile.core.slices] == UNKNOWN
    frame.alpha[tile.core.slices][unknown] = alpha[tile.core_in_window][unknown]


def _finished(frames: deque[_Open]) -> Iterator[Matte | Failure]:
    while frames and not frames[0].waiting:
        frame = frames.popleft()
        yield frame.failure or Matte(number=frame.task.number, alpha=frame.alpha)


def _nothing() -> FloatImage:
    return np.empty((0, 0, 0), np.float32)
