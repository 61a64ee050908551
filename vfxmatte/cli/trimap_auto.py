"""`vfxmatte trimap auto`: make keyframes of a portrait shot automatically."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vfxmatte.cli.path_option import PathOption
from vfxmatte.cli.shot_options import plate_options
from vfxmatte.colour import ColourConfig, to_network
from vfxmatte.common.paths import is_same_place
from vfxmatte.common.wording import frames_text
from vfxmatte.errors import OutputError, TrimapError, UsageError, VfxmatteError
from vfxmatte.io.plate import PlateInfo
from vfxmatte.io.result_names import trimap_path
from vfxmatte.io.writers import write_labels
from vfxmatte.pipeline.keyframes import find_keyframes
from vfxmatte.pipeline.options import settings_with
from vfxmatte.pipeline.shot import Shot
from vfxmatte.pipeline.shot_folder import TRIMAP_FOLDER
from vfxmatte.types import Frame, FrameRange, Trimap

if TYPE_CHECKING:
    from vfxmatte.keyframes.portrait import PortraitGuess, PortraitMatter


@click.command("auto")
@click.argument("shot", type=PathOption())
@click.option("--frames", required=True, metavar="1001,1050", help="Frames to make keyframes of.")
@click.option("--band", "band_px", type=float, metavar="PX",
              help="Reach of the unknown to either side [1.2% of the shorter side].")  # fmt: skip
@click.option("--all", "every", is_flag=True, help="Take all portraits, not only the largest.")
@click.option("--doubtful", is_flag=True, help="Write doubtful ones too, with their doubts.")
@click.option("-o", "--output", "folder", type=PathOption(),
              help="Folder for the keyframes [SHOT/trimaps].")  # fmt: skip
@click.option("--weights", type=PathOption(), help="Portrait weights [the default ones].")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@plate_options
def auto(
    shot: Path,
    frames: str,
    band_px: float | None,
    every: bool,
    doubtful: bool,
    folder: Path | None,
    weights: Path | None,
    device: str,
    **values: Any,
) -> None:
    """Make keyframes of a portrait: a network finds and labels head and shoulders.

    They are a first guess to check and to paint over. Existing keyframes are never overwritten.
    If one frame has no portrait, or a doubtful one, nothing is written and the exit code is 3.

    \b
    vfxmatte trimap auto shots/interview --frames 1001,1050
    """
    check_band(band_px)
    opened = open_shot(shot, values)
    target = folder or shot / TRIMAP_FOLDER
    try:
        refuse_beside_subjects(opened, target, shot)
        numbers = sorted({n for part in frames.split(",") for n in FrameRange.parse(part)})
        opened.check_apart(target)
        refuse_keyframes(numbers, target)
        colours = ColourConfig.load(opened.settings.ocio)
        matter = _open_matter(weights, device)
        with opened.open_plate(colours) as plate:
            keyframes = [_keyframe(matter, plate.read(n), colours, band_px, every) for n in numbers]
            info = plate.info
        if not doubtful:
            _refuse_doubtful(keyframes)
        for one in keyframes:
            click.echo(f"{_write(one.trimap, target, info)}  {one.remark}")
    except VfxmatteError as error:
        raise error.at(shot=opened.name) from error.__cause__
    click.echo("look at each, and paint over what is wrong, before you run")


def open_shot(folder: Path, values: Mapping[str, Any]) -> Shot:
    """Open a shot folder, its plate read as `plate_options` say.

    Args:
        values: by parameter name.

    Raises:
        VfxmatteError: see `Shot.open`; UsageError for an option that cannot be.
    """
    shot = Shot.open(folder)
    return replace(shot, settings=settings_with(shot.settings, values))


def check_band(band_px: float | None) -> None:
    """Raise UsageError for a --band that is negative or no number."""
    if band_px is None:
        return
    if not math.isfinite(band_px):
        raise UsageError(f"--band must be a number of pixels, found {band_px:g}")
    if band_px < 0:
        raise UsageError(f"--band must not be negative, found {band_px:g}")


def refuse_beside_subjects(shot: Shot, target: Path, folder: Path) -> None:
    """Raise UsageError for a keyframe beside the folders of subjects, which would count no more.

    Args:
        target: the folder for the keyframe.
        folder: the shot's.
    """
    place = folder / TRIMAP_FOLDER
    if shot.subjects and is_same_place(target, place):
        names = list(shot.subjects)
        raise UsageError(
            f"the shot has a folder for each of its subjects ({', '.join(names)}), which would "
            "count no more beside a keyframe in trimaps/ itself",
            path=place,
            hint=f"say whose keyframe it is: -o {place / names[0]}",
        )


def refuse_keyframes(numbers: Sequence[int], folder: Path) -> None:
    """Raise OutputError if one of the frames has a keyframe in the folder."""
    existing = find_keyframes(folder)
    taken = [number for number in numbers if number in existing]
    if taken:
        raise OutputError(
            f"{frames_text(taken, ('has', 'have'))} a keyframe already",
            frame=taken[0],
            path=existing[taken[0]],
            hint="keyframes are never overwritten: move it away, or leave the frame out",
        )


def _open_matter(weights: Path | None, device: str) -> PortraitMatter:
    from vfxmatte.engines.model import choose_device
    from vfxmatte.keyframes.portrait import PortraitMatter

    matter, info = PortraitMatter.open(weights, choose_device(device))
    click.echo(f"weights {info.name} ({info.path})")
    return matter


@dataclass(frozen=True)
class _Keyframe:
    trimap: Trimap
    """The trimap over the frame's canvas."""
    doubts: list[str]
    """The reasons for taking it for no portrait, or no usable trimap."""
    remark: str


