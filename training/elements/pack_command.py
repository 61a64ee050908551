"""`vfxmatte-train pack`: convert a library and backgrounds into one file for training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import click
import numpy as np
from rich.console import Console
from rich.progress import track

from training.elements.inspection import Inspected, inspect_library
from training.elements.library import find_backgrounds, find_elements
from training.elements.pack import Background, Element, Pack, write_pack
from training.elements.read_element import (
    background_from,
    exposure,
    prepare,
    read_background,
    read_raw,
    straight_linear_colour,
)
from training.elements.split import DEFAULT_SEED, DEFAULT_SHARE, draw_held_out, write_split
from vfxmatte.errors import PlateError, TrainingError, VfxmatteError
from vfxmatte.io.overwriting import refuse_existing
from vfxmatte.io.sequence import is_movie

ItemT = TypeVar("ItemT")

_BACKGROUND = "background"  # kind of all backgrounds in the split


@click.command()
@click.argument("library", type=click.Path(path_type=Path))
@click.option("--backgrounds", type=click.Path(path_type=Path), required=True,
              help="Folder of images and movies to lay elements over.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The pack.")
@click.option("--held-out", "share", default=DEFAULT_SHARE, show_default=True,
              type=click.FloatRange(0, 0.9), help="Share of each kind to hold out.")  # fmt: skip
@click.option("--seed", default=DEFAULT_SEED, show_default=True, help="Of the held-out split.")
@click.option("--split", type=click.Path(path_type=Path), help="Write the split as text, too.")
@click.option("--element-side", type=click.IntRange(64),
              help="Reduce larger elements to this longest side in px.")  # fmt: skip
@click.option("--background-side", type=click.IntRange(64),
              help="Reduce larger backgrounds to this shorter side in px.")  # fmt: skip
@click.option("--background-quality", default=95, show_default=True,
              type=click.IntRange(50, 100), help="JPEG quality of backgrounds.")  # fmt: skip
@click.option("--colour-quality", type=click.IntRange(50, 100),
              help="WebP quality of elements' colour; lossless by default.")  # fmt: skip
@click.option("--movie-frames", default=8, show_default=True, type=click.IntRange(1),
              help="Frames taken from each movie of the backgrounds.")  # fmt: skip
@click.option("--notes", default="", help="Where the pictures come from, and their terms.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
def pack(
    library: Path,
    backgrounds: Path,
    output: Path,
    share: float,
    seed: int,
    split: Path | None,
    element_side: int | None,
    background_side: int | None,
    background_quality: int,
    colour_quality: int | None,
    movie_frames: int,
    notes: str,
    overwrite: bool,
) -> None:
    """Convert LIBRARY and backgrounds into one file; unusable elements are left out by name.

    Exit code 0: all packed; 1: some left out; 3: none usable, or the file is there already.
    """
    refuse_existing(
        [output],
        overwrite=overwrite,
        message="the file is there already",
        hint="use --overwrite, or another name",
    )
    console = Console(stderr=True, soft_wrap=True)
    files = find_elements(library)
    pictures = find_backgrounds(backgrounds)
    inspected = list(_track(console, inspect_library(files), "checking", len(files)))
    usable = [element for element in inspected if not element.is_unusable]
    _report(console, inspected)
    if not usable:
        raise TrainingError("no element of the library can be used", path=library)
    behind = tuple(_backgrounds(console, backgrounds, pictures, background_side, movie_frames))
    if not behind:
        raise TrainingError(
            "no background can be read",
            path=backgrounds,
            hint="give a folder of whole images or movies",
        )
    elements = _track(console, _elements(usable, element_side), "packing", len(usable))
    whole = Pack(
        elements=tuple(elements),
        backgrounds=behind,
        notes=notes,
        split_seed=seed,
    )
    whole = hold_out(whole, [_group(element, usable) for element in usable], share, seed)
    write_pack(output, whole, background_quality=background_quality, colour_quality=colour_quality)
    if split is not None:
        write_split(split, whole)
    console.print(f"{output}: {whole}, {output.stat().st_size / 1e6:.1f} MB")
    if not whole.held_out:
        console.print(
            "note: no element is held out, so nothing can be validated or evaluated on this pack: "
            "give a larger --held-out, or four elements of one kind"
        )
    click.get_current_context().exit(0 if len(usable) == len(inspected) else 1)


def hold_out(pack: Pack, groups: Sequence[str], share: float, seed: int) -> Pack:
    """Draw a held-out split; `groups` names for each element the unit that must stay together."""
    kinds = {group: e.kind for group, e in zip(groups, pack.elements, strict=True)}
    drawn = draw_held_out(kinds.items(), share=share, seed=seed)
    names = [(background.name, _BACKGROUND) for background in pack.backgrounds]
    pairs = zip(groups, pack.elements, strict=True)
    return Pack(
        elements=pack.elements,
        backgrounds=pack.backgrounds,
        held_out=frozenset(element.name for group, element in pairs if group in drawn),
        held_out_backgrounds=frozenset(draw_held_out(names, share=share, seed=seed)),
        notes=pack.notes,
        split_seed=seed,
    )


def _group(element: Inspected, usable: Sequence[Inspected]) -> str:
    """Return the group of an element's original, so that copies stay on one side of the split."""
    by_name = {other.file.name: other for other in usable}
    while element.repeats is not None:
        element = by_name[element.repeats.name]
    return element.file.group


