"""Choose the engine that runs given weights: their sidecar names the network's architecture."""

from __future__ import annotations

from vfxmatte.engines.protocol import Engine, EngineSettings
from vfxmatte.network.sidecar import is_light


def open_weights(settings: EngineSettings) -> Engine:
    """Open the engine of the settings' weights, its model loaded.

    Raises:
        WeightsError: no, damaged or unfitting weights. DeviceError: no such device.
    """
    if is_light(settings.weights_path):
        from vfxmatte.engines.light import LightEngine

        return LightEngine.open(settings)
    from vfxmatte.engines.deep import DeepEngine

    return DeepEngine.open(settings)
