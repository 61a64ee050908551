"""Predictors of mattes: networks, and classical engines as yardsticks.

Yardsticks are closed-form (Levin et al. 2006) and KNN matting (Chen et al. 2013). They are slow,
so their results are cached on disk by a hash of their input.
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

from vfxmatte.engines.answers import solve_one
from vfxmatte.engines.classical.settings import ClassicalSettings, Light
from vfxmatte.engines.protocol import Engine, EngineSettings, Task
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import UsageError
from vfxmatte.network.sidecar import read_sidecar
from vfxmatte.types import FloatImage, Labels, Trimap


class Predictor(Protocol):
    """A solver of single pictures, named in the tables."""

    @property
    def name(self) -> str: ...

    def __call__(self, image: FloatImage, labels: Labels) -> FloatImage:
        """Solve (H, W, 3) float32 encoded RGB with (H, W) uint8 labels: (H, W) float32 alpha."""
        ...


class Yardstick:
    """A classical engine on the picture as displayed, or in linear light."""

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
        """A text that is unique to this method and version."""
        return json.dumps(dict(self._engine.describe()), sort_keys=True)


class CachedYardstick:
    """A yardstick with a cache of its results in `folder`, 16-bit PNG (exact to 1e-5)."""

    def __init__(self, yardstick: Yardstick, folder: Path) -> None:
        self._yardstick = yardstick
        self._folder = folder

    @property
    def name(self) -> str:
        return self._yardstick.name

    def __call__(self, image: FloatImage, labels: Labels) -> FloatImage:
        path = self._folder / f"{self._hash(image, labels)}.png"
        if path.is_file():
            cached = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            if cached is not None and cached.shape == labels.shape and cached.dtype == np.uint16:
                return (cached / np.float32(65535)).astype(np.float32)
        alpha = self._yardstick(image, labels)
        self._store(path, alpha)
        return alpha

    def _hash(self, image: FloatImage, labels: Labels) -> str:
        digest = hashlib.sha256(f"{self._yardstick.key} {image.shape}".encode())
        digest.update(np.ascontiguousarray(image).tobytes())
        digest.update(np.ascontiguousarray(labels).tobytes())
        return digest.hexdigest()[:32]

    def _store(self, path: Path, alpha: FloatImage) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        data = cv2.imencode(".png", np.round(alpha * 65535).astype(np.uint16))[1].tobytes()
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)


class EnginePredictor:
    """Weights in the engine that mattes shots, one picture at a time."""

    def __init__(self, weights: Path, *, device: str = "auto") -> None:
        self.name = str(read_sidecar(weights).get("name") or weights.stem)
        self._engine = open_engine(EngineSettings(weights=weights, device=device))

    def __call__(self, image: FloatImage, labels: Labels) -> FloatImage:
        return _solved(self._engine, image, labels)


def _solved(engine: Engine, image: FloatImage, labels: Labels) -> FloatImage:
    trimap = Trimap(number=0, labels=labels, is_keyframe=True)
    return solve_one(engine, Task(image=image, trimap=trimap)).alpha


YARDSTICKS: dict[str, Yardstick] = {
    "closed-form": Yardstick("closed-form", "closed-form"),
    "closed-form-linear": Yardstick("closed-form-linear", "closed-form", linear=True),
    "knn": Yardstick("knn", "knn"),
}
"""Yardsticks by their name on the command line."""


def open_predictor(spec: str, *, device: str, cache: Path) -> Predictor:
    """Open a yardstick by name, or a network from its weights file.

    Raises:
        UsageError: the name is neither.
        WeightsError: the weights cannot be used.
    """
    if spec in YARDSTICKS:
        return CachedYardstick(YARDSTICKS[spec], cache)
    if not Path(spec).is_file():
        names = ", ".join(YARDSTICKS)
        raise UsageError(f"no weights file and no yardstick: {spec!r}", hint=f"yardsticks: {names}")
    return EnginePredictor(Path(spec), device=device)
