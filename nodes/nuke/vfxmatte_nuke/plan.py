"""The plan of one press of Render: frames to render through Nuke, and the request."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple

from vfxmatte_nuke import controls, host, paths
from vfxmatte_nuke.colour import Project, configuration, working_space
from vfxmatte_nuke.frames import plate_span, range_text, ranges_text
from vfxmatte_nuke.panel import Settings
from vfxmatte_nuke.problem import Problem
from vfxmatte_nuke.source import FilePlate, from_files
from vfxmatte_nuke.step import Step


class Plan(NamedTuple):
    """A render in full; made before anything is written."""

    steps: list[Step]
    """Frames for Nuke to render, one by one, before the job."""
    request: dict[str, Any]
    """Keywords of `Client.start_run`."""
    first: int
    last: int
    """First and last frame to matte."""
    keyframes: list[int]
    shows_layers: bool
    """True if several subjects are matted, and shown by the EXRs with a layer for each."""
    note: str
    """The reason for rendering the plate through Nuke; "" if it is read from its files."""

    @property
    def output(self) -> str:
        return str(self.request["output"])


def make_plan(node: Any, settings: Settings, frame: int | None = None) -> Plan:
    """Make the plan for the panel's range, or for one frame; to be called on the main thread.

    Reads the script and the disk, and changes neither. Raises Problem.
    """
    if not host.is_connected(node, 0):
        raise Problem("the plate input is not connected", "Connect the plate to the first input.")
    first, last = (frame, frame) if frame is not None else (settings.first, settings.last)
    shot = paths.shot_folder(settings.shot_folder, host.script_path(), host.full_name(node))
    trimaps, keyframes, steps = _trimaps(node, settings, shot)
    several = not settings.subject and settings.from_folder and bool(subjects_in(trimaps))
    span = plate_span(first, last, keyframes)
    if several:
        controls.refuse_mattes(node)
    # a matte is averaged with its neighbours', which the same garbage and core mattes limit
    beside = max(first - 1, span[0]), min(last + 1, span[1])
    mattes, matte_steps = controls.matte_steps(node, shot, settings.subject, beside)
    plate, note = _plate(node, settings, host.project(), shot, span)
    options = plate.pop("settings")
    request: dict[str, Any] = {
        "trimaps": trimaps,
        "output": paths.matte_folder(shot),
        "frames": range_text(first, last),
        "ocio": settings.ocio or configuration(host.project()) or None,
        "device": settings.device,
        "mode": settings.quality,
        "fit": settings.fit or None,
        "subject": settings.subject or None,
        "subject_layers": several or None,
        "settings": dict(options, missing=settings.missing),
    }
    if settings.foreground != "none":
        request["foreground"] = settings.foreground
    request.update(plate, **mattes)
    steps = steps + matte_steps + request.pop("steps")
    if steps and host.is_proxy():
        raise Problem(
            "the script is in proxy mode, in which Nuke would render small trimaps and plates",
            "Switch proxy mode off, and press Render again.",
        )
    return Plan(steps, request, first, last, keyframes, several, note)


def _trimaps(node: Any, settings: Settings, shot: str) -> tuple[str, list[int], list[Step]]:
    """Return the trimap folder, the keyframes, and the frames that Nuke has to render for them."""
    if settings.from_folder:
        folder = settings.trimap_folder
        return folder, _frames_in(folder, settings.subject), []
    if not host.is_connected(node, 1):
        raise Problem(
            "the trimap input is not connected",
            "Connect a Roto or RotoPaint with the trimap, or set 'trimaps' to 'folder'.",
        )
    folder = paths.trimap_folder(shot)
    painted = folder
    if settings.subject:
        folder = paths.subjects_folder(shot)
        painted = f"{folder}/{settings.subject}"
    steps = [Step.of("TrimapWrite", "trimap", n, painted, "png") for n in settings.keyframes]
    return folder, settings.keyframes, steps


def _frames_in(folder: str, subject: str) -> list[int]:
    """Return the frames that are painted in a folder: of one subject, or of all that it has."""
    subjects = subjects_in(folder)
    if subject and subject not in subjects:
        names = ", ".join(subjects) or "none: its trimaps lie in the folder itself"
        raise Problem(
            f"{folder} has no folder of trimaps for the subject '{subject}'",
            f"It has {names}. Set 'subject' to one of them, or empty it.",
        )
    if not subjects:
        return painted_frames(folder)
    chosen = [subject] if subject else subjects
    return sorted({n for name in chosen for n in painted_frames(f"{folder}/{name}")})


def subjects_in(folder: str) -> list[str]:
    """Return the folders of trimaps in a folder without trimaps of its own: a subject each."""
    names = _listed(folder)
    if _numbers(names):
        return []
    inside = [n for n in names if not n.startswith(".") and os.path.isdir(f"{folder}/{n}")]
    return sorted(name for name in inside if _numbers(_listed(f"{folder}/{name}")))


def painted_frames(folder: str) -> list[int]:
    """Return the frame numbers of the trimaps in a folder; raises Problem if there are none."""
    numbers = _numbers(_listed(folder))
    if not numbers:
        raise Problem(
            f"no trimap is in {folder}",
            "Trimaps are called NAME.FRAME.ext, for example trimap.1001.png; with several "
            "subjects each has a folder of them.",
        )
    return numbers


def _numbers(names: list[str]) -> list[int]:
    matches = (re.search(r"[._](-?\d+)\.\w+$", n) for n in names if not n.startswith("."))
    return sorted({int(match.group(1)) for match in matches if match})


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError as error:
        raise Problem(
            f"the trimap folder {folder} cannot be read: {error.strerror}",
            "Choose the folder that holds the painted trimaps (NAME.FRAME.ext).",
        ) from error


def _plate(
    node: Any, settings: Settings, project: Project, shot: str, span: tuple[int, int]
) -> tuple[dict[str, Any], str]:
    """Return the plate's part of the request, with its `steps`, and why it is rendered or ""."""
    files, note = None, "'plate' is 'always render'"
    if not settings.always_render:
        files, note = from_files(host.read_at(node, 0), project, settings.colorspace)
    clean = ""
    if files is not None and controls.has_clean_plate(node):
        clean, note = controls.clean_files(node, project, settings.colorspace, files)
    if files is None or note:
        return _rendered_plate(node, settings, project, shot, span, note), note
    _check_range(files, settings, span)
    options: dict[str, Any] = {}
    if settings.layer:
        options["layer"] = settings.layer
    if files.first_frame is not None:
        options["first_frame"] = files.first_frame
    part = {"plate": files.pattern, "colorspace": files.colorspace, "settings": options}
    return dict(part, cleanplate=clean or None, steps=[]), ""


