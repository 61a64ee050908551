"""Whatever solves a matte, as one callable: networks, and the classical yardsticks.

Yardsticks are classical engines: closed-form (Levin et al. 2006), KNN matting (Chen et al. 2013).
They are slow, so their results are kept on disk, found again by a hash of what went in.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from vfxmatte.engines.base import Engine, EngineSettings, Task, open_engine
from vfxmatte.engines.classical.settings import ClassicalSettings, Light
from vfxmatte.errors import UsageError
from vfxmatte.network.sidecar import read_sidecar
from vfxmatte.types import FloatImage, Labels, Trimap


class Predictor(Protocol):
    """Solves one picture; `name` is what the tables call it."""

    @property
    def name(self) -> str: ...

    def __call__(self, image: FloatImage, labels: Labels) -> FloatImage:
        """(H, W, 3) float32 network-encoded RGB and (H, W) uint8 labels to (H, W) float32 alpha."""
        ...


class Yardstick:
    """A classical engine of the library, on the picture as displayed, or in linear light."""

    def __init__(self, name: str, engine: str, *, linear: bool = False) -> None:
        self.name = name
        light: Light = "linear" if linear else "display"
        self._settings = EngineSettings(name=engine, classical=ClassicalSettings(light=light))

    def __call__(self, image: FloatImage, labels: Labels) -> FloatImage:
        return _solved(self._engine, image, labels)

    @cached_property
    def _engine(self) -> Engine:
        return open_engine(self._settings)

    @property
    def key(self) -> str:
        """Tells results of this method and version from all others."""
        return json.dumps(dict(self._engine.describe()), sort_keys=True)


class Remembered:
    """A yardstick whose results are kept in `folder` as 16-bit PNG (exact to 1e-5)."""

    def __init__(self, yardstick: Yardstick, folder: Path) -> None:
        self._yardstick = yardstick
        self._folder = folder

    @property
    def name(self) -> str:
        return self._yardstick.name

    def __call__(self, image: FloatImage, labels: Labels) -> FloatImage:
        path = self._folder / f"{self._hash(image, labels)}.png"
        if path.is_file():
            kept = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if kept is not None and kept.shape == labels.shape and kept.dtype == np.uint16:
                return (kept / np.float32(65535)).astype(np.float32)
        alpha = self._yardstick(image, labels)
        self._keep(path, alpha)
        return alpha

    def _hash(self, image: FloatImage, labels: Labels) -> str:
        digest = hashlib.sha256(f"{self._yardstick.key} {image.shape}".encode())
        digest.update(np.ascontiguousarray(image).tobytes())
        digest.update(np.ascontiguousarray(labels).tobytes())
        return digest.hexdigest()[:32]

    def _keep(self, path: Path, alpha: FloatImage) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = cv2.imencode(".png", np.round(alpha * 65535).astype(np.uint16))[1].tobytes()
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)


class EnginePredictor:
    """Weights, run by the engine that mattes shots, one picture at a time."""

    def __init__(self, weights: Path, *, device: str = "auto") -> None:
        self.name = str(read_sidecar(weights).get("name") or weights.stem)
        self._engine = open_engine(EngineSettings(weights=weights, device=device))

    def __call__(self, image: FloatImage, labels: Labels) -> FloatImage:
        return _solved(self._engine, image, labels)


def _solved(engine: Engine, image: FloatImage, labels: Labels) -> FloatImage:
    trimap = Trimap(number=0, labels=labels, is_keyframe=True)
    (matte,) = engine.mattes([Task(image=image, trimap=trimap)])
    return matte.alpha


YARDSTICKS: dict[str, Yardstick] = {
    "closed-form": Yardstick("closed-form", "closed-form"),
    "closed-form-linear": Yardstick("closed-form-linear", "closed-form", linear=True),
    "knn": Yardstick("knn", "knn"),
}
"""By the name that the command line knows them under."""


def open_predictor(spec: str, *, device: str, cache: Path) -> Predictor:
    """A yardstick by name, or a network from its weights file.

    Raises UsageError for a name that is neither, WeightsError for weights that cannot be used.
    """
    if spec in YARDSTICKS:
        return Remembered(YARDSTICKS[spec], cache)
    if not Path(spec).is_file():
        names = ", ".join(YARDSTICKS)
        raise UsageError(f"no weights file and no yardstick: {spec!r}", hint=f"yardsticks: {names}")
    return EnginePredictor(Path(spec), device=device)
