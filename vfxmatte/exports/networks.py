"""The networks that can be exported, from their weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vfxmatte.network.dim import DeepImageMatting
from vfxmatte.network.light import LightConfig, LightMatting
from vfxmatte.network.light_weights import load_light
from vfxmatte.network.sidecar import read_sidecar
from vfxmatte.network.weights import load_weights
from vfxmatte.network.weights_file import WeightsInfo


def load_any(path: Path) -> tuple[DeepImageMatting | LightMatting, WeightsInfo[Any]]:
    """Load a network without gradients, in float32 on the CPU, with the content of its sidecar.

    Raises:
        WeightsError: no, damaged or unfitting weights.
    """
    if read_sidecar(path).get("architecture") == LightConfig.architecture:
        light, light_info = load_light(path)
        return light.requires_grad_(False), light_info
    network, info = load_weights(path)
    return network.requires_grad_(False), info
