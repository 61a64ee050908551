"""Export of the network to TorchScript, for Nuke's CatFileCreator and libtorch.

PyTorch calls TorchScript deprecated, but Nuke reads no other format: that warning is suppressed.
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

from vfxmatte.exports.destination import check_suffix, written_when_equal
from vfxmatte.exports.equality import check_equal
from vfxmatte.exports.light_wrapper import ExportedLight
from vfxmatte.exports.networks import load_any
from vfxmatte.exports.record import record_of
from vfxmatte.exports.working_space import WorkingSpace
from vfxmatte.exports.wrapper import KNOBS, TILE_PX, ExportedMatting
from vfxmatte.network.light import LightMatting
from vfxmatte.types import FloatImage

RECORD_NAME = "vfxmatte.json"
"""The extra file in the TorchScript archive that holds the record."""


def export_torchscript(
    path: Path,
    *,
    weights: Path,
    space: WorkingSpace = WorkingSpace.LINEAR_REC709,
    tile_px: int = TILE_PX,
    overwrite: bool = False,
) -> float:
    """Write the model, and return its largest difference from the engine.

    Args:
        space, tile_px: defaults of the knobs `colorspace` and `tile_px`.
    Raises:
        UsageError: another suffix than .pt or .ts.
        OutputError: the file exists, or cannot be written. WeightsError: unusable weights.
        ExportError: the model differs from the engine. Nothing is written then.
    """
    check_suffix(path, "TorchScript models", ".pt", ".ts")
    with written_when_equal(path, overwrite=overwrite) as partial, _torchscript_allowed():
        network, info = load_any(weights)
        wrapped = ExportedLight if isinstance(network, LightMatting) else ExportedMatting
        wrapper = wrapped(network, space=space, tile_px=tile_px).eval()  # type: ignore[arg-type]
        archive = BytesIO()  # torch reports a full disk as an internal error
        knobs = {name: getattr(wrapper, name) for name in KNOBS}
        extra = {RECORD_NAME: json.dumps(record_of(info, space, knobs), indent=2)}
        torch.jit.save(torch.jit.script(wrapper), archive, _extra_files=extra)
        partial.write_bytes(archive.getvalue())
        return _largest_difference(partial, weights)


def read_torchscript(path: Path) -> tuple[torch.jit.ScriptModule, Mapping[str, str]]:
    """Load an exported model; return it with its record."""
    extra = {RECORD_NAME: ""}
    with _torchscript_allowed():
        load: Any = torch.jit.load
        model: torch.jit.ScriptModule = load(path, map_location="cpu", _extra_files=extra)
    record: Mapping[str, str] = json.loads(extra[RECORD_NAME])
    return model, record


def _largest_difference(path: Path, weights: Path) -> float:
    """Compare in all working spaces, setting the knob as a host does."""
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
