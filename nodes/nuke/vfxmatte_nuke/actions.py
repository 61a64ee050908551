"""The node's buttons. Each is called on the main thread with the node."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from vfxmatte_nuke import host, panel, renders, wording
from vfxmatte_nuke.frames import frames_text, parse_frames
from vfxmatte_nuke.plan import make_plan
from vfxmatte_nuke.problem import Problem


def _reported(action: Callable[[Any], None]) -> Callable[[Any], None]:
    """Show a Problem in the panel; without an interface it ends the script."""

    @functools.wraps(action)
    def guarded(node: Any) -> None:
        try:
            action(node)
        except Problem as problem:
            host.set_values(node, status=wording.safe(str(problem)))
            if not host.is_gui():
                raise RuntimeError(f"{host.full_name(node)}: {problem}") from problem

    return guarded


@_reported
def render(node: Any) -> None:
    """Matte the panel's frame range."""
    _render(node, None)


@_reported
def render_frame(node: Any) -> None:
    """Matte the current frame."""
    _render(node, host.current_frame())


def _render(node: Any, frame: int | None) -> None:
    if host.is_executing():
        raise Problem("Nuke itself is rendering", "Press Render again when it has finished.")
    settings = panel.settings_of(node)
    render = renders.start(node, make_plan(node, settings, frame), settings.notes)
    if not host.is_gui():
        render.pump()
        if render.problem:
            raise Problem(render.problem)


@_reported
def cancel(node: Any) -> None:
    """Stop the node's render."""
    render = renders.of_node(node)
    if render is None:
        raise Problem("Nothing is rendering here")
    render.cancel()
    host.set_values(node, status="Stopping")


@_reported
def add_keyframe(node: Any) -> None:
    """Add the current frame to the keyframes."""
    _change_keyframes(node, set.union)


@_reported
def remove_keyframe(node: Any) -> None:
    """Remove the current frame from the keyframes."""
    _change_keyframes(node, set.difference)


def _change_keyframes(node: Any, change: Callable[[set[int], set[int]], set[int]]) -> None:
    frames = set(parse_frames(host.values(node, ("keyframes",))["keyframes"]))
    node["keyframes"].setValue(frames_text(change(frames, {host.current_frame()})))


@_reported
def range_from_input(node: Any) -> None:
    """Take the plate's own range."""
    if not host.is_connected(node, 0):
        raise Problem("the plate input is not connected", "Connect the plate to the first input.")
    first, last = host.input_range(node, 0)
    for name, value in (("first", first), ("last", last)):
        node[name].clearAnimated()
        node[name].setValue(value)


@_reported
def make_read(node: Any) -> None:
    """Create a Read of the mattes and a Copy into the plate's alpha, in the node graph."""
    values = host.values(node, panel.RESULTS)
    if not values["has_matte"]:
        raise Problem("there are no mattes yet", "Press Render first.")
    first, last = int(values["matte_first"]), int(values["matte_last"])
    host.make_read(node, values["matte_file"], first, last)