def _refuse_doubtful(keyframes: Sequence[_Keyframe]) -> None:
    """Raise TrimapError that names the doubts of every doubtful frame."""
    bad = [one for one in keyframes if one.doubts]
    if bad:
        texts = "; ".join(f"frame {one.trimap.number}: {', '.join(one.doubts)}" for one in bad)
        raise TrimapError(
            f"nothing was written, for what was found is doubtful: {texts}",
            frame=bad[0].trimap.number,
            hint="leave such frames out, paint them, or say where the subject is: `vfxmatte trimap "
            "grabcut` with --box or --fg-stroke; --doubtful writes them all the same",
        )


def _keyframe(
    matter: PortraitMatter, frame: Frame, colours: ColourConfig, band_px: float | None, every: bool
) -> _Keyframe:
    """Make the trimap of a frame."""
    from vfxmatte.keyframes.portrait import default_band_px, doubts_about, keyframe_labels

    try:
        guess = matter.guess(to_network(frame, colours), every=every)
    except VfxmatteError as error:
        raise error.at(frame=frame.number, path=frame.path) from error.__cause__
    band_px = default_band_px(*guess.alpha.shape) if band_px is None else band_px
    labels = keyframe_labels(guess, band_px)
    trimap = Trimap(number=frame.number, labels=labels, is_keyframe=True)
    doubts = doubts_about(guess, labels)
    unknown = f"{100 * trimap.unknown_share:.1f}% unknown"
    remark = f"{unknown}, band {band_px:g} px, {_remark(guess, doubts, every)}"
    return _Keyframe(trimap, doubts, remark)


def _remark(guess: PortraitGuess, doubts: Sequence[str], every: bool) -> str:
    words = [f"doubtful: {', '.join(doubts)}"] if doubts else [f"agreement {guess.agreement:.2f}"]
    if guess.portraits > 1:
        taken = "all are taken" if every else "the largest is taken (--all takes all)"
        words.append(f"{guess.portraits} portraits: {taken}")
    if guess.is_coarse:
        height, width = guess.solved
        words.append(f"solved at {width}x{height}: the whole picture would be too large")
    return ", ".join(words)


def _write(trimap: Trimap, folder: Path, info: PlateInfo) -> Path:
    """Write a keyframe over the plate's display window, as an artist paints it."""
    window = info.display_window
    labels = trimap.labels[window.slices_in(info.canvas)].copy()
    path = trimap_path(folder, trimap.number, padding=info.padding)
    return write_labels(replace(trimap, labels=labels), path, window)
