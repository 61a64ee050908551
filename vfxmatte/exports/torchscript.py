"""The network as a TorchScript file, for Nuke's CatFileCreator and everything that runs libtorch.

PyTorch calls TorchScript deprecated, and Nuke reads nothing else: that warning alone is silenced.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from vfxmatte.exports.destination import written_when_equal
from vfxmatte.exports.equality import check_equal
from vfxmatte.exports.record import record_of
from vfxmatte.exports.working_space import WorkingSpace
from vfxmatte.exports.wrapper import KNOBS, TILE_PX, ExportedMatting
from vfxmatte.network.weights import load_weights
from vfxmatte.types import FloatImage

RECORD_NAME = "vfxmatte.json"
"""The extra file inside of the TorchScript archive that holds the record."""


def export_torchscript(
    path: Path,
    *,
    weights: Path,
    space: WorkingSpace = WorkingSpace.LINEAR_REC709,
    tile_px: int = TILE_PX,
    overwrite: bool = False,
) -> float:
    """Write the model whole, or not at all; returns its largest difference to the engine.

    space, tile_px: what the knobs `colorspace` and `tile_px` stand at; all values stay possible.

    Raises:
        OutputError: the file is there already, or cannot be written. WeightsError: unusable
        weights. ExportError: the written model is not equal to the engine.
    """
    with written_when_equal(path, overwrite=overwrite) as partial, _torchscript_allowed():
        network, info = load_weights(weights)
        network.requires_grad_(False)
        wrapper = ExportedMatting(network, space=space, tile_px=tile_px).eval()
        archive = BytesIO()  # torch reports a failing disk as its own internal error
        knobs = {name: getattr(wrapper, name) for name in KNOBS}
        extra = {RECORD_NAME: json.dumps(record_of(info, space, knobs), indent=2)}
        torch.jit.save(torch.jit.script(wrapper), archive, _extra_files=extra)
        partial.write_bytes(archive.getvalue())
        return _largest_difference(partial, weights)


def read_torchscript(path: Path) -> tuple[torch.jit.ScriptModule, Mapping[str, str]]:
    """An exported model and its record."""
    extra = {RECORD_NAME: ""}
    with _torchscript_allowed():
        load: Any = torch.jit.load
        model: torch.jit.ScriptModule = load(path, map_location="cpu", _extra_files=extra)
    record: Mapping[str, str] = json.loads(extra[RECORD_NAME])
    return model, record


def _largest_difference(path: Path, weights: Path) -> float:
    """Over all working spaces: the knob is turned as a host would turn it."""
    model: Any = read_torchscript(path)[0]

    def solve(image: FloatImage) -> FloatImage:
        with torch.no_grad():
            alpha: FloatImage = model(torch.from_numpy(image)).numpy()
        return alpha

    largest = 0.0
    for space in WorkingSpace:
        model.colorspace = int(space)
        largest = max(largest, check_equal(solve, weights, space))
    return largest


@contextmanager
def _torchscript_allowed() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message=r"`torch\.jit\.\w+` is deprecated", category=DeprecationWarning
        )
        yield
