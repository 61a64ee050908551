"""The settings of the node's panel, checked and typed."""

from __future__ import annotations

import logging
import re
from typing import Any, NamedTuple

from vfxmatte_nuke import client, host
from vfxmatte_nuke.frames import parse_frames
from vfxmatte_nuke.paths import forward
from vfxmatte_nuke.problem import Problem

SETTINGS = (
    "first", "last", "plate_from", "trimaps_from", "keyframes", "trimap_channel", "trimap_folder",
    "subject", "quality", "foreground", "shot_fit", "device", "shot_folder", "colorspace", "ocio",
    "layer", "missing", "command",
)  # fmt: skip
RESULTS = ("matte_file", "trimap_file", "matte_first", "matte_last", "has_matte")


class Settings(NamedTuple):
    """The panel's values; an empty text means the default."""

    first: int
    last: int
    """First and last frame to matte."""
    always_render: bool
    """Render the plate through Nuke even where its files could be read."""
    keyframes: list[int]
    """Frames on which the trimap input is painted; [] if trimaps come from a folder."""
    trimap_folder: str
    """Folder of painted trimaps; "" if they come from the input."""
    subject: str
    """The one to matte and to show of several subjects; "" for a single one, or for all."""
    quality: str
    """exact or fast."""
    foreground: str
    """Colour to write beside alpha: none, premultiplied or straight."""
    fit: str
    """Fit to the shot: off, or minutes; empty: where it is worth it."""
    device: str
    shot_folder: str
    colorspace: str
    """The plate's OpenColorIO colour space."""
    ocio: str
    """OpenColorIO configuration."""
    layer: str
    """EXR layer of the plate."""
    missing: str
    """Missing plate frames: error, hold or skip."""
    notes: tuple[str, ...]
    """Shown in the panel when the render is over."""

    @property
    def from_folder(self) -> bool:
        return bool(self.trimap_folder)


def settings_of(node: Any) -> Settings:
    """Return the node's settings; raises Problem for unusable ones."""
    values = host.values(node, SETTINGS)
    first, last = int(values["first"]), int(values["last"])
    if last < first:
        raise Problem(
            f"the frame range {first}-{last} is empty",
            "Set 'frames', or press 'From input'.",
        )
    texts: dict[str, Any] = {n: forward(values[n].strip()) for n in ("colorspace", "layer")}
    texts.update((name, client.tidy_path(values[name])) for name in ("shot_folder", "ocio"))
    return Settings(
        first=first,
        last=last,
        always_render=values["plate_from"] != "automatic",
        subject=_subject(values["subject"]),
        quality=str(values["quality"]),
        foreground=str(values["foreground"]),
        fit=_fit(values["shot_fit"]),
        device=str(values["device"]),
        missing=str(values["missing"]),
        notes=_notes(values["command"]),
        **_trimaps(values),
        **texts,
    )


def _subject(text: str) -> str:
    """Return a subject's name; raises Problem for one that Nuke cannot show as a layer."""
    name = text.strip()
    if name and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name, re.ASCII):
        raise Problem(
            f"'{name}' cannot be a subject: Nuke could not show it as a layer",
            "Use letters, digits and _, a letter first; rename its folder if it has one.",
        )
    return name


def _fit(text: str) -> str:
    """Return the fit to the shot as the request has it; raises Problem for any other text."""
    tidy = text.strip().lower().replace("auto", "")
    if tidy in ("", "off") or re.fullmatch(r"\d*\.?\d+", tidy):
        return tidy
    raise Problem(
        f"'fit to the shot' is {text!r}",
        "Leave it empty, or write off, or minutes: 3.",
    )


def _notes(command: str) -> tuple[str, ...]:
    """Return a note if an older script names a program, which is ignored."""
    if not command.strip():
        return ()
    note = (
        "The script's vfxmatte command is ignored: which program runs is set on this machine, in "
        "~/.vfxmatte/command.txt or VFXMATTE_COMMAND."
    )
    logging.getLogger("vfxmatte").warning("%s (%.200r)", note, command)
    return (note,)


def _trimaps(values: dict[str, Any]) -> dict[str, Any]:
    folder = client.tidy_path(values["trimap_folder"])
    if values["trimaps_from"] == "folder":
        if not folder:
            raise Problem(
                "no trimap folder is chosen",
                "Set 'trimap folder', or set 'trimaps' to 'input' and paint.",
            )
        return {"trimap_folder": folder, "keyframes": []}
    keyframes = parse_frames(values["keyframes"])
    if not keyframes:
        raise Problem(
            "no keyframe is listed",
            "Paint a trimap on the trimap input (0 background, 0.5 unknown, 1 foreground), "
            "go to that frame and press 'Add current'.",
        )
    return {"trimap_folder": "", "keyframes": keyframes}