def _track(console: Console, items: Iterable[ItemT], what: str, count: int) -> Iterable[ItemT]:
    return track(items, what, count, console=console, transient=True)


def _report(console: Console, inspected: Sequence[Inspected]) -> None:
    for element in inspected:
        for finding in element.findings:
            state = "left out" if element.is_unusable else "packed, but doubtful"
            console.print(f"{state}: {element.file.name}: {finding.trouble}: {finding.what}")


def _elements(usable: Sequence[Inspected], longest_side_px: int | None) -> Iterator[Element]:
    factors: dict[str, float] = {}
    for file in (element.file for element in usable):
        raw = read_raw(file)
        if raw.is_linear and raw.alpha is not None and file.group not in factors:
            alpha = np.clip(raw.alpha, 0, 1)
            factors[file.group] = exposure(straight_linear_colour(raw, alpha), alpha)
        yield prepare(
            raw, file, exposure_factor=factors.get(file.group), longest_side_px=longest_side_px
        )


def _backgrounds(
    console: Console,
    folder: Path,
    paths: Sequence[Path],
    shorter_side_px: int | None,
    movie_frames: int,
) -> Iterator[Background]:
    for path in _track(console, paths, "backgrounds", len(paths)):
        name = path.relative_to(folder).with_suffix("").as_posix()
        try:
            if is_movie(path.name):
                yield from _movie(path, name, shorter_side_px, movie_frames)
            else:
                yield read_background(path, name=name, shorter_side_px=shorter_side_px)
        except PlateError as error:
            console.print(f"left out: background {name}: {error.what}")


def _movie(path: Path, name: str, shorter_side_px: int | None, count: int) -> Iterator[Background]:
    """Take evenly spaced frames from a movie, without its first and last."""
    from vfxmatte.colour import ColourConfig, to_network
    from vfxmatte.io.plates import open_plate

    config = ColourConfig.load()
    with open_plate(path, config=config) as plate:
        places = np.linspace(0, len(plate.info.numbers) - 1, count + 2)[1:-1]
        numbers = sorted({plate.info.numbers[round(float(place))] for place in places})
        for number, frame in plate.frames(numbers):
            if not isinstance(frame, VfxmatteError):
                colour = to_network(frame, config)
                yield background_from(
                    colour, name=f"{name}.{number}", shorter_side_px=shorter_side_px
                )
