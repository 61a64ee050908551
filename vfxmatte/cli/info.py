"""`vfxmatte info`: what this installation has: devices, weights, codecs, colour, versions."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import click

from vfxmatte.cli.path_option import PathOption
from vfxmatte.colour import ColourConfig
from vfxmatte.engines.base import engine_names
from vfxmatte.errors import WeightsError
from vfxmatte.network.sidecar import DEFAULT_WEIGHTS, file_sha256, read_sidecar
from vfxmatte.pipeline.manifest import versions
from vfxmatte.review.preview import h264_encoder

_DECODERS = {
    "prores": "ProRes",
    "dnxhd": "DNxHD/HR",
    "h264": "H.264",
    "hevc": "H.265",
    "mjpeg": "Motion JPEG",
    "vp9": "VP9",
    "av1": "AV1",
}


@click.command()
@click.option("--weights", type=PathOption(), help="Weights to describe.")
@click.option("--ocio", type=PathOption(), help="OpenColorIO configuration.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def info(weights: Path | None, ocio: Path | None, as_json: bool) -> None:
    """List devices, weights (what they are, how good they measured), codecs, colour, versions.

    Exit codes: 0 done; 3 there are no usable weights.
    """
    described = _weights(weights or DEFAULT_WEIGHTS)
    found = {
        "devices": _devices(),
        "engines": list(engine_names()),
        "weights": described,
        "codecs": _codecs(),
        "colour": _colour(ocio),
        "versions": versions(),
    }
    if as_json:
        click.echo(json.dumps({"event": "info", **found}, ensure_ascii=False))
    else:
        for line in _lines(found):
            click.echo(line)
    if "error" in described:
        click.get_current_context().exit(WeightsError.exit_code)


def _devices() -> list[dict[str, Any]]:
    import torch

    devices: list[dict[str, Any]] = [
        {
            "name": "cpu",
            "description": f"{platform.processor() or platform.machine()}, "
            f"{torch.get_num_threads()} threads of {os.cpu_count()} processors",
        }
    ]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        devices.append({"name": f"cuda:{index}", "description": f"{properties.name}, {memory}"})
    return devices


def _weights(path: Path) -> dict[str, Any]:
    """The sidecar, and whether the file is the one that it describes."""
    try:
        record = read_sidecar(path)
    except WeightsError as error:
        return {"path": str(path), "error": str(error)}
    whole = file_sha256(path) == record.get("sha256")
    damaged = {} if whole else {"error": "damaged: the sha256 is not that of the sidecar"}
    names = ("name", "sha256", "licence", "encoding", "network", "training", "evaluation")
    return {"path": str(path), **{name: record.get(name) for name in names}, **damaged}


def _codecs() -> dict[str, Any]:
    available = av.codecs_available
    return {
        "movies read": [label for name, label in _DECODERS.items() if name in available],
        "movies written": [
            *(["ProRes 4444 (--movie)"] if "prores_ks" in available else []),
            *([f"H.264 by {h264_encoder()} (--preview movie)"] if h264_encoder() else []),
        ],
    }


def _colour(ocio: Path | None) -> dict[str, Any]:
    colours = ColourConfig.load(ocio)
    return {
        "configuration": colours.source,
        "scene_linear": colours.find("scene_linear"),
        "colorspaces": colours.names(),
    }


def _lines(found: Mapping[str, Any]) -> list[str]:
    said = [f"device     {one['name']}: {one['description']}" for one in found["devices"]]
    said.append(f"engines    {', '.join(found['engines'])}")
    said += _weights_lines(found["weights"])
    said += [f"{kind:14} {', '.join(names)}" for kind, names in found["codecs"].items()]
    colour = found["colour"]
    said.append(f"colour     {colour['configuration']}, scene-linear is {colour['scene_linear']}")
    said.append(f"           {', '.join(colour['colorspaces'])}")
    said.append(f"versions   {', '.join(f'{k} {v}' for k, v in found['versions'].items())}")
    return said


def _weights_lines(weights: Mapping[str, Any]) -> list[str]:
    said = [f"weights    {weights['path']}"]
    if "sha256" in weights:
        training = weights["training"] or {}
        said.append(f"           {weights['name']}, licence {weights['licence'] or 'not stated'}")
        said.append(f"           sha256 {weights['sha256']}")
        said.append(f"           network {_flat(weights['network'])}")
        steps = training.get("steps")
        known = "for an unknown time" if steps is None else f"{steps} steps in the last run"
        said.append(f"           trained {known}. {training.get('notes', '')}".rstrip())
        said += [f"           {line}" for line in _measured(weights["evaluation"])]
    if "error" in weights:
        said += [f"           no usable weights: {weights['error']}"]
    return said


def _measured(evaluation: Mapping[str, Any] | None) -> list[str]:
    """A line for each set: `measured: six photographs: sad 9.361, mse 0.0463`."""
    if not evaluation:
        return ["measured nothing: how good they are is not known"]
    return [f"measured: {name}: {_figures(row)}" for name, row in evaluation.items()]


def _figures(row: Any) -> str:
    if not isinstance(row, Mapping):
        return str(row)
    return ", ".join(f"{key} {value:.4g}" for key, value in row.items())


def _flat(record: Mapping[str, Any] | None, within: str = "") -> str:
    """`width 0.5, refine True`; tables inside with their name before."""
    parts = []
    for key, value in (record or {}).items():
        if isinstance(value, Mapping):
            parts.append(_flat(value, f"{within}{key} "))
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else value
            parts.append(f"{within}{key} {shown}")
    return ", ".join(part for part in parts if part)
