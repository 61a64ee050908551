"""The optional inputs: a garbage matte, a core matte and a clean plate."""

from __future__ import annotations

from typing import Any

from vfxmatte_nuke import host, paths
from vfxmatte_nuke.colour import Project
from vfxmatte_nuke.problem import Problem
from vfxmatte_nuke.source import FilePlate, clean_plate_files
from vfxmatte_nuke.step import Step

_MATTES = {"garbage": 2, "core": 3}  # inputs by number
_CLEAN_PLATE = 4


def matte_steps(
    node: Any, shot: str, subject: str, span: tuple[int, int]
) -> tuple[dict[str, str], list[Step]]:
    """Return the request's garbage and core mattes, and the frames that Nuke has to render.

    Args:
        shot: the shot folder.
        subject: of several subjects the one that the mattes are of; "" for a single one.
        span: first and last frame that need them.

    Raises:
        Problem: an input of another size than the plate, or without an alpha.
    """
    request: dict[str, str] = {}
    steps: list[Step] = []
    for kind, number in _MATTES.items():
        if not host.is_connected(node, number):
            continue
        _check_size(node, number, kind)
        if not host.has_alpha(node, number):
            raise Problem(
                f"the {kind} input has no alpha",
                "Its matte is taken from the alpha: put a Shuffle behind it.",
            )
        request[kind] = folder = paths.control_folder(shot, kind, bool(subject))
        folder = f"{folder}/{subject}" if subject else folder
        write = kind.capitalize() + "Write"
        frames = range(span[0], span[1] + 1)
        steps += [Step.of(write, f"{kind} matte", n, folder, "png") for n in frames]
    return request, steps


def refuse_mattes(node: Any) -> None:
    """Raise Problem for a garbage or core matte that would be of no subject in particular."""
    for kind, number in _MATTES.items():
        if host.is_connected(node, number):
            raise Problem(
                f"the trimap folder has several subjects, and the {kind} input is of one",
                f"Set 'subject', or disconnect {kind}.",
            )


def has_clean_plate(node: Any) -> bool:
    return host.is_connected(node, _CLEAN_PLATE)


def clean_files(node: Any, project: Project, colorspace: str, plate: FilePlate) -> tuple[str, str]:
    """Return the files of the clean plate input and "", or "" and why Nuke must render them.

    Args:
        colorspace: the plate's colour space as set in the panel, or "".
        plate: the files of the plate, in whose colour space clean plates are read.

    Raises:
        Problem: it has another size than the plate.
    """
    _check_size(node, _CLEAN_PLATE, "cleanplate")
    return clean_plate_files(host.read_at(node, _CLEAN_PLATE), project, colorspace, plate)


def clean_steps(node: Any, shot: str, span: tuple[int, int]) -> tuple[str, list[Step]]:
    """Return the pattern of rendered clean plates, and the frames that Nuke has to render.

    Raises:
        Problem: it has another size than the plate.
    """
    _check_size(node, _CLEAN_PLATE, "cleanplate")
    folder = paths.clean_plate_folder(shot, *host.input_size(node, 0))
    frames = range(span[0], span[1] + 1)
    steps = [Step.of("CleanPlateWrite", "clean plate", n, folder, "exr") for n in frames]
    return folder + "/cleanplate.####.exr", steps


def _check_size(node: Any, number: int, name: str) -> None:
    """Raise Problem if an input has another size than the plate."""
    (width, height), plate = host.input_size(node, number), host.input_size(node, 0)
    if (width, height) != plate:
        raise Problem(
            "the {} input is {}x{}, the plate {}x{}".format(name, width, height, *plate),
            "Give it the plate's format: nothing is ever resized.",
        )