def _rendered_plate(
    node: Any, settings: Settings, project: Project, shot: str, span: tuple[int, int], note: str
) -> dict[str, Any]:
    """Return the part of the request for a plate that Nuke renders because of `note`.

    The clean plate is rendered too: both are in the working space then.
    """
    if settings.layer:
        raise Problem(
            f"'EXR layer' works on a plate that is read from its files, not here because {note}",
            "Connect the Read itself, or bring the layer into rgb with a Shuffle and empty it.",
        )
    width, height = host.input_size(node, 0)
    folder = paths.plate_folder(shot, width, height)
    frames = range(span[0], span[1] + 1)
    steps = [Step.of("PlateWrite", "plate", number, folder, "exr") for number in frames]
    clean = None
    if controls.has_clean_plate(node):
        clean, clean_steps = controls.clean_steps(node, shot, span)
        steps += clean_steps
    return {
        "plate": folder + "/plate.####.exr",
        "colorspace": settings.colorspace or working_space(project),
        "cleanplate": clean,
        "settings": {},
        "steps": steps,
    }


def _check_range(plate: FilePlate, settings: Settings, span: tuple[int, int]) -> None:
    """Refuse frames outside the plate's range, where a Read repeats its first or last frame."""
    first, last = plate.first, plate.last
    outside = [number for number in range(span[0], span[1] + 1) if not first <= number <= last]
    if outside and settings.missing == "error":
        raise Problem(
            f"the plate has frames {first}-{last}, not {ranges_text(outside)}",
            "Press 'From input', or set 'missing frames' to hold or skip on the Engine tab.",
        )
