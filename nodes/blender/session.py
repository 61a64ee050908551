"""Turns the panel's settings into trimaps and a run, and holds the state of the current run."""

from __future__ import annotations

import threading
from typing import Any

import bpy

from . import colorspaces, controls, masks, trimaps
from .frames import parse_frames
from .owner import NotOurs
from .place import Place, mask_block, owned_folder, plate, plate_block, shot_folder, unsaved
from .plate import Plate
from .preferences import answer, preferences
from .problem import Problem, problems
from .run import Progress, Run
from .target import Target, load
from .vfxmatte_client import Client, ClientError, remember_command, tidy_path

POLL_SECONDS = 0.25


class _Session:
    """State that lives as long as the add-on: the client and the latest run."""

    client: Any = None
    command: str = ""
    run: Run | None = None
    plate: Plate | None = None
    message: str = ""
    problem: Problem | None = None

    def scene_frame(self, number: int) -> int:
        """Return the scene frame that shows a file of the plate of the latest run."""
        return number if self.plate is None else self.plate.scene_frame_of(number)


session = _Session()


def key_frames(place: Place, shot: Plate) -> list[int]:
    """Return the scene frames that get a trimap: as typed, else the mask's keys; raises Problem."""
    text = place.scene.vfxmatte.keyframes
    frames = parse_frames(text) if text.strip() else mask_keys(place, shot)
    outside = [f for f in frames if not shot.first <= shot.number_at(f) <= shot.last]
    if outside:
        first, last = shot.scene_frame_of(shot.first), shot.scene_frame_of(shot.last)
        raise Problem(
            f"Keyframe {outside[0]} is not on the plate, which plays from {first} to {last}",
            "Give other keyframes",
        )
    return frames


def mask_keys(place: Place, shot: Plate) -> list[int]:
    """Find the scene frames of the plate on which the mask is keyed; raises Problem."""
    first, last = shot.scene_frame_of(shot.first), shot.scene_frame_of(shot.last)
    frames = masks.key_frames(mask_block(place), first, last)
    if not frames:
        raise Problem(
            "The mask does not move, so it has no keyframes", "Type the frames that it fits"
        )
    return frames


def write_trimaps(place: Place, shot: Plate) -> str:
    """Draw the masks and write the trimaps; returns a summary. Raises Problem."""
    chosen, folder = place.scene.vfxmatte, owned_folder(place)
    if chosen.trimap_source == "FOLDER":
        folder.claim()
        return trimaps.painted(folder)
    mask, frames = mask_block(place), key_frames(place, shot)
    folder.claim()
    if chosen.trimap_source == "LAYERS":
        labels = trimaps.from_layers(mask, frames, shot)
    else:
        widths = chosen.inward_px, chosen.outward_px
        labels = trimaps.from_outline(mask, frames, shot, *widths)
    by_number = {shot.number_at(frame): one for frame, one in labels.items()}
    return str(trimaps.sync(folder, by_number))


def start(place: Place) -> Run:
    """Write the trimaps and start the run; returns at once. Raises Problem."""
    if session.run is not None and not session.run.progress.is_over:
        raise Problem("A run goes on already", "Wait for it, or cancel it")
    _keep_shown(place)
    shot = plate(place)
    request, done = _request(place, shot), write_trimaps(place, shot)
    request.update(controls.write_limits(place, shot, _range(place.scene, shot)))
    session.message, session.problem, target = done, None, Target.of(place, shot)
    run = Run(lambda progress: _over(progress, target))
    run.start(_client(), request)
    session.run, session.plate = run, shot
    if not bpy.app.timers.is_registered(poll):
        bpy.app.timers.register(poll, first_interval=POLL_SECONDS)
    return run


def _keep_shown(place: Place) -> None:
    """Store the clip and mask of the editor in the panel: none is open when the run ends."""
    chosen, block = place.scene.vfxmatte, plate_block(place)
    if chosen.plate_kind == "CLIP":
        chosen.clip = block
    if chosen.trimap_source != "FOLDER":
        chosen.mask = mask_block(place)


def poll() -> float | None:
    """Update the panels; called by Blender's timer on its main thread during a run."""
    goes_on = session.run is not None and session.run.tick()
    _redraw()
    return POLL_SECONDS if goes_on else None


