"""Weights of the light network; see `weights_file`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vfxmatte.errors import WeightsError
from vfxmatte.network.light import LightConfig, LightMatting
from vfxmatte.network.weights_file import WeightsInfo, load_as, read_info_as


def load_light_weights(path: Path) -> tuple[LightMatting, str]:
    """Load the folded network in float32 on the CPU, in eval mode, and the file's sha256.

    Raises:
        WeightsError: damaged (the sha256 differs), another architecture, another encoding.
    """
    network, info = load_light(path)
    return network, info.sha256


def load_light(path: Path) -> tuple[LightMatting, WeightsInfo[LightConfig]]:
    """Load the network as `load_light_weights` does, with the content of its sidecar."""
    info = read_info_as(path, _config)
    return load_as(info, LightMatting), info


def _config(record: Mapping[str, Any]) -> LightConfig:
    if record.get("architecture") != LightConfig.architecture:
        raise WeightsError("these are not weights of the light network")
    return LightConfig(**record["network"])
