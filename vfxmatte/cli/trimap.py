"""`vfxmatte trimap`: make keyframe trimaps; `from-matte` from a roto or a rough matte."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from vfxmatte.cli.group import NOTHING_DONE, SOME_FAILED
from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.trimap_auto import auto
from vfxmatte.cli.trimap_grabcut import grabcut
from vfxmatte.common.paths import clean_path, is_same_place
from vfxmatte.errors import (
    OutputError,
    TrimapError,
    UsageError,
    VfxmatteError,
    as_foreseen,
    concerns_all_frames,
)
from vfxmatte.io.canvas import lay_on
from vfxmatte.io.mattes import matte_image
from vfxmatte.io.overwriting import refuse_existing
from vfxmatte.io.result_names import trimap_path
from vfxmatte.io.sequence import FrameSequence, find_sequence
from vfxmatte.io.stills.image import Image
from vfxmatte.io.writers import write_labels
from vfxmatte.journal.error_log import logged
from vfxmatte.trimaps import from_matte
from vfxmatte.types import (
    FOREGROUND,
    FloatImage,
    FrameList,
    Frames,
    Trimap,
    Window,
    numbers_as_text,
)


@click.group()
def trimap() -> None:
    """Make keyframe trimaps."""


trimap.add_command(auto)
trimap.add_command(grabcut)


@trimap.command("from-matte")
@click.argument("mattes", nargs=-1, required=True, metavar="MATTE...")
@click.option(
    "-o", "--output", "folder", type=PathOption(), required=True, help="Folder for the trimaps."
)
@click.option(
    "--erode", type=float, default=8, show_default=True, metavar="PX", help="Band inside the edge."
)
@click.option(
    "--dilate",
    type=float,
    default=8,
    show_default=True,
    metavar="PX",
    help="Band outside the edge.",
)
@click.option("--frames", help="Frames of sequences: 1001-1100x24 [all].")
@click.option("--overwrite", is_flag=True, help="Replace existing trimaps.")
def from_matte_command(
    mattes: Sequence[str],
    folder: Path,
    erode: float,
    dilate: float,
    frames: str | None,
    overwrite: bool,
) -> None:
    """Make keyframes from a roto or a rough matte: its edge becomes an unknown band.

    MATTE is an EXR (channel A), or a grey or RGBA picture; a file, a folder, or a pattern such as
    'roto.####.exr'. The band reaches --erode pixels into the solid part and --dilate pixels out of
    it; soft pixels are always unknown. Frame numbers are kept: trimap.1001.png.

    \b
    vfxmatte trimap from-matte 'roto.####.exr' -o shot/trimaps --erode 6 --dilate 12 \\
        --frames 1001-1049x24

    An unreadable matte is reported, and the others are converted. Exit codes: 0 done; 1 some
    failed; 2 wrong use; 3 none could be made.
    """
    if erode < 0 or dilate < 0:
        raise UsageError(f"--erode and --dilate must not be negative, found {erode} and {dilate}")
    chosen = None if frames is None else FrameList.parse(frames)
    if any(is_same_place(folder, place) for place in map(clean_path, mattes) if place.is_dir()):
        raise OutputError(
            "trimaps would be written among the mattes", path=folder, hint="give another --output"
        )
    sources = _sources([find_sequence(spec) for spec in mattes], chosen)
    targets = {n: trimap_path(folder, n, padding=digits) for n, _, digits in sources}
    refuse_existing(
        targets.values(),
        overwrite=overwrite,
        message="{count} of these trimaps {are} there already, perhaps painted by hand",
        hint="give --overwrite to replace them, or another --output",
    )
    count = 0
    try:
        for number, path, _ in sources:
            count += _convert(number, path, targets[number], erode_px=erode, dilate_px=dilate)
    finally:
        if count < len(sources):
            click.echo(f"{count} of {len(sources)} trimaps made")
    if count < len(sources):
        click.get_current_context().exit(SOME_FAILED if count else NOTHING_DONE)


def _convert(number: int, path: Path, target: Path, *, erode_px: float, dilate_px: float) -> bool:
    """Write the trimap of a matte; report an unreadable one and return False."""
    try:
        trimap, display = _trimap_of(number, path, erode_px=erode_px, dilate_px=dilate_px)
        write_labels(trimap, target, display)
    except Exception as error:
        if concerns_all_frames(error) or isinstance(error, OutputError):
            raise
        failure = logged(as_foreseen(error).at(frame=number, path=path))
        click.echo(f"failed: {failure}", err=True)
        return False
    click.echo(f"{target}  {100 * trimap.unknown_share:.1f}% unknown{_remark(trimap)}")
    return True


def _sources(
    sequences: Sequence[FrameSequence], chosen: Frames | None
) -> list[tuple[int, Path, int]]:
    """Return (frame number, file, digits), ascending; raises UsageError for none or duplicates."""
    sources: dict[int, tuple[int, Path, int]] = {}
    for sequence in sequences:
        for number in sequence.numbers:
            if chosen is not None and number not in chosen:
                continue
            path = sequence.path(number)
            if number in sources:
                raise UsageError(
                    f"two mattes claim frame {number}: {sources[number][1].name} and {path.name}",
                    frame=number,
                    path=path,
                    hint="name each file with its frame number",
                )
            sources[number] = (number, path, sequence.padding)
    if not sources:
        available = numbers_as_text(n for sequence in sequences for n in sequence.numbers)
        raise UsageError(
            f"none of the frames {chosen} is there; there is {available}",
            hint="give other --frames",
        )
    return [sources[number] for number in sorted(sources)]


def _trimap_of(
    number: int, path: Path, *, erode_px: float, dilate_px: float
) -> tuple[Trimap, Window]:
    """Return the trimap, and the display window that it covers; raises TrimapError."""
    try:
        image = matte_image(path)
    except VfxmatteError as error:
        raise error.at(frame=number, path=path) from error.__cause__
    header = image.header
    alpha = lay_on(alpha_of(image), header.data_window, header.display_window)
    if not np.isfinite(alpha).all():
        raise TrimapError("the matte has NaN or infinite pixels", frame=number, path=path)
    labels = from_matte(alpha.clip(0, 1), erode_px=erode_px, dilate_px=dilate_px)
    return Trimap(number=number, labels=labels, is_keyframe=True), header.display_window


def _remark(trimap: Trimap) -> str:
    if trimap.unknown_share == 0:
        return "; the matte is empty or full: nothing is unknown"
    if not (trimap.labels == FOREGROUND).any():
        return "; nothing is foreground: erode less"
    return ""


def alpha_of(image: Image) -> FloatImage:
    """Return (H, W) float32 coverage: a picture's alpha unless it is constant, else its grey."""
    alpha = image.alpha
    if alpha is not None and (np.ptp(alpha) > 0 or np.ptp(image.colour) == 0):
        return alpha
    return np.asarray(image.colour.mean(axis=2), np.float32)
