"""First trimaps of a frame to paint over: from a box, grabCut, a portrait or a neighbour."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from vfxmatte.errors import TrimapError, UsageError, VfxmatteError
from vfxmatte.keyframes.grabcut import cut_out, default_band_px, trimap_around
from vfxmatte.paint.commands import ask_command
from vfxmatte.paint.desk import Desk
from vfxmatte.pipeline.keyframes import find_keyframes, read_keyframe
from vfxmatte.pipeline.prepared import PreparedRun
from vfxmatte.types import BACKGROUND, UNKNOWN, Failure, Labels, Mask, Window

METHODS = ("box", "grabcut", "portrait", "previous", "next")


def guess(desk: Desk, number: int, method: str, box: Window | None) -> Labels:
    """Return labels (H, W) for a frame.

    Args:
        method: one of `METHODS`.
        box: for box and grabcut, around the subject.

    Raises:
        VfxmatteError: nothing was found, or there is no neighbour.
    """
    if method in ("box", "grabcut"):
        if box is None:
            raise UsageError("draw a box around the subject first")
        region = np.zeros(desk.canvas.shape, bool)
        region[box.slices_in(Window.of_size(desk.canvas.width, desk.canvas.height))] = True
        return _in_box(region) if method == "box" else _grabcut(desk, number, region)
    if method == "portrait":
        return _portrait(desk, number)
    return _from_neighbour(desk, number, after=method == "next")


def _in_box(region: Mask) -> Labels:
    return np.where(region, np.uint8(UNKNOWN), np.uint8(BACKGROUND))


def _grabcut(desk: Desk, number: int, region: Mask) -> Labels:
    pictures = desk.pictures
    encoded = desk.colours.encode(pictures.frame(number).levels[0], pictures.linear)
    cut = cut_out(encoded, region)
    return trimap_around(cut, region, default_band_px(desk.info.display_window.height))


def _portrait(desk: Desk, number: int) -> Labels:
    """Ask `vfxmatte trimap auto`, in a process of its own: this one loads no torch."""
    with tempfile.TemporaryDirectory(prefix="vfxmatte-") as name:
        options = ["--frames", str(number), "--output", name]
        try:
            ask_command(["trimap", "auto", str(desk.folder), *options])
        except VfxmatteError as error:
            hint = "draw a box and try GrabCut, or paint"
            raise TrimapError(error.what, frame=number, hint=hint) from error
        return read_keyframe(find_keyframes(Path(name))[number], number, desk.info).labels


def _from_neighbour(desk: Desk, number: int, *, after: bool) -> Labels:
    """Carry the next keyframe to one side along the plate's motion."""
    keyframes = desk.keyframes()
    others = [n for n in keyframes if (n > number if after else n < number)]
    if not others:
        side = "after" if after else "before"
        raise TrimapError(
            f"there is no keyframe {side} this frame", frame=number, hint="save one first"
        )
    nearest = min(others) if after else max(others)
    shot = replace(desk.shot, keyframes={nearest: keyframes[nearest]})
    with PreparedRun(shot, replace(desk.shot.settings, frames=None)) as run:
        carried = next(run.carried([number]))
    if isinstance(carried, Failure):
        raise carried.error
    return carried.labels
