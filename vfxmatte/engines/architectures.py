"""Which engine runs which weights: their sidecar names the network's architecture."""

from __future__ import annotations

import importlib

from vfxmatte.engines.base import Engine, EngineSettings
from vfxmatte.errors import WeightsError
from vfxmatte.network.sidecar import DEFAULT_WEIGHTS, read_sidecar

_OPENERS = {
    "dim": ("vfxmatte.engines.deep", "DeepEngine"),
    "light": ("vfxmatte.engines.light", "LightEngine"),
}
"""By architecture: a module, and in it a class whose `open` takes `EngineSettings`."""

OLDEST = "dim"
"""What sidecars without an architecture mean."""


def open_weights(settings: EngineSettings) -> Engine:
    """The engine of the settings' weights, its model loaded.

    Raises:
        WeightsError: no, damaged or unfitting weights. DeviceError: no such device.
    """
    path = settings.weights or DEFAULT_WEIGHTS
    architecture = str(read_sidecar(path).get("architecture", OLDEST))
    if architecture not in _OPENERS:
        raise WeightsError(
            f"these weights are of an unknown architecture: {architecture!r}",
            path=path,
            hint=f"this version knows {', '.join(sorted(_OPENERS))}; update vfxmatte",
        )
    module, name = _OPENERS[architecture]
    engine: Engine = getattr(importlib.import_module(module), name).open(settings)
    return engine
