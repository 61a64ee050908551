"""`vfxmatte trimap`: keyframe trimaps from a roto or a rough matte, or made by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from vfxmatte.io.sequence import FrameSequence, find_sequence, padded
from vfxmatte.io.stills.image import Image
from vfxmatte.io.stills.reading import read_image
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
@click.option("-o", "--output", "folder", type=PathOption(), required=True, help="Folder.")
@click.option("--erode", type=float, default=8, show_default=True, metavar="PX", help="Inward.")
@click.option("--dilate", type=float, default=8, show_default=True, metavar="PX", help="Outward.")
@click.option("--frames", help="Which frames of sequences: 1001-1100x24 [all].")
@click.option("--overwrite", is_flag=True, help="Replace trimaps that are there already.")
def from_matte_command(
    mattes: Sequence[str],
    folder: Path,
    erode: float,
    dilate: float,
    frames: str | None,
    overwrite: bool,
) -> None:
    """Keyframes from a roto or a rough matte: its edge becomes an unknown band.

    MATTE is an EXR (channel A), or a grey or RGBA picture; a file, a folder, or a pattern such as
    'roto.####.exr'. The band reaches --erode pixels into the solid part and --dilate pixels out of
    it; soft pixels are always unknown. Frame numbers are kept: trimap.1001.png.

    \b
    vfxmatte trimap from-matte 'roto.####.exr' -o shot/trimaps --erode 6 --dilate 12 \\
        --frames 1001-1049x24

    A matte that cannot be read is named, and the others are made. Exit codes: 0 done; 1 some
    failed; 2 wrong use; 3 none could be made.
    """
    if erode < 0 or dilate < 0:
        raise UsageError(f"--erode and --dilate must not be negative, found {erode} and {dilate}")
    wanted = None if frames is None else FrameList.parse(frames)
    if any(is_same_place(folder, place) for place in map(clean_path, mattes) if place.is_dir()):
        raise OutputError(
            "trimaps would be written among the mattes", path=folder, hint="give another --output"
        )
    found = _sources([find_sequence(spec) for spec in mattes], wanted)
    targets = {n: folder / f"trimap.{padded(n, max(4, digits))}.png" for n, _, digits in found}
    _refuse_existing(targets.values(), overwrite)
    made: list[Trimap] = []
    try:
        for number, path, _ in found:
            one = _made(number, path, targets[number], erode_px=erode, dilate_px=dilate)
            made += [] if one is None else [one]
    finally:
        if len(made) < len(found):
            click.echo(f"{len(made)} of {len(found)} trimaps made")
    if len(made) < len(found):
        click.get_current_context().exit(SOME_FAILED if made else NOTHING_DONE)


def _made(
    number: int, path: Path, target: Path, *, erode_px: float, dilate_px: float
) -> Trimap | None:
    """Write a trimap; None where its matte cannot be read, which is reported."""
    try:
        made, display = _trimap_of(number, path, erode_px=erode_px, dilate_px=dilate_px)
        write_labels(made, target, display)
    except Exception as error:
        if concerns_all_frames(error) or isinstance(error, OutputError):
            raise
        failure = logged(as_foreseen(error).at(frame=number, path=path))
        click.echo(f"failed: {failure}", err=True)
        return None
    click.echo(f"{target}  {100 * made.unknown_share:.1f}% unknown{_remark(made)}")
    return made


def _sources(
    sequences: Sequence[FrameSequence], wanted: Frames | None
) -> list[tuple[int, Path, int]]:
    """(frame number, file, digits) ascending; raises UsageError where there is none, or two."""
    found: dict[int, tuple[int, Path, int]] = {}
    for sequence in sequences:
        for number in sequence.numbers:
            if wanted is not None and number not in wanted:
                continue
            path = sequence.path(number)
            if number in found:
                raise UsageError(
                    f"two mattes claim frame {number}: {found[number][1].name} and {path.name}",
                    frame=number,
                    path=path,
                    hint="name each file with its frame number",
                )
            found[number] = (number, path, sequence.padding)
    if not found:
        there = numbers_as_text(n for sequence in sequences for n in sequence.numbers)
        raise UsageError(
            f"none of the frames {wanted} is there; there is {there}", hint="give other --frames"
        )
    return [found[number] for number in sorted(found)]


def _refuse_existing(targets: Iterable[Path], overwrite: bool) -> None:
    existing = [path for path in targets if path.exists()]
    if existing and not overwrite:
        raise OutputError(
            f"{len(existing)} of these trimaps are there already, perhaps painted by hand",
            path=existing[0],
            hint="give --overwrite to replace them, or another --output",
        )


def _trimap_of(
    number: int, path: Path, *, erode_px: float, dilate_px: float
) -> tuple[Trimap, Window]:
    """The trimap, and the display window that it covers; raises TrimapError."""
    try:
        image = read_image(path)
    except VfxmatteError as error:
        raise error.at(frame=number, path=path) from error.__cause__
    header = image.header
    alpha = lay_on(alpha_of(image), header.data_window, header.display_window)
    if not np.isfinite(alpha).all():
        raise TrimapError("the matte has NaN or infinite pixels", frame=number, path=path)
    labels = from_matte(alpha.clip(0, 1), erode_px=erode_px, dilate_px=dilate_px)
    return Trimap(number=number, labels=labels, is_keyframe=True), header.display_window


def _remark(made: Trimap) -> str:
    if made.unknown_share == 0:
        return "; the matte is empty or full: nothing is unknown"
    if not (made.labels == FOREGROUND).any():
        return "; nothing is foreground: erode less"
    return ""


def alpha_of(image: Image) -> FloatImage:
    """(H, W) float32 coverage of a picture: its alpha where that says something, else its grey."""
    alpha = image.alpha
    if alpha is not None and (np.ptp(alpha) > 0 or np.ptp(image.colour) == 0):
        return alpha
    return np.asarray(image.colour.mean(axis=2), np.float32)
