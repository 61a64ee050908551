"""Whatever solves a matte, as one callable: networks, and the classical yardsticks.

Yardsticks come from PyMatting: closed-form (Levin et al. 2008) and KNN matting (Chen et al. 2013).
They are slow, so their results are kept on disk, found again by a hash of what went in.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from vfxmatte.colour import decode_srgb
from vfxmatte.errors import UsageError
from vfxmatte.metrics import force_known
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels

STRIDE_PX = 32


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


class NetworkPredictor:
    """A weights file, run densely: padded by reflection to a multiple of 32, never resized."""

    def __init__(self, weights: Path, *, device: str = "cpu", name: str | None = None) -> None:
        from vfxmatte.net.weights import load_weights

        network, info = load_weights(weights)
        self.name = name or info.name or weights.stem
        self.sha256 = info.sha256
        self._device = device
        self._network = network.to(device)

    def __call__(self, image: FloatImage, labels: Labels) -> FloatImage:
        return network_alpha(self._network, image, labels, self._device)


def network_alpha(network: Any, image: FloatImage, labels: Labels, device: str) -> FloatImage:
    """The alpha (H, W) of one picture, in evaluation mode of the network, known pixels exact."""
    import torch

    trimap = labels.astype(np.float32) / 255
    trimap[labels == UNKNOWN] = 0.5
    stacked = np.concatenate((image, trimap[..., None]), axis=2)
    height, width = labels.shape
    padding = ((0, -height % STRIDE_PX), (0, -width % STRIDE_PX), (0, 0))
    padded = np.pad(stacked, padding, mode="reflect").transpose(2, 0, 1)[None]
    with torch.inference_mode():
        output = network(torch.from_numpy(np.ascontiguousarray(padded)).to(device))
    alpha = output.alpha[0, 0, :height, :width].float().cpu().numpy()
    return force_known(alpha, labels)


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
    return NetworkPredictor(Path(spec), device=device)
