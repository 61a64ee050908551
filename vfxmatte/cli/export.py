"""`vfxmatte export`: the network as one file for other programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from vfxmatte.cli.path_option import PathOption
from vfxmatte.network.sidecar import DEFAULT_WEIGHTS

_SPACES = ("linear-rec709", "acescg", "srgb")


@click.group()
def export() -> None:
    """Write the network for Nuke's Inference node (torchscript), or as ONNX.

    Everything around the network is in the file: colour, trimap cleaning, padding, known pixels.
    What was written is compared with the engine before it gets its name.
    """


def _common(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of both formats."""
    for option in (
        click.option("--overwrite", is_flag=True, help="Replace a file that is there already."),
        click.option(
            "--colorspace",
            type=click.Choice(_SPACES),
            default=_SPACES[0],
            show_default=True,
            help="What the picture will be given in.",
        ),
        click.option("--weights", type=PathOption(), help="Other weights."),
        click.option(
            "-o",
            "--output",
            "path",
            type=PathOption(),
            required=True,
            help="The file to write.",
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
    help="Side of what is solved at once; less needs less memory; 0: all at once.",
)
def torchscript(
    path: Path, weights: Path | None, colorspace: str, overwrite: bool, tile_px: int
) -> None:
    """A TorchScript file: one tensor of RGB and trimap in, alpha out.

    In Nuke, make the .cat from it: nuke -t make_cat.py matting.pt matting.cat. --colorspace and
    --tile-px are only what the knobs stand at first.

    Exit codes: 0 written and equal to the engine; 3 nothing was written.
    """
    from vfxmatte.exports.torchscript import export_torchscript
    from vfxmatte.exports.working_space import WorkingSpace

    difference = export_torchscript(
        path,
        weights=weights or DEFAULT_WEIGHTS,
        space=WorkingSpace.named(colorspace),
        tile_px=tile_px,
        overwrite=overwrite,
    )
    _report(path, difference)


@export.command()
@_common
@click.option("--half", is_flag=True, help="Half precision inside: half the size, for GPUs.")
@click.option(
    "--priors",
    is_flag=True,
    help="The alpha priors are further channels of the input.",
)
def onnx(
    path: Path,
    weights: Path | None,
    colorspace: str,
    overwrite: bool,
    half: bool,
    priors: bool,
) -> None:
    """An ONNX file: "image" (N, 4, H, W) in, "alpha" (N, 1, H, W) out, float32, any size.

    No graph can make the alpha priors that the shipped weights are shown: without --priors the
    mattes are less exact than the engine's.

    Needs pip install 'vfxmatte[export]'.

    Exit codes: 0 written and equal to the engine; 3 nothing was written.
    """
    from vfxmatte.exports.onnx_model import export_onnx
    from vfxmatte.exports.working_space import WorkingSpace

    difference = export_onnx(
        path,
        weights=weights or DEFAULT_WEIGHTS,
        space=WorkingSpace.named(colorspace),
        half=half,
        priors=priors,
        overwrite=overwrite,
    )
    _report(path, difference)


def _report(path: Path, difference: float) -> None:
    size = path.stat().st_size / 2**20
    click.echo(f"{path}: {size:.1f} MiB, alpha within {difference:.1e} of the engine")
