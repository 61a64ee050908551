"""`vfxmatte trimap grabcut`: make a first keyframe of anything, from a box or a rough mask."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.trimap_auto import refuse_keyframes
from vfxmatte.colour import ColourConfig, to_network
from vfxmatte.errors import TrimapError, UsageError, VfxmatteError
from vfxmatte.io.plates import PlateInfo
from vfxmatte.io.result_names import trimap_path
from vfxmatte.io.stills.reading import read_image
from vfxmatte.io.writers import write_labels
from vfxmatte.keyframes.grabcut import cut_out, default_band_px, trimap_around
from vfxmatte.pipeline.shot import TRIMAP_FOLDER, Shot
from vfxmatte.trimaps import labels_from_image, place
from vfxmatte.types import BACKGROUND, Frame, Mask, Trimap, Window


@click.command("grabcut")
@click.argument("shot", type=PathOption())
@click.option("--frame", "number", type=int, required=True, help="Frame to make a keyframe of.")
@click.option(
    "--box", metavar="X,Y,W,H", help="Box around the subject, in px from the upper left corner."
)
@click.option(
    "--mask",
    type=PathOption(exists=True, dir_okay=False),
    help="Rough mask instead of a box: black is certainly background.",
)
@click.option(
    "--band",
    "band_px",
    type=float,
    metavar="PX",
    help="Reach of the unknown to either side [1.5% of the height].",
)
@click.option(
    "-o", "--output", "folder", type=PathOption(),
    help="Folder for the keyframe [SHOT/trimaps].",
)  # fmt: skip
def grabcut(
    shot: Path,
    number: int,
    box: str | None,
    mask: Path | None,
    band_px: float | None,
    folder: Path | None,
) -> None:
    """Make a keyframe of whatever stands out inside a box or a rough mask.

    It is a first guess to check and to paint over; an existing keyframe is never overwritten.
    Everything outside the box, or black in the mask, is background.

    \b
    vfxmatte trimap grabcut shots/creature --frame 1001 --box 180,40,320,300
    """
    if (box is None) == (mask is None):
        raise UsageError("give either --box or --mask")
    if band_px is not None and band_px < 0:
        raise UsageError(f"--band must not be negative, found {band_px:g}")
    opened = Shot.open(shot)
    target = folder or shot / TRIMAP_FOLDER
    try:
        opened.check_apart(target)
        refuse_keyframes([number], target)
        colours = ColourConfig.load(opened.settings.ocio)
        with opened.open_plate(colours) as plate:
            info, frame = plate.info, plate.read(number)
            region = _box_region(box, frame) if mask is None else _mask_region(mask, info)
            band_px = default_band_px(info.display_window.height) if band_px is None else band_px
            try:
                cut = cut_out(to_network(frame, colours), region)
                labels = trimap_around(cut, region, band_px)
            except TrimapError as error:
                raise error.at(frame=number, path=mask or plate.path(number)) from error.__cause__
        trimap = Trimap(number=number, labels=labels, is_keyframe=True)
        path = trimap_path(target, number, padding=info.padding)
        write_labels(trimap, path, info.canvas)
    except VfxmatteError as error:
        raise error.at(shot=opened.name, frame=number) from error.__cause__
    click.echo(f"{path}  {100 * trimap.unknown_share:.1f}% unknown, band {band_px:g} px")
    click.echo("look at it, and paint over what is wrong, before you run")


def _box_region(text: str | None, frame: Frame) -> Mask:
    """Return the box over the frame's canvas; raises UsageError for an invalid box."""
    try:
        x, y, width, height = (int(part) for part in str(text).split(","))
    except ValueError as error:
        raise UsageError(
            f"--box {text!r} is not understood", hint="write X,Y,W,H in pixels: 180,40,320,300"
        ) from error
    window = frame.display_window
    if width < 1 or height < 1:
        raise UsageError(f"--box {text} is empty")
    if x < 0 or y < 0 or x + width > window.width or y + height > window.height:
        raise UsageError(
            f"--box {text} reaches outside of the picture, which is {window.width}x{window.height}",
            frame=frame.number,
            path=frame.path,
        )
    left, top = window.x_min + x, window.y_min + y
    box = Window(x_min=left, y_min=top, x_max=left + width - 1, y_max=top + height - 1)
    region = np.zeros(frame.canvas.shape, bool)
    region[box.slices_in(frame.canvas)] = True
    return region


def _mask_region(path: Path, info: PlateInfo) -> Mask:
    """Return where the mask is not black, over the canvas; raises TrimapError for a wrong size."""
    try:
        image = read_image(path)
        labels = place(
            labels_from_image(image.pixels, image.header.channels),
            image.header.data_window if path.suffix.lower() == ".exr" else None,
            canvas=info.canvas,
            display_window=info.display_window,
        )
    except VfxmatteError as error:
        raise TrimapError(f"this mask cannot be used: {error.what}", path=path) from error
    return np.asarray(labels != BACKGROUND)
