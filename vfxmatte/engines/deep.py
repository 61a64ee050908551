"""Deep Image Matting as an engine: frames cut into tiles, batched, solved, stitched.

Small tiles of several frames share a batch on a GPU; a large one fills it alone. On a CPU a batch
gains nothing, so tiles go one by one. A batch is filled up to its size, which the tile's size
decides, so that a matte never depends on the frames it was solved with. After an out-of-memory
error the batch, then the window, is halved and the work goes on.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vfxmatte.engines.base import EngineSettings, Precision, Task, known_alpha
from vfxmatte.errors import DeviceError, WeightsError
from vfxmatte.net.dim import STRIDE, DeepImageMatting
from vfxmatte.net.weights import DEFAULT_WEIGHTS, WeightsInfo, load_weights
from vfxmatte.tiling import Tile, pad_reflect, padded_size, plan_tiles
from vfxmatte.types import BACKGROUND, UNKNOWN, FloatImage, Labels, Matte

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
_ACTIVATIONS = 6  # full-resolution planes of the widest layer alive at once, measured
_MEMORY_SHARE = 0.25
_SMALLEST_WINDOW_PX = 256 * 256
_LARGEST_BATCH = 16
_FULL_PX = 1024 * 1024  # so many pixels at once keep a GPU busy


@dataclass(eq=False)
class _Open:
    """A frame under way: its padded network input, the alpha so far, the tiles not yet solved."""

    task: Task
    alpha: FloatImage
    network_input: FloatImage | None
    waiting: deque[Tile]


@dataclass(eq=False)
class DeepEngine:
    """The two-stage network on one device. Make it with `open`.

    window_px: most pixels of a window. batch: most windows at once. batch_px: no batch of several
    windows holds more pixels; None: `batch` alone decides.
    """

    network: DeepImageMatting
    info: WeightsInfo
    torch_device: torch.device
    dtype: torch.dtype
    window_px: int
    batch: int
    batch_px: int | None = None
    halo_px: int = field(init=False)

    def __post_init__(self) -> None:
        self.halo_px = self.network.config.halo_px()
        self.network = self.network.eval().requires_grad_(False)
        self.network = self.network.to(self.torch_device, self.dtype)
        self.network = self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def open(cls, settings: EngineSettings) -> DeepEngine:
        """Load the weights on the device that is asked for.

        Raises:
            WeightsError: no, damaged or unfitting weights. DeviceError: no such device.
        """
        device = choose_device(settings.device)
        network, info = load_weights(settings.weights or DEFAULT_WEIGHTS)
        dtype = choose_dtype(settings.precision, device)
        window_px = settings.max_window_px or _affordable_px(network, device, dtype)
        batch = settings.batch or (_LARGEST_BATCH if device.type == "cuda" else 1)
        batch_px = None if settings.batch else _FULL_PX
        if device.type == "cuda" and settings.max_window_px is None:
            window_px = max(_SMALLEST_WINDOW_PX, min(window_px // 4, 2048 * 2048))
        return cls(network, info, device, dtype, window_px, batch, batch_px)

    @property
    def device(self) -> str:
        if self.torch_device.type == "cuda":
            return f"{self.torch_device} ({torch.cuda.get_device_name(self.torch_device)})"
        return str(self.torch_device)

    def describe(self) -> Mapping[str, Any]:
        return {
            "engine": "dim",
            "weights": self.info.sha256,
            "precision": str(self.dtype).removeprefix("torch."),
        }

    def close(self) -> None:
        self.network.to("cpu")
        if self.torch_device.type == "cuda":
            torch.cuda.empty_cache()

    # -- streaming --------------------------------------------------------------------------

    def mattes(self, tasks: Iterable[Task]) -> Iterator[Matte]:
        """Solve tasks in order; tiles of up to a batch of frames are mixed."""
        frames: deque[_Open] = deque()
        for task in tasks:
            frames.append(self._begin(task))
            while self._has_batch(frames):
                self._solve_batch(frames)
            yield from _finished(frames)
        while frames:
            self._solve_batch(frames)
            yield from _finished(frames)

    def _begin(self, task: Task) -> _Open:
        labels = task.trimap.labels
        tiles = self._tiles(labels)
        network_input = None
        if tiles:
            trimap = (labels / np.float32(255)).astype(np.float32)
            trimap[labels == UNKNOWN] = 0.5
            stacked = np.concatenate((task.image, trimap[:, :, None]), 2)
            height, width = padded_size(labels.shape[0], labels.shape[1], STRIDE)
            network_input = pad_reflect(stacked, height, width)
        return _Open(task, known_alpha(labels), network_input, deque(tiles))

    def _tiles(self, labels: Labels) -> list[Tile]:
        return plan_tiles(labels, stride=STRIDE, halo_px=self.halo_px, max_window_px=self.window_px)

    def _batch_of(self, window_px: int) -> int:
        """How many windows of this size go at once."""
        if self.batch_px is None:
            return self.batch
        return max(1, min(self.batch, self.batch_px // window_px))

    def _has_batch(self, frames: Collection[_Open]) -> bool:
        """Whether a batch is complete, or has been waited for long enough."""
        chosen = self._next_batch(frames)
        if not chosen:
            return False
        size = self._batch_of(chosen[0][1].window.area)
        return len(chosen) == size or len(frames) > size

    def _next_batch(self, frames: Iterable[_Open]) -> list[tuple[_Open, Tile]]:
        """Tiles of one shape, oldest frame first, up to a batch."""
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
            if not _out_of_memory(error):
                raise
            self._smaller(frames, chosen[0][1].window.area)
            return
        for (frame, tile), alpha in zip(chosen, alphas, strict=True):
            self._check_finite(frame, alpha)
            _stitch(frame, tile, alpha)
            frame.waiting.remove(tile)

    def _check_finite(self, frame: _Open, alpha: FloatImage) -> None:
        if not np.isfinite(alpha).all():
            raise WeightsError(
                f"the network's result is not a number in {self.describe()['precision']}",
                frame=frame.task.number,
                path=self.info.path,
                hint="use --precision bfloat16 or float32, or other weights",
            )

    def _forward(self, windows: list[FloatImage]) -> FloatImage:
        """(N, H, W) float32 clamped alphas; the batch is filled up to its size."""
        stacked = torch.from_numpy(np.stack(windows)).permute(0, 3, 1, 2)
        missing = self._batch_of(windows[0].shape[0] * windows[0].shape[1]) - len(windows)
        if missing:
            stacked = torch.cat((stacked, stacked.new_zeros(missing, *stacked.shape[1:])))
        batch = stacked.to(self.torch_device, self.dtype, non_blocking=True)
        batch = batch.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            alpha: Tensor = self.network(batch).alpha
        return alpha[: len(windows), 0].float().cpu().numpy()

    def _smaller(self, frames: Iterable[_Open], failed_px: int) -> None:
        """After an out-of-memory error with windows of this size: a smaller batch or window."""
        if self.torch_device.type == "cuda":
            torch.cuda.empty_cache()
        if self._batch_of(failed_px) > 1:
            self.batch = self._batch_of(failed_px) // 2
            return
        self.window_px = failed_px // 2
        for frame in frames:
            frame.waiting = deque(self._tiles(_still_unknown(frame)))
            if any(tile.window.area >= failed_px for tile in frame.waiting):
                raise DeviceError(
                    f"{self.device} has too little memory for a window of {failed_px} pixels, "
                    "and none smaller can be cut",
                    frame=frame.task.number,
                    hint="close other programs, or use --device cpu",
                )


def _cut(frame: _Open, tile: Tile) -> FloatImage:
    assert frame.network_input is not None
    return np.ascontiguousarray(frame.network_input[tile.window.slices])


def _still_unknown(frame: _Open) -> Labels:
    """The labels, with nothing unknown but what the waiting tiles are to solve."""
    labels = frame.task.trimap.labels.copy()
    solved = np.ones(labels.shape, bool)
    for tile in frame.waiting:
        solved[tile.core.slices] = False
    labels[solved] = BACKGROUND
    return labels


def _stitch(frame: _Open, tile: Tile, alpha: FloatImage) -> None:
    """Keep the core's unknown pixels."""
    unknown = frame.task.trimap.labels[tile.core.slices] == UNKNOWN
    frame.alpha[tile.core.slices][unknown] = alpha[tile.core_in_window][unknown]


