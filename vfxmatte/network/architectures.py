"""The networks that weights can hold, by the name that sidecars and checkpoints give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vfxmatte.errors import WeightsError
from vfxmatte.network.course import CourseConfig
from vfxmatte.network.dim import DimConfig
from vfxmatte.network.light import LightConfig

ARCHITECTURES: dict[str, type[DimConfig]] = {
    config.architecture: config for config in (DimConfig, CourseConfig)
}
"""Configurations by name; `build` makes the network."""


def network_config(record: Mapping[str, Any]) -> DimConfig:
    """Read a network's configuration.

    Args:
        record: `architecture`, a name, and `network`, the configuration's fields.

    Raises:
        KeyError, TypeError, ValueError: this version has no such network.
        WeightsError: a network that only the engine runs.
    """
    record = _with_architecture(record)
    name = record["architecture"]
    if name == LightConfig.architecture:
        raise WeightsError(
            "these are weights of the light network, which can be run, evaluated and exported, but "
            "not trained further from weights",
            hint="give weights of Deep Image Matting here",
        )
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ValueError(f"no architecture {name!r}; there are {known}")
    return ARCHITECTURES[name](**record["network"])


def _with_architecture(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """Name the architecture of older records, which had two fields in its place."""
    if "architecture" in record:
        return record
    network = dict(record["network"])
    fields = network.pop("pools", 5), network.pop("adapter", False)
    names = {(5, False): DimConfig.architecture, (4, True): CourseConfig.architecture}
    if fields not in names:
        raise ValueError(f"no network with {fields[0]} poolings and adapter={fields[1]}")
    return {"architecture": names[fields], "network": network}
