"""`vfxmatte trimap grabcut`: make a first keyframe of anything, from a box, a mask or strokes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.shot_options import plate_options
from vfxmatte.cli.trimap_auto import (
    check_band,
    open_shot,
    refuse_beside_subjects,
    refuse_keyframes,
)
from vfxmatte.colour import ColourConfig, to_network
from vfxmatte.errors import TrimapError, UsageError, VfxmatteError
from vfxmatte.io.plate import PlateInfo
from vfxmatte.io.result_names import trimap_path
from vfxmatte.io.stills.reading import read_image
from vfxmatte.io.writers import write_labels
from vfxmatte.keyframes.grabcut import cut_out, default_band_px, trimap_around
from vfxmatte.keyframes.strokes import Hints, Shape, parsed_shape, read_hints
from vfxmatte.pipeline.shot_folder import TRIMAP_FOLDER
from vfxmatte.trimaps import labels_from_image, place
from vfxmatte.types import BACKGROUND, FloatImage, Frame, Labels, Mask, Trimap, Window

MOST_SHARE = 0.6
"""Largest share of the picture that strokes without an outline may take."""


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
@click.option("--polygon", "polygons", multiple=True, metavar="X,Y,X,Y...",
              help="Outline instead of a box, by its corners; several are joined.")  # fmt: skip
@click.option("--fg-stroke", "fg_strokes", multiple=True, metavar="X,Y,X,Y...[:RADIUS]",
              help="Stroke (or dot) that is certainly foreground; may be repeated.")  # fmt: skip
@click.option("--bg-stroke", "bg_strokes", multiple=True, metavar="X,Y,X,Y...[:RADIUS]",
              help="Stroke (or dot) that is certainly background; may be repeated.")  # fmt: skip
@click.option(
    "--strokes",
    "strokes_file",
    type=PathOption(exists=True, dir_okay=False),
    help="Strokes and polygons from a JSON file.",
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
@plate_options
def grabcut(
    shot: Path,
    number: int,
    box: str | None,
    mask: Path | None,
    polygons: tuple[str, ...],
    fg_strokes: tuple[str, ...],
    bg_strokes: tuple[str, ...],
    strokes_file: Path | None,
    band_px: float | None,
    folder: Path | None,
    **values: Any,
) -> None:
    """Make a keyframe of whatever stands out inside an outline, or is like a stroke on it.

    It is a first guess to check and to paint over; an existing keyframe is never overwritten.
    Everything outside the box or the polygons, or black in the mask, is background. Strokes are
    certain wherever they are; without an outline, give one on the subject and one beside it.

    \b
    vfxmatte trimap grabcut shots/creature --frame 1001 --box 180,40,320,300
    vfxmatte trimap grabcut shots/creature --frame 1001 --fg-stroke 320,180,350,260:8 \\
        --bg-stroke 40,40,600,60
    """
    hints = _hints(polygons, fg_strokes, bg_strokes, strokes_file)
    _check_use(box, mask, hints)
    _check_band(band_px)
    opened = open_shot(shot, values)
    target = folder or shot / TRIMAP_FOLDER
    try:
        refuse_beside_subjects(opened, target, shot)
        opened.check_apart(target)
        refuse_keyframes([number], target)
        colours = ColourConfig.load(opened.settings.ocio)
        with opened.open_plate(colours) as plate:
            info, frame = plate.info, plate.read(number)
            band_px = default_band_px(info.display_window.height) if band_px is None else band_px
            places = _places(box, mask, hints, frame, info)
            most = 1.0 if _is_outlined(box, mask, hints) else MOST_SHARE
            try:
                labels = _labels(to_network(frame, colours), places, band_px, most)
            except TrimapError as error:
                raise error.at(frame=number, path=mask or plate.path(number)) from error.__cause__
        trimap = Trimap(number=number, labels=labels, is_keyframe=True)
        path = trimap_path(target, number, padding=info.padding)
        write_labels(trimap, path, info.canvas)
    except VfxmatteError as error:
        raise error.at(shot=opened.name, frame=number) from error.__cause__
    click.echo(f"{path}  {100 * trimap.unknown_share:.1f}% unknown, band {band_px:g} px")
    click.echo("look at it, and paint over what is wrong, before you run")


def _check_use(box: str | None, mask: Path | None, hints: Hints) -> None:
    if mask is not None and (box is not None or hints.polygons):
        raise UsageError("give either --mask, or --box and --polygon")
    if box is None and mask is None and not hints:
        raise UsageError("give --box, --polygon, --mask or strokes on the subject")


def _check_band(band_px: float | None) -> None:
    """Raise UsageError for a --band that is no number above 0."""
    check_band(band_px)
    if band_px == 0:
        raise UsageError(
            "--band 0 would leave nothing unknown: the rough cut itself would be the matte",
            hint="give 1 or more, or leave it out",
        )


def _is_outlined(box: str | None, mask: Path | None, hints: Hints) -> bool:
    return box is not None or mask is not None or bool(hints.polygons)


def _hints(
    polygons: tuple[str, ...],
    fg_strokes: tuple[str, ...],
    bg_strokes: tuple[str, ...],
    strokes_file: Path | None,
) -> Hints:
    """Parse what the options draw; raises UsageError."""

    def shapes(texts: tuple[str, ...], option: str) -> tuple[Shape, ...]:
        return tuple(parsed_shape(text, f"{option} {n}") for n, text in enumerate(texts, start=1))

    typed = Hints(
        foreground=shapes(fg_strokes, "--fg-stroke"),
        background=shapes(bg_strokes, "--bg-stroke"),
        polygons=shapes(polygons, "--polygon"),
    )
    return typed if strokes_file is None else typed + read_hints(strokes_file)


def _places(
    box: str | None, mask: Path | None, hints: Hints, frame: Frame, info: PlateInfo
) -> tuple[Mask, Mask, Mask]:
    """Return the region, certain foreground and certain background, over the canvas."""
    try:
        foreground, background, region = hints.masks(info.display_window, info.canvas)
    except UsageError as error:
        raise error.at(frame=frame.number, path=frame.path) from error.__cause__
    if mask is not None:
        region |= _mask_region(mask, info)
    if box is not None:
        region |= _box_region(box, frame)
    if not _is_outlined(box, mask, hints):
        if not hints.foreground:
            raise UsageError(
                "strokes on the background alone do not say where the subject is",
                hint="add --fg-stroke on the subject, or --box, --polygon or --mask around it",
            )
        region[:] = True
    return region, foreground, background


def _labels(
    image: FloatImage, places: tuple[Mask, Mask, Mask], band_px: float, most: float
) -> Labels:
    """Cut out the subject; raises TrimapError, also for a share of the picture above `most`."""
    region, foreground, background = places
    cut = cut_out(image, region, foreground=foreground, background=background)
    share = np.count_nonzero(cut) / cut.size
    if share > most:
        raise TrimapError(
            f"what is like the strokes on the subject takes {100 * share:.0f}% of the picture: "
            "background is likely among it",
            hint="add strokes on the background beside the subject; one that is so large needs "
            "an outline: --box, --polygon or --mask",
        )
    return trimap_around(cut, region, band_px, foreground=foreground, background=background)


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
