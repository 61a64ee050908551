"""The files of a VfxMatte node: one shot folder, forward slashes everywhere.

SHOT/plate_from_nuke/1920x1080/plate.1001.exr    only if Nuke rendered the plate
SHOT/trimaps_from_nuke/trimap.1001.png           the painted keyframes
SHOT/subjects_from_nuke/hero/trimap.1001.png     those of one of several subjects
SHOT/garbage_from_nuke/garbagematte.1001.png     garbage mattes; core_from_nuke/ likewise
SHOT/subjects_garbage_from_nuke/hero/            those of one of several subjects
SHOT/cleanplate_from_nuke/1920x1080/             clean plates that Nuke rendered
SHOT/matte/                                      results: mattes, trimaps/, manifest
SHOT/matte/hero/                                 those of one of several subjects
"""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Iterable

from vfxmatte_nuke.problem import Problem

_MOVIES = (".mov", ".mp4", ".mxf", ".mkv", ".m4v", ".avi", ".webm")
_TAKEN_FOR_CODE = "[]$%#"


def forward(path: str) -> str:
    """Return the path with forward slashes, which Nuke needs on every system."""
    return path.replace("\\", "/")


def is_movie(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in _MOVIES


def shot_folder(typed: str, script: str, node: str) -> str:
    """Return the node's folder, by default `vfxmatte/SCRIPT/NODE` beside the script.

    SCRIPT is the script's name without its version, so that a new version of the comp finds its
    mattes and another comp in the same folder has its own.

    Args:
        typed: the folder set in the panel, or "".
        script: path of the script, or "" if it was never saved.
        node: full name of the node, with the groups that it is in.

    Raises:
        Problem: there is neither a folder nor a saved script, or Nuke would evaluate the path.
    """
    default = "vfxmatte/{}/{}".format(script_stem(script), node.replace(".", "_"))
    folder = forward(typed.strip()).rstrip("/") or default
    if not os.path.isabs(folder):
        if not script:
            raise Problem(
                "there is nowhere to put the mattes yet",
                "Save the script, or set 'shot folder' to a whole path.",
            )
        folder = forward(os.path.join(os.path.dirname(script), folder))
    signs = [sign for sign in _TAKEN_FOR_CODE if sign in folder]
    if signs:
        raise Problem(
            "the shot folder {} has {} in its path, which Nuke takes for code".format(
                folder, " and ".join(signs)
            ),
            "Set 'shot folder' to a path without it.",
        )
    return folder


def script_stem(script: str) -> str:
    """Return a script's name up to its version: `010_comp` for /s/010_comp_v012_jd.nk."""
    stem = os.path.splitext(os.path.basename(script))[0]
    return re.sub(r"[._-]v\d+.*$", "", stem, flags=re.IGNORECASE) or stem


def plate_folder(shot: str, width: int, height: int) -> str:
    """Return the folder for rendered plates of one format."""
    return f"{shot}/plate_from_nuke/{width}x{height}"


def trimap_folder(shot: str) -> str:
    return shot + "/trimaps_from_nuke"


def subjects_folder(shot: str) -> str:
    """Return the folder with a folder of painted keyframes for each of several subjects."""
    return shot + "/subjects_from_nuke"


def control_folder(shot: str, kind: str, of_subjects: bool) -> str:
    """Return the folder of garbage or core mattes.

    Args:
        kind: garbage or core.
        of_subjects: with a folder in it for each of several subjects.
    """
    return f"{shot}/{'subjects_' if of_subjects else ''}{kind}_from_nuke"


def clean_plate_folder(shot: str, width: int, height: int) -> str:
    """Return the folder for rendered clean plates of one format."""
    return f"{shot}/cleanplate_from_nuke/{width}x{height}"


def still_of(pattern: str, number: int) -> str:
    """Return the file of one frame of a pattern with %04d or ####; any other path as it is."""
    folder, slash, name = pattern.rpartition("/")
    match = re.search(r"%0?(\d*)d|#+", name)
    if match is None:
        return pattern
    digits = int(match.group(1) or 1) if match.group().startswith("%") else len(match.group())
    return f"{folder}{slash}{name[: match.start()]}{number:0{digits}d}{name[match.end() :]}"


def matte_folder(shot: str) -> str:
    return shot + "/matte"


def numbered(folder: str, stem: str, number: int, ending: str) -> str:
    """Return `folder/stem.1001.ending`, with at least four digits."""
    sign = "-" if number < 0 else ""
    return f"{folder}/{stem}.{sign}{abs(number):04d}.{ending}"


def pattern_of(path: str, number: int) -> str:
    """Return a frame's path as Nuke's pattern: `matte.%04d.exr` for matte.1001.exr."""
    path = forward(path)
    head, slash, name = path.rpartition("/")
    matches = [m for m in re.finditer(r"-?\d+", name) if int(m.group()) == number]
    if not matches:
        raise Problem(f"'{name}' has no frame number {number}")
    match = matches[-1]
    digits = len(match.group())
    return f"{head}{slash}{name[: match.start()]}%0{digits}d{name[match.end() :]}"


def ensure_folder(folder: str) -> None:
    """Create the folder and its parents; raises Problem with the system's own reason."""
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise Problem(
            f"the folder {folder} cannot be made: {error.strerror}",
            "Choose another 'shot folder', or ask for the right to write there.",
        ) from error


def settle(fresh: str, final: str) -> None:
    """Move a rendered file to its final name, unless an equal file is there already.

    An unchanged file keeps its time stamp, so that its matte need not be solved again.
    """
    if not os.path.isfile(fresh):
        raise Problem(f"Nuke wrote no {final}", "Look at the plate or trimap input's error.")
    if os.path.isfile(final) and filecmp.cmp(fresh, final, shallow=False):
        os.remove(fresh)
    else:
        os.replace(fresh, final)


def drop_other_trimaps(folder: str, keep: Iterable[int]) -> None:
    """Remove trimaps that this node rendered for keyframes that are no longer listed."""
    listed = {os.path.basename(numbered(folder, "trimap", number, "png")) for number in keep}
    for name in os.listdir(folder):
        if re.match(r"trimap\.-?\d{4,}\.png$", name) and name not in listed:
            os.remove(os.path.join(folder, name))
