"""`vfxmatte export`: write the network as one file for other programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vfxmatte.cli.path_option import PathOption
from vfxmatte.network.sidecar import named_weights

_SPACES = ("linear-rec709", "acescg", "srgb")


@click.group()
def export() -> None:
    """Write the network as TorchScript (for Nuke's Inference node) or ONNX.

    The file includes colour conversion, trimap cleaning, padding and known pixels. It is compared
    with the engine before it is renamed to its final name.
    """


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of both formats."""
    for option in (
        click.option("--overwrite", is_flag=True, help="Replace an existing file."),
        click.option(
            "--colorspace",
            type=click.Choice(_SPACES),
            default=_SPACES[0],
            show_default=True,
            help="Colour space of the input picture.",
        ),
        click.option("--weights", type=PathOption(), help="Weights to export [the default ones]."),
        click.option(
            "-o", "--output", "path", type=PathOption(), required=True, help="File to write."
        ),
    ):
        command = option(command)
    return command


@export.command()
@_common
@click.option(
    "--tile-px",
    type=click.IntRange(min=0),
    default=2048,
    show_default=True,
    metavar="PX",
    help="Side of a tile; smaller tiles need less memory; 0: no tiles.",
)
def torchscript(
    path: Path, weights: Path | None, colorspace: str, overwrite: bool, tile_px: int
) -> None:
    """Write a TorchScript file: one tensor of RGB and trimap in, alpha out.

    For Nuke, convert it to a .cat: nuke -t make_cat.py matting.pt matting.cat. --colorspace and
    --tile-px are the defaults of the knobs.

    Exit codes: 0 written and equal to the engine; 3 nothing was written.
    """
    from vfxmatte.exports.torchscript import export_torchscript
    from vfxmatte.exports.working_space import WorkingSpace

    difference = export_torchscript(
        path,
        weights=named_weights(weights),
        space=WorkingSpace.named(colorspace),
        tile_px=tile_px,
        overwrite=overwrite,
    )
    _report(path, difference)


@export.command()
@_common
@click.option("--half", is_flag=True, help="Use half precision inside: half the size, for GPUs.")
@click.option("--priors", is_flag=True, help="Take the alpha priors as input.")
def onnx(
    path: Path, weights: Path | None, colorspace: str, overwrite: bool, half: bool, priors: bool
) -> None:
    """Write an ONNX file: "image" (N, 4, H, W) in, "alpha" (N, 1, H, W) out, float32, any size.

    The alpha priors are computed in the graph. A JSON file of the same name describes the model to
    Flame's Inference node. Needs pip install 'vfxmatte[export]'.

    Exit codes: 0 written and equal to the engine; 3 nothing was written.
    """
    from vfxmatte.exports.onnx_model import export_onnx
    from vfxmatte.exports.working_space import WorkingSpace

    difference = export_onnx(
        path,
        weights=named_weights(weights),
        space=WorkingSpace.named(colorspace),
        half=half,
        priors=priors,
        overwrite=overwrite,
    )
    _report(path, difference)


def _report(path: Path, difference: float) -> None:
    size = path.stat().st_size / 2**20
    click.echo(f"{path}: {size:.1f} MiB, alpha within {difference:.1e} of the engine")
