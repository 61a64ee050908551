"""What the node's buttons do. Each is called on the main thread with the node itself."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from vfxmatte_nuke import host, jobs, panel, wording
from vfxmatte_nuke.frames import frames_text, parse_frames
from vfxmatte_nuke.plan import make_plan
from vfxmatte_nuke.problem import Problem


def _told(action: Callable[[Any], None]) -> Callable[[Any], None]:
    """A Problem becomes the panel's text; without an interface it ends the script."""

    @functools.wraps(action)
    def careful(node: Any) -> None:
        try:
            action(node)
        except Problem as problem:
            host.set_values(node, status=wording.safe(str(problem)))
            if not host.is_gui():
                raise RuntimeError(f"{host.full_name(node)}: {problem}") from problem

    return careful


@_told
def render(node: Any) -> None:
    """Matte the panel's frame range."""
    _render(node, None)


@_told
def render_frame(node: Any) -> None:
    """Matte the current frame."""
    _render(node, host.current_frame())


def _render(node: Any, frame: int | None) -> None:
    if host.is_executing():
        raise Problem("Nuke itself is rendering", "Press Render again when it has finished.")
    settings = panel.settings_of(node)
    job = jobs.start(node, make_plan(node, settings, frame), settings.notes)
    if not host.is_gui():
        job.pump()
        if job.problem:
            raise Problem(job.problem)


@_told
def cancel(node: Any) -> None:
    """Stop the node's render."""
    job = jobs.of_node(node)
    if job is None:
        raise Problem("Nothing is rendering here")
    job.cancel()
    host.set_values(node, status="Stopping")


@_told
def add_keyframe(node: Any) -> None:
    _change_keyframes(node, lambda frames, now: frames | {now})


@_told
def remove_keyframe(node: Any) -> None:
    _change_keyframes(node, lambda frames, now: frames - {now})


def _change_keyframes(node: Any, change: Callable[[Any, int], Any]) -> None:
    frames = set(parse_frames(host.values(node, ("keyframes",))["keyframes"]))
    node["keyframes"].setValue(frames_text(change(frames, host.current_frame())))


@_told
def range_from_input(node: Any) -> None:
    """Take the plate's own range."""
    if not host.is_connected(node, 0):
        raise Problem("the plate input is not connected", "Connect the plate to the first input.")
    first, last = host.input_range(node, 0)
    for name, value in (("first", first), ("last", last)):
        node[name].clearAnimated()
        node[name].setValue(value)


@_told
def make_read(node: Any) -> None:
    """A Read of the mattes and a Copy into the plate's alpha, in the node graph."""
    found = host.values(node, panel.RESULTS)
    if not found["has_matte"]:
        raise Problem("there are no mattes yet", "Press Render first.")
    host.make_read(node, found["matte_file"], int(found["matte_first"]), int(found["matte_last"]))
