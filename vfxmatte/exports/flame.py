"""The JSON file beside an ONNX model, by which Autodesk Flame's Inference node reads it.

Its tokens are those that Flame's help gives for the Inference Builder since 2025.2. A node has no
RGBA input: two sockets of one name make one tensor, colours first.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vfxmatte.errors import OutputError
from vfxmatte.exports.destination import refuse_existing_file
from vfxmatte.exports.working_space import NAMES, WorkingSpace
from vfxmatte.io.temporary import write_whole


def flame_path(model: Path) -> Path:
    """The file that Flame looks for beside a model."""
    return model.with_suffix(".json")


def flame_description(name: str, space: WorkingSpace, inputs: str, output: str) -> dict[str, Any]:
    """Describe a model of picture and trimap, one tensor in, one plane out.

    Args:
        name: shown in Flame. inputs, output: the tensors' names.
    """
    plate = {"Name": inputs, "Description": f"Plate, {NAMES[space]}", "Type": "Front",
             "Gain": 1.0, "Channels": "RGB"}  # fmt: skip
    trimap = {"Name": inputs, "Description": "Trimap: 0, 0.5 unknown, 1", "Type": "Matte",
              "Gain": 1.0, "Channels": "A"}  # fmt: skip
    alpha = {"Name": output, "Description": "Alpha", "Type": "OutMatte", "InverseGain": 1.0,
             "ScalingFactor": 1.0, "Channels": "A"}  # fmt: skip
    return {
        "ModelDescription": {
            "MinimumVersion": "2025.2",
            "Name": name,
            "Description": "vfxmatte: alpha from a plate and a trimap",
            "SupportsSceneLinear": space is not WorkingSpace.SRGB,
            "KeepAspectRatio": True,
            "Padding": 1,
            "Inputs": [plate, trimap],
            "Outputs": [alpha],
        }
    }


def check_flame_path(path: Path, *, overwrite: bool) -> None:
    """Raise OutputError if the file exists and is not to be replaced, or is not Flame's."""
    refuse_existing_file(path, overwrite=overwrite)
    if path.exists() and not _is_flames(path):
        raise OutputError(
            "this file does not describe a model for Flame and is kept",
            path=path,
            hint="choose another name for the .onnx",
        )


def _is_flames(path: Path) -> bool:
    try:
        return "ModelDescription" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, TypeError, ValueError):
        return False


def write_flame_description(path: Path, description: dict[str, Any]) -> None:
    """Write the file; raises OutputError if that fails."""
    write_whole(path, json.dumps(description, indent=4) + "\n")
