"""Whatever solves a matte, as one callable: networks, and the classical yardsticks.

Yardsticks come from PyMatting: closed-form (Levin et al. 2008) and KNN matting (Chen et al. 2013).
They are slow, so their results are kept on disk, found again by a hash of what went in.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from vfxmatte.colour import decode_srgb
from vfxmatte.errors import UsageError
from vfxmatte.metrics import force_known
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels, Trimap


class Predictor(Protocol):
    """Solves one picture; `name` is what the tables call it."""

    @property
    def name(self) -> str: ...

    def __call__(self, image: FloatImage, labels: Labels) -> FloatImage:
        """(H, W, 3) float32 network-encoded RGB and (H, W) uint8 labels to (H, W) float32 alpha."""
        ...


class Yardstick:
    """A method of PyMatting on the encoded picture, or on the picture in linear light."""

    def __init__(self, name: str, method: str, *, linear: bool = False) -> None:
        self.name = name
        self.linear = linear
        self._method = method

    def __call__(self, image: FloatImage, labels: Labels) -> FloatImage:
        if not (labels == FOREGROUND).any():  # nothing pulls towards 1: the minimum is 0
            return np.zeros(labels.shape, np.float32)
        if not (labels == BACKGROUND).any():
            return np.ones(labels.shape, np.float32)
        import pymatting

        solve: Callable[[Any, Any], Any] = getattr(pymatting, self._method)
        picture = decode_srgb(image) if self.linear else image
        trimap = np.select([labels == BACKGROUND, labels == UNKNOWN], [0.0, 0.5], 1.0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a preconditioner that takes a second attempt
            alpha = solve(np.clip(picture, 0, None).astype(np.float64), trimap)
        return force_known(np.asarray(alpha, np.float32), labels)

    @property
    def key(self) -> str:
        """Tells results of this method and version from all others."""
        from importlib.metadata import version

        return f"{self._method} linear={self.linear} pymatting={version('pymatting')}"


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
        from vfxmatte.engines.base import EngineSettings, open_engine
        from vfxmatte.net.weights import read_info

        self.name = read_info(weights).name or weights.stem
        self._engine = open_engine(EngineSettings(weights=weights, device=device))

    def __call__(self, image: FloatImage, labels: Labels) -> FloatImage:
        from vfxmatte.engines.base import Task

        trimap = Trimap(number=0, labels=labels, is_keyframe=True)
        matte = next(iter(self._engine.mattes([Task(image=image, trimap=trimap)])))
        return matte.alpha


YARDSTICKS: dict[str, Yardstick] = {
    "closed-form": Yardstick("closed-form", "estimate_alpha_cf"),
    "closed-form-linear": Yardstick("closed-form-linear", "estimate_alpha_cf", linear=True),
    "knn": Yardstick("knn", "estimate_alpha_knn"),
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
