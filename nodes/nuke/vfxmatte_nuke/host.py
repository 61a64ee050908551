"""The single place for calls into Nuke; it holds nothing else.

Signatures and knob names: Foundry's Python reference for Nuke 13 to 16,
https://learn.foundry.com/nuke/developers/130/pythondevguide/ (nuke.executeInMainThread,
nuke.executeInMainThreadWithResult, nuke.execute, nuke.Undo, nuke.File_Knob, nuke.Group,
callbacks). All functions but `later` and `result_of` must be called on Nuke's main thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import nuke

from vfxmatte_nuke.colour import Project
from vfxmatte_nuke.paths import forward
from vfxmatte_nuke.problem import Cancelled, Problem
from vfxmatte_nuke.source import PASS_THROUGH, ReadInfo

NODE_CLASS = "VfxMatte"
_EVALUATED = ("trimap_folder", "shot_folder", "ocio")


def is_gui() -> bool:
    return bool(nuke.GUI)


def is_executing() -> bool:
    return bool(nuke.executing())


def later(call: Callable[[], None]) -> None:
    """Schedule a call on the main thread, from any thread; returns at once."""
    nuke.executeInMainThread(call)


def result_of(call: Callable[[], Any]) -> Any:
    """Execute a call on the main thread, from another one, and return its result.

    The call must not raise.
    """
    return nuke.executeInMainThreadWithResult(call)


@contextmanager
def without_undo() -> Iterator[None]:
    """Keep changes that the artist did not make out of the undo list."""
    nuke.Undo.disable()
    try:
        yield
    finally:
        nuke.Undo.enable()


def exists(node: Any) -> bool:
    """Return True if the node is still in the script."""
    try:
        node.name()
    except ValueError:  # how Nuke answers for a deleted node
        return False
    return True


def full_name(node: Any) -> str:
    """Return the node's name with its groups: `Group1.VfxMatte1`."""
    return str(node.fullName())


def script_path() -> str:
    """Return the path of the script, "" if it was never saved."""
    return forward(nuke.root()["name"].value() or "")


def current_frame() -> int:
    return int(nuke.frame())


def values(node: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of knobs by name; paths are evaluated."""
    return {
        name: (node[name].evaluate() or "") if name in _EVALUATED else node[name].value()
        for name in names
    }


def set_values(node: Any, **changes: Any) -> None:
    with without_undo():
        for name, value in changes.items():
            node[name].setValue(value)


def is_connected(node: Any, number: int) -> bool:
    return node.input(number) is not None


def input_range(node: Any, number: int) -> tuple[int, int]:
    """Return the first and last frame of an input."""
    source = node.input(number)
    return int(source.firstFrame()), int(source.lastFrame())


def input_size(node: Any, number: int) -> tuple[int, int]:
    """Return the width and height of an input, in pixels."""
    source = node.input(number)
    return int(source.width()), int(source.height())


def has_alpha(node: Any, number: int) -> bool:
    return "rgba.alpha" in node.input(number).channels()


def read_at(node: Any, number: int) -> ReadInfo | None:
    """Return the Read that an input shows unchanged; None for any other input."""
    source = node.input(number)
    while source is not None and (source.Class() in PASS_THROUGH or _is_skipped(source)):
        source = source.input(0)
    if source is None or source.Class() != "Read" or _is_disabled(source):
        return None
    return ReadInfo(
        name=str(source.name()),
        pattern=forward(source["file"].getEvaluatedValue() or ""),
        first=int(source["first"].value()),
        last=int(source["last"].value()),
        frame_mode=str(source["frame_mode"].value()).replace("_", " "),
        frame=str(source["frame"].value()),
        colorspace=str(source["colorspace"].value()),
        raw=bool(source["raw"].value()),
    )


def _is_disabled(node: Any) -> bool:
    knob = node.knob("disable")
    return knob is not None and bool(knob.value())


def _is_skipped(node: Any) -> bool:
    """Return True for a disabled node that passes its first input on."""
    return node.Class() != "Read" and _is_disabled(node)


def project() -> Project:
    """Return the script's colour management."""
    root = nuke.root()
    config = root.knob("OCIOConfigPath")
    return Project(
        management=str(root["colorManagement"].value()),
        config=str(root["OCIO_config"].value()),
        custom=forward(root["customOCIOConfigPath"].evaluate() or ""),
        working=str(root["workingSpaceLUT"].value()),
        environment=forward(os.environ.get("OCIO", "")),
        built_in=forward(config.evaluate() or "") if config is not None else "",
    )


def is_proxy() -> bool:
    """Return True in proxy mode, in which Writes render small pictures."""
    return bool(nuke.root()["proxy"].value())


def render_inner(node: Any, write_name: str, path: str, frame: int) -> None:
    """Render one frame through a Write inside the node into `path`; raises Problem, Cancelled.

    The Write is disabled at all other times, so that 'Render All' leaves it alone.
    """
    write = node.node(write_name)
    with without_undo():
        try:
            write["file"].setValue(path)
            write["disable"].setValue(False)
            nuke.execute(write, frame, frame, 1, [nuke.views()[0]])
        except RuntimeError as error:
            if "cancel" in str(error).lower():  # the artist, in Nuke's own progress window
                raise Cancelled() from error
            raise Problem(
                f"Nuke could not render frame {frame}: {error}",
                "Look at the frame in a Viewer, upstream of this node.",
            ) from error
        finally:
            write["disable"].setValue(True)
            write["file"].setValue("")


def reload_results(node: Any) -> None:
    """Make the Reads inside the node read their files again."""
    for name in ("ReadMatte", "ReadTrimap"):
        node.node(name)["reload"].execute()


def make_read(node: Any, pattern: str, first: int, last: int) -> Any:
    """Create a Read of the mattes and a Copy into the plate's alpha, beside the node.

    Both work by frame number: a frame without a matte is black, and never shows another frame's.

    Returns:
        The Copy.
    """
    group = full_name(node).rpartition(".")[0]
    with nuke.toNode(group) if group else nuke.root():
        read = nuke.nodes.Read(
            file=pattern, first=first, last=last, origfirst=first, origlast=last, origset=True,
            before="black", after="black", on_error="black", raw=True,
            label="mattes of " + str(node.name()),
        )  # fmt: skip
        copy = nuke.nodes.Copy(from0="rgba.alpha", to0="rgba.alpha")
        copy.setInput(0, node.input(0))
        copy.setInput(1, read)
    read.setXYpos(int(node.xpos()) + 150, int(node.ypos()))
    copy.setXYpos(int(node.xpos()) + 150, int(node.ypos()) + 120)
    return copy


def on_lifetime(
    created: Callable[[Any], None],
    destroyed: Callable[[Any], None],
    closed: Callable[[], None],
) -> None:
    """Register callbacks for a VfxMatte created or destroyed, and for a script closed."""
    nuke.addOnCreate(lambda: created(nuke.thisNode()), nodeClass=NODE_CLASS)
    nuke.addOnDestroy(lambda: destroyed(nuke.thisNode()), nodeClass=NODE_CLASS)
    nuke.addOnScriptClose(closed)


def say(text: str) -> None:
    """Print a line on the terminal, for renders without an interface."""
    nuke.tprint(text)
