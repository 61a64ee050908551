"""Weights of the matting networks; see `weights_file`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from vfxmatte.network import weights_file
from vfxmatte.network.architectures import network_config
from vfxmatte.network.dim import DeepImageMatting, DimConfig
from vfxmatte.network.sidecar import file_sha256, sidecar_path
from vfxmatte.network.weights_file import load_as, read_info_as, save_folded

__all__ = [
    "WeightsInfo",
    "file_sha256",
    "load_weights",
    "read_info",
    "save_weights",
    "sidecar_path",
]

WeightsInfo = weights_file.WeightsInfo[DimConfig]


def save_weights(
    path: Path,
    network: DeepImageMatting,
    *,
    name: str,
    licence: str = "Apache-2.0",
    training: Mapping[str, Any] | None = None,
    evaluation: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float16,
) -> WeightsInfo:
    """Write a folded network and its sidecar; each appears whole or not at all.

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
    return read_info(path)


def read_info(path: Path) -> WeightsInfo:
    """Read and check the sidecar of the weights at `path`; the tensors stay unread.

    Raises:
        WeightsError: no such file, no sidecar, or one that this version does not understand.
    """
    return read_info_as(path, network_config)


def load_weights(path: Path) -> tuple[DeepImageMatting, WeightsInfo]:
    """Load the folded network in float32 on the CPU, in eval mode, and its sidecar.

    Raises:
        WeightsError: damaged (the sha256 differs), another architecture, another encoding.
    """
    info = read_info(path)
    return load_as(info, lambda config: config.build()), info
