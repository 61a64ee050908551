"""Which engine runs which weights: their sidecar names the network's architecture."""

from __future__ import annotations

from vfxmatte.engines.protocol import Engine, EngineSettings
from vfxmatte.network.light import LightConfig
from vfxmatte.network.sidecar import DEFAULT_WEIGHTS, read_sidecar


def open_weights(settings: EngineSettings) -> Engine:
    """Open the engine of the settings' weights, its model loaded.

    Raises:
        WeightsError: no, damaged or unfitting weights. DeviceError: no such device.
    """
    record = read_sidecar(settings.weights or DEFAULT_WEIGHTS)
    if record.get("architecture") == LightConfig.architecture:
        from vfxmatte.engines.light import LightEngine

        return LightEngine.open(settings)
    from vfxmatte.engines.deep import DeepEngine

    return DeepEngine.open(settings)
