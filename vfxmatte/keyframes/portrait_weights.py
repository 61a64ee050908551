"""Weights of the portrait network, with the mean matte and λ; see `weights_file`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vfxmatte.errors import WeightsError
from vfxmatte.keyframes.portrait_network import PortraitConfig, PortraitMatting
from vfxmatte.network.weights_file import WeightsInfo, load_as, read_info_as

PortraitInfo = WeightsInfo[PortraitConfig]


def read_portrait_info(path: Path) -> PortraitInfo:
    """Read and check the sidecar; the tensors stay unread. Raises WeightsError."""

    def config(record: Mapping[str, Any]) -> PortraitConfig:
        if record.get("architecture") != PortraitConfig.architecture:
            raise WeightsError(
                "these are not weights for automatic trimaps",
                path=path,
                hint="`vfxmatte-train portraits` makes such weights; "
                "`run --weights` takes the others",
            )
        return PortraitConfig(**record["network"])

    return read_info_as(path, config)


def load_portrait_weights(path: Path) -> tuple[PortraitMatting, PortraitInfo]:
    """Load the folded network in float32 on the CPU, in eval mode, and its sidecar.

    Raises:
        WeightsError: missing, damaged (the sha256 differs), or of another architecture.
    """
    info = read_portrait_info(path)
    return load_as(info, PortraitMatting), info
