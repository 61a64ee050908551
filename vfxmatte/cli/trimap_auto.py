"""`vfxmatte trimap auto`: keyframes of a portrait shot that paint themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vfxmatte.cli.path_option import PathOption
from vfxmatte.colour import ColourConfig, to_network
from vfxmatte.errors import OutputError, UsageError, VfxmatteError
from vfxmatte.io.plates import Plate, PlateInfo
from vfxmatte.io.result_names import trimap_path
from vfxmatte.io.writers import write_labels
from vfxmatte.pipeline.shot import TRIMAP_FOLDER, Shot, find_keyframes
from vfxmatte.types import FrameRange, Labels, Trimap, numbers_as_text

if TYPE_CHECKING:
    from vfxmatte.keyframes.portrait import PortraitGuess, PortraitMatter

_DOUBTFUL = 0.8  # 19 of 20 rendered portraits agree about so well with their shape, or better


@click.command("auto")
@click.argument("shot", type=PathOption())
@click.option("--frames", required=True, metavar="1001,1050", help="Frames to make keyframes of.")
@click.option("--band", "band_px", type=float, metavar="PX",
              help="Reach of the unknown to either side [1.2% of the height].")  # fmt: skip
@click.option("--all", "every", is_flag=True, help="Take all portraits, not the largest alone.")
@click.option("-o", "--output", "folder", type=PathOption(),
              help="Folder for the keyframes [SHOT/trimaps].")  # fmt: skip
@click.option("--weights", type=PathOption(), help="Other portrait weights.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
def auto(
    shot: Path,
    frames: str,
    band_px: float | None,
    every: bool,
    folder: Path | None,
    weights: Path | None,
    device: str,
) -> None:
    """Keyframes of a portrait: head and shoulders, found and labelled by a network.

    They are a first guess to be looked at and painted over. Existing keyframes are never
    overwritten, and where one frame has no portrait nothing is written at all.

    \b
    vfxmatte trimap auto shots/interview --frames 1001,1050
    """
    if band_px is not None and band_px < 0:
        raise UsageError(f"--band must not be negative, found {band_px:g}")
    opened = Shot.open(shot)
    targets = folder or shot / TRIMAP_FOLDER
    try:
        numbers = _numbers(frames)
        opened.check_apart(targets)
        refuse_existing(numbers, targets)
        with _Work.on(opened, weights, device) as work:
            made = [_of(work, number, band_px, every=every) for number in numbers]
            for number, labels, said in made:
                path = _write(number, labels, targets, work.info)
                click.echo(f"{path}  {said}")
    except VfxmatteError as error:
        raise error.at(shot=opened.name) from error.__cause__
    click.echo("look at each, and paint over what is wrong, before you run")


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What is open: the plate, the colours, and the network with a word on it."""

    plate: Plate
    colours: ColourConfig
    matter: PortraitMatter
    stack: ExitStack

    @classmethod
    def on(cls, shot: Shot, weights: Path | None, device: str) -> _Work:
        from vfxmatte.engines.model import choose_device
        from vfxmatte.keyframes.portrait import PortraitMatter

        stack = ExitStack()
        colours = ColourConfig.load(shot.settings.ocio)
        matter, info = PortraitMatter.open(weights, choose_device(device))
        plate = shot.open_plate(colours)
        click.echo(f"weights {info.name} ({info.path})")
        return cls(plate=stack.enter_context(plate), colours=colours, matter=matter, stack=stack)

    @property
    def info(self) -> PlateInfo:
        return self.plate.info

    def __enter__(self) -> _Work:
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()


def _numbers(text: str) -> list[int]:
    """`1001,1050` or `1001-1100x24`, ascending; raises UsageError."""
    parts: Iterator[FrameRange] = (FrameRange.parse(part) for part in text.split(","))
    return sorted({number for part in parts for number in part})


def refuse_existing(numbers: Sequence[int], folder: Path) -> None:
    there = find_keyframes(folder)
    taken = [number for number in numbers if number in there]
    if taken:
        raise OutputError(
            f"frames {numbers_as_text(taken)} have a keyframe already",
            frame=taken[0],
            path=there[taken[0]],
            hint="keyframes are never overwritten: move it away, or leave the frame out",
        )


def _of(work: _Work, number: int, band_px: float | None, *, every: bool) -> tuple[int, Labels, str]:
    """The labels of one frame over the canvas, and what is to be said about them."""
    from vfxmatte.keyframes.portrait import default_band_px, keyframe_labels

    frame = work.plate.read(number)
    try:
        guess = work.matter.guess(to_network(frame, work.colours), every=every)
    except VfxmatteError as error:
        raise error.at(frame=number, path=work.plate.path(number)) from error.__cause__
    band_px = default_band_px(*guess.alpha.shape) if band_px is None else band_px
    labels = keyframe_labels(guess, band_px)
    trimap = Trimap(number=number, labels=labels, is_keyframe=True)
    said = f"{100 * trimap.unknown_share:.1f}% unknown, band {band_px:g} px, {_said(guess, every)}"
    return number, labels, said


def _said(guess: PortraitGuess, every: bool) -> str:
    doubt = " (doubtful: is it a portrait?)" if guess.agreement < _DOUBTFUL else ""
    words = [f"agreement {guess.agreement:.2f}{doubt}"]
    if guess.portraits > 1:
        taken = "all are taken" if every else "the largest is taken (--all takes all)"
        words.append(f"{guess.portraits} portraits: {taken}")
    if guess.is_coarse:
        height, width = guess.solved
        words.append(f"solved at {width}x{height}: the whole picture would be too large")
    return ", ".join(words)


def _write(number: int, labels: Labels, folder: Path, info: PlateInfo) -> Path:
    """One keyframe over the plate's display window, as an artist would paint it."""
    window = info.display_window
    path = trimap_path(folder, number, padding=info.padding)
    trimap = Trimap(
        number=number, labels=labels[window.slices_in(info.canvas)].copy(), is_keyframe=True
    )
    return write_labels(trimap, path, window)
