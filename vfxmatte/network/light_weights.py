"""Weights of the light network; see `weights_file`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vfxmatte.errors import WeightsError
from vfxmatte.network.light import LightConfig, LightMatting
from vfxmatte.network.sidecar import read_sidecar
from vfxmatte.network.weights_file import load_as, read_info_as, save_folded


def save_light_weights(
    path: Path,
    network: LightMatting,
    *,
    name: str,
    licence: str = "Apache-2.0",
    training: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float16,
) -> str:
    """Write a folded network and its sidecar, each whole or not at all; return the sha256.

    Raises:
        WeightsError: the network still has batch-norms, or a file cannot be written.
    """
    save_folded(
        path,
        network,
        network.config,
        name=name,
        licence=licence,
        training=training,
        evaluation=evaluation,
        dtype=dtype,
    )
    return str(read_sidecar(path)["sha256"])


def load_light_weights(path: Path) -> tuple[LightMatting, str]:
    """Load the folded network in float32 on the CPU, in eval mode, and the file's sha256.

    Raises:
        WeightsError: damaged (the sha256 differs), another architecture, another encoding.
    """
    info = read_info_as(path, _config)
    return load_as(info, LightMatting), info.sha256


def _config(record: Mapping[str, Any]) -> LightConfig:
    if record.get("architecture") != LightConfig.architecture:
        raise WeightsError("these are not weights of the light network")
    return LightConfig(**record["network"])