def _finished(frames: deque[_Open]) -> Iterator[Matte]:
    while frames and not frames[0].waiting:
        frame = frames.popleft()
        yield Matte(number=frame.task.number, alpha=frame.alpha)


def _out_of_memory(error: BaseException) -> bool:
    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text


def choose_device(name: str) -> torch.device:
    """auto, cpu, cuda or cuda:N as a torch device.

    Raises:
        DeviceError: a GPU that is not there, or a name that torch does not know.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"no device {name!r}", hint="use auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise DeviceError(
                f"{name} was asked for, and torch sees {count} GPUs",
                hint="use --device cpu, or install a torch build with CUDA and its driver",
            )
    elif device.type != "cpu":
        raise DeviceError(f"{name} is not supported", hint="use auto, cpu, cuda or cuda:N")
    return device


def choose_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The number format of the network's activations."""
    if precision == "auto":
        return torch.float16 if device.type == "cuda" else torch.float32
    return _DTYPES[precision]


def _affordable_px(network: DeepImageMatting, device: torch.device, dtype: torch.dtype) -> int:
    """How many pixels fit into a quarter of the device's memory: of its size, not of what is free
    now, so that the same machine always cuts the same tiles."""
    if device.type == "cuda":
        memory = torch.cuda.get_device_properties(device).total_memory
    else:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    per_pixel = _ACTIVATIONS * network.config.channels(64) * dtype.itemsize
    return max(_SMALLEST_WINDOW_PX, int(memory * _MEMORY_SHARE / per_pixel))
