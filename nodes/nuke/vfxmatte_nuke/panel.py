"""What the artist has set in the node's panel, checked and typed."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from vfxmatte_nuke import client, host
from vfxmatte_nuke.frames import parse_frames
from vfxmatte_nuke.paths import forward
from vfxmatte_nuke.problem import Problem

SETTINGS = (
    "first", "last", "plate_from", "trimaps_from", "keyframes", "trimap_channel", "trimap_folder",
    "quality", "device", "shot_folder", "colorspace", "ocio", "layer", "missing", "command",
)  # fmt: skip
RESULTS = ("matte_file", "trimap_file", "matte_first", "matte_last", "has_matte")


class Settings(NamedTuple):
    """The panel's values. keyframes: listed frames; [] where trimaps come from a folder."""

    first: int
    last: int
    always_render: bool
    keyframes: list[int]
    trimap_folder: str
    quality: str
    device: str
    shot_folder: str
    colorspace: str
    ocio: str
    layer: str
    missing: str
    notes: tuple[str, ...]

    @property
    def from_folder(self) -> bool:
        return bool(self.trimap_folder)


def settings_of(node: Any) -> Settings:
    """The node's settings; raises Problem for what cannot be meant."""
    found = host.values(node, SETTINGS)
    first, last = int(found["first"]), int(found["last"])
    if last < first:
        raise Problem(
            f"the frame range {first}-{last} is empty",
            "Set 'frames', or press 'From input'.",
        )
    words: dict[str, Any] = {n: forward(found[n].strip()) for n in ("colorspace", "layer")}
    words.update((name, client.tidy_path(found[name])) for name in ("shot_folder", "ocio"))
    return Settings(
        first=first,
        last=last,
        always_render=found["plate_from"] != "automatic",
        quality=str(found["quality"]),
        device=str(found["device"]),
        missing=str(found["missing"]),
        notes=_notes(found["command"]),
        **_trimaps(found),
        **words,
    )


def _notes(command: str) -> tuple[str, ...]:
    """What an older script asks for and does not get."""
    if not command.strip():
        return ()
    note = (
        "The script's vfxmatte command is ignored: which program runs is set on this machine, in "
        "~/.vfxmatte/command.txt or VFXMATTE_COMMAND."
    )
    logging.getLogger("vfxmatte").warning("%s (%.200r)", note, command)
    return (note,)


def _trimaps(found: dict[str, Any]) -> dict[str, Any]:
    folder = client.tidy_path(found["trimap_folder"])
    if found["trimaps_from"] == "folder":
        if not folder:
            raise Problem(
                "no trimap folder is chosen",
                "Set 'trimap folder', or set 'trimaps' to 'input' and paint.",
            )
        return {"trimap_folder": folder, "keyframes": []}
    keyframes = parse_frames(found["keyframes"])
    if not keyframes:
        raise Problem(
            "no keyframe is listed",
            "Paint a trimap on the trimap input (0 background, 0.5 unknown, 1 foreground), "
            "go to that frame and press 'Add current'.",
        )
    return {"trimap_folder": "", "keyframes": keyframes}
