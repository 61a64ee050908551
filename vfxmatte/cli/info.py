"""`vfxmatte info`: show devices, weights, codecs, colour spaces and versions."""

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
from vfxmatte.common.wording import counted
from vfxmatte.engines.registry import engine_names
from vfxmatte.errors import WeightsError
from vfxmatte.network.sidecar import check_intact, named_weights, read_sidecar
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
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
def info(weights: Path | None, ocio: Path | None, as_json: bool) -> None:
    """Show devices, weights (with their measured quality), codecs, colour spaces and versions.

    Exit codes: 0 done; 3 there are no usable weights.
    """
    weights_record = _weights(named_weights(weights))
    record = {
        "devices": _devices(),
        "engines": list(engine_names()),
        "weights": weights_record,
        "codecs": _codecs(),
        "colour": _colour(ocio),
        "versions": versions(),
    }
    if as_json:
        click.echo(json.dumps({"event": "info", **record}, ensure_ascii=False))
    else:
        for line in _lines(record):
            click.echo(line)
    if "error" in weights_record:
        click.get_current_context().exit(WeightsError.exit_code)


def _devices() -> list[dict[str, Any]]:
    import torch

    threads = counted(torch.get_num_threads(), "thread")
    processors = counted(os.cpu_count() or 1, "processor")
    devices: list[dict[str, Any]] = [
        {
            "name": "cpu",
            "description": f"{platform.processor() or platform.machine()}, "
            f"{threads} of {processors}",
        }
    ]
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        properties = torch.cuda.get_device_properties(index)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        devices.append({"name": f"cuda:{index}", "description": f"{properties.name}, {memory}"})
    return devices


def _weights(path: Path) -> dict[str, Any]:
    """Return the sidecar's content, or only an error if the file does not match it."""
    try:
        record = read_sidecar(path)
        check_intact(path, record)
    except WeightsError as error:
        return {"path": str(path), "error": str(error)}
    names = ("name", "sha256", "licence", "encoding", "network", "training", "evaluation")
    return {"path": str(path), **{name: record.get(name) for name in names}}


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


def _lines(record: Mapping[str, Any]) -> list[str]:
    lines = [f"device     {one['name']}: {one['description']}" for one in record["devices"]]
    lines.append(f"engines    {', '.join(record['engines'])}")
    lines += _weights_lines(record["weights"])
    lines += [f"{kind:14} {', '.join(names)}" for kind, names in record["codecs"].items()]
    colour = record["colour"]
    lines.append(f"colour     {colour['configuration']}, scene-linear is {colour['scene_linear']}")
    lines.append(f"           {', '.join(colour['colorspaces'])}")
    lines.append(f"versions   {', '.join(f'{k} {v}' for k, v in record['versions'].items())}")
    return lines


def _weights_lines(weights: Mapping[str, Any]) -> list[str]:
    lines = [f"weights    {weights['path']}"]
    if "sha256" in weights:
        training = weights["training"] or {}
        lines.append(f"           {weights['name']}, licence {weights['licence'] or 'not stated'}")
        lines.append(f"           sha256 {weights['sha256']}")
        lines.append(f"           network {_flat(weights['network'])}")
        steps = training.get("steps")
        known = "for an unknown time" if steps is None else f"{steps} steps in the last run"
        lines.append(f"           trained {known}. {training.get('notes', '')}".rstrip())
        lines += [f"           {line}" for line in _measured(weights["evaluation"])]
    if "error" in weights:
        lines += [f"           no usable weights: {weights['error']}"]
    return lines


def _measured(evaluation: Mapping[str, Any] | None) -> list[str]:
    """Return a line per test set: `measured: six photographs: sad 9.361, mse 0.0463`."""
    if not evaluation:
        return ["measured nothing: how good they are is not known"]
    return [f"measured: {name}: {_figures(row)}" for name, row in evaluation.items()]


def _figures(row: Any) -> str:
    if not isinstance(row, Mapping):
        return str(row)
    return ", ".join(f"{key} {value:.4g}" for key, value in row.items())


def _flat(record: Mapping[str, Any] | None, within: str = "") -> str:
    """Format as `width 0.5, refine True`; names of nested tables come first."""
    parts = []
    for key, value in (record or {}).items():
        if isinstance(value, Mapping):
            parts.append(_flat(value, f"{within}{key} "))
        else:
            text = f"{value:.4g}" if isinstance(value, float) else value
            parts.append(f"{within}{key} {text}")
    return ", ".join(part for part in parts if part)