def close() -> None:
    """Cancel the run and leave the server: before Blender, its file or the add-on closes."""
    if session.run is not None and not session.run.progress.is_over:
        session.run.cancel()
    if session.client is not None:
        session.client.close()
    session.client, session.run, session.plate = None, None, None
    session.message, session.problem = "", None
    unsaved.renew()
    if bpy.app.timers.is_registered(poll):
        bpy.app.timers.unregister(poll)


def test_program() -> None:
    """Ask the program for its version in the background; the preferences show the reply."""
    answer.text = "Asking..."
    asking = threading.Thread(target=_ask, args=(_command(),), daemon=True)
    asking.start()
    bpy.app.timers.register(lambda: _look_again(asking), first_interval=POLL_SECONDS)


def _ask(command: str) -> None:
    try:
        answer.text = f"Found: {remember_command(command)}"
    except ClientError as error:
        answer.text = str(error)


def _look_again(asking: threading.Thread) -> float | None:
    _redraw()
    return POLL_SECONDS if asking.is_alive() else None


def take_over(place: Place) -> str:
    """Make the results' folder this file's; returns a summary.

    Raises:
        NotOurs: the panel has not shown yet whose results this folder holds.
    """
    folder, problem = owned_folder(place), session.problem
    folder.claim(take_over=isinstance(problem, NotOurs) and problem.folder == folder.path)
    return f"{folder.path} is this file's now: the next run replaces what is out of date in it"


def _command() -> str:
    """Return where vfxmatte is, as set in the preferences; "" to search."""
    return str(bpy.path.abspath(tidy_path(preferences().command)))


def _client() -> Any:
    command = _command()
    if session.client is None or session.command != command:
        if session.client is not None:
            session.client.close()
        session.client, session.command = Client(command or None), command
    return session.client


def _request(place: Place, shot: Plate) -> dict[str, Any]:
    chosen, folder = place.scene.vfxmatte, shot_folder(place)
    saved = preferences()
    return {
        "plate": shot.source,
        "trimaps": str(folder.all_trimaps),
        "output": str(folder.all_mattes),
        "subject": folder.subject or None,
        "frames": _frames(place.scene, shot),
        "colorspace": _colorspace(chosen, shot),
        "cleanplate": controls.clean_plate(place, shot),
        "device": saved.device.strip() or None,
        "mode": saved.mode,
        "foreground": "premultiplied" if chosen.foreground else None,
        "fit": _fit(saved.fit),
        "settings": {"missing": chosen.missing.lower()},
    }


def _fit(text: str) -> str | None:
    """Return the fit to the shot as the request has it; None for the program's own default."""
    return None if text.strip().lower() in ("", "auto") else text.strip()


def _frames(scene: Any, shot: Plate) -> str | None:
    if scene.vfxmatte.frames == "WHOLE":
        return None
    return "{}-{}".format(*_range(scene, shot))


def _range(scene: Any, shot: Plate) -> tuple[int, int]:
    """Return the first and last frame of the plate to matte; raises Problem."""
    if scene.vfxmatte.frames == "WHOLE":
        return shot.first, shot.last
    first = max(shot.first, shot.number_at(scene.frame_start))
    last = min(shot.last, shot.number_at(scene.frame_end))
    if last < first:
        raise Problem(
            "None of the plate lies in the scene's frame range", "Change it, or run the whole plate"
        )
    return first, last


def _colorspace(chosen: Any, shot: Plate) -> str | None:
    if chosen.colorspace_from == "BLENDER":
        return colorspaces.vfxmatte_name(shot.colorspace)
    return (chosen.colorspace.strip() or None) if chosen.colorspace_from == "NAME" else None


def _over(progress: Progress, target: Target) -> None:
    session.problem = progress.problem
    if progress.problem is not None:
        return
    session.message = _summary(progress)
    scene = target.scene
    if progress.state != "done" or (scene is not None and not scene.vfxmatte.wire):
        return
    if scene is not None and scene.library is not None:  # its compositor cannot be changed
        session.message += f": {target.folder.matte}"
        return
    try:
        with problems():
            session.message = load(target)
    except Problem as problem:
        session.problem = problem


def _summary(progress: Progress) -> str:
    if not progress.count:
        return "Cancelled before the first frame"
    done = f"{progress.done - len(progress.failed)} of {progress.count} frames are done"
    failed = f", {len(progress.failed)} failed" if progress.failed else ""
    return f"Cancelled: {done}{failed}" if progress.state == "cancelled" else f"{done}{failed}"


def _redraw() -> None:
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("CLIP_EDITOR", "NODE_EDITOR", "PREFERENCES"):
                area.tag_redraw()
