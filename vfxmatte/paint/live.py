"""The matte of what is visible, solved at the size at which it is shown."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.paint.engine_process import EngineLostError, EngineProcess
from vfxmatte.paint.pictures import Pictures
from vfxmatte.pipeline.settings import RunSettings, differences
from vfxmatte.trimaps import resized
from vfxmatte.types import FOREGROUND, UNKNOWN, FloatImage, Labels, Picture, Window

_MARGIN_PX = 32  # around what is visible, at its size: the engine sees what lies there


class LiveMatte:
    """Solves parts of frames in the engine's process; one at a time."""

    def __init__(self, engine: EngineProcess, pictures: Pictures, settings: RunSettings) -> None:
        self._engine, self._pictures = engine, pictures
        self._settings = _engine_record(settings)
        self._lock = threading.Lock()
        self._scratch = tempfile.TemporaryDirectory(prefix="vfxmatte-paint-")
        self._closed = False

    def close(self) -> None:
        """Wait for what is being solved, which ends with the engine, and solve nothing more."""
        with self._lock:
            self._closed = True
            self._scratch.cleanup()

    def warm(self) -> None:
        """Let the engine load its network, on a few pixels."""
        labels = np.zeros((32, 32), np.uint8)
        labels[:, 12:20], labels[:, 20:] = UNKNOWN, FOREGROUND
        with self._lock:
            self._solve(np.zeros((32, 32, 3), np.float32), labels)

    def solve(
        self, number: int, labels: Labels, visible: Window, level: int
    ) -> tuple[Picture, float]:
        """Return alpha (h, w) uint8 of a rectangle, reduced, and the seconds that it took.

        Args:
            labels: (H, W), the whole frame's.
            visible: the rectangle, aligned to the pixels of `level`.
            level: how often the picture is halved.
        """
        started = time.monotonic()
        step = 1 << level
        picture = self._pictures.frame(number).level(level)
        inner = _reduced(visible, step, picture.shape[:2])
        outer = _widened(inner, _MARGIN_PX, picture.shape[:2])
        rows, columns = outer.slices_in(Window.of_size(*picture.shape[1::-1]))
        outer_labels = labels[
            rows.start * step : rows.stop * step, columns.start * step : columns.stop * step
        ]
        trimap = resized(_padded(outer_labels, step), outer.shape)
        if (trimap == UNKNOWN).any():
            with self._lock:
                alpha = self._solve(picture[rows, columns], trimap)
        else:
            alpha = (trimap == FOREGROUND).astype(np.float32)
        part = alpha[inner.slices_in(outer)]
        return np.rint(part * 255).astype(np.uint8), time.monotonic() - started

    def _solve(self, linear: FloatImage, trimap: Labels) -> FloatImage:
        if self._closed:
            raise EngineLostError("the live matte is closed")
        place = [Path(self._scratch.name, name) for name in ("image", "trimap", "alpha")]
        height, width = trimap.shape
        place[0].write_bytes(np.ascontiguousarray(linear).tobytes())
        place[1].write_bytes(trimap.tobytes())
        place[2].write_bytes(bytes(4 * height * width))
        shape = [height, width]
        params = {
            "image": {"file": str(place[0]), "shape": [*shape, 3], "dtype": "float32"},
            "trimap": {"file": str(place[1]), "shape": shape, "dtype": "uint8"},
            "alpha": {"file": str(place[2]), "shape": shape, "dtype": "float32"},
            "settings": {"colorspace": self._pictures.linear, **self._settings},
        }
        self._engine.request("pixels", params)
        return np.frombuffer(place[2].read_bytes(), np.float32).reshape(height, width)


def _engine_record(settings: RunSettings) -> dict[str, Any]:
    """Return the settings that decide how a picture is solved, as a request names them."""
    engine = changes(EngineSettings(), settings.engine)
    record = {f"engine.{name}": value for name, value in engine.items()}
    if settings.ocio is not None:
        record["ocio"] = str(settings.ocio)
    return record


def changes(base: Any, settings: Any) -> dict[str, Any]:
    """Return what differs between two settings of a kind, by dotted names as in a request."""
    changed = differences(base, settings)
    return {name: value for name, value in changed if value is not None}


def _reduced(visible: Window, step: int, shape: tuple[int, int]) -> Window:
    """Return the window of a level's pixels that a rectangle of the full picture covers."""
    return Window(
        x_min=min(visible.x_min // step, shape[1] - 1),
        y_min=min(visible.y_min // step, shape[0] - 1),
        x_max=min(visible.x_max // step, shape[1] - 1),
        y_max=min(visible.y_max // step, shape[0] - 1),
    )


def _widened(window: Window, margin: int, shape: tuple[int, int]) -> Window:
    return Window(
        x_min=max(0, window.x_min - margin),
        y_min=max(0, window.y_min - margin),
        x_max=min(shape[1] - 1, window.x_max + margin),
        y_max=min(shape[0] - 1, window.y_max + margin),
    )


def _padded(labels: Labels, step: int) -> Labels:
    """Repeat the last row and column up to whole pixels of a level."""
    height, width = labels.shape
    return np.pad(labels, ((0, -height % step), (0, -width % step)), mode="edge")
