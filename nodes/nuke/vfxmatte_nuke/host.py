"""Every call into Nuke, and nothing else.

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
    """Have `call` run on the main thread; returns at once. From any thread."""
    nuke.executeInMainThread(call)


def result_of(call: Callable[[], Any]) -> Any:
    """What `call` returns on the main thread; waits. From any other thread, `call` never raises."""
    return nuke.executeInMainThreadWithResult(call)


@contextmanager
def without_undo() -> Iterator[None]:
    """Changes that the artist did not make do not fill the undo list."""
    nuke.Undo.disable()
    try:
        yield
    finally:
        nuke.Undo.enable()


def exists(node: Any) -> bool:
    """Whether the node is still in the script: Nuke raises ValueError for one that is not."""
    try:
        node.name()
    except ValueError:
        return False
    return True


def full_name(node: Any) -> str:
    """`Group1.VfxMatte1`."""
    return str(node.fullName())


def script_path() -> str:
    """The saved script, "" where there is none."""
    return forward(nuke.root()["name"].value() or "")


def current_frame() -> int:
    return int(nuke.frame())


def values(node: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The node's knobs by name; paths are evaluated."""
    found = {}
    for name in names:
        knob = node[name]
        found[name] = (knob.evaluate() or "") if name in _EVALUATED else knob.value()
    return found


def set_values(node: Any, **changes: Any) -> None:
    with without_undo():
        for name, value in changes.items():
            node[name].setValue(value)


def is_connected(node: Any, number: int) -> bool:
    return node.input(number) is not None


def input_range(node: Any, number: int) -> tuple[int, int]:
    """First and last frame of what is connected to an input."""
    source = node.input(number)
    return int(source.firstFrame()), int(source.lastFrame())


def input_size(node: Any, number: int) -> tuple[int, int]:
    """Width and height of what is connected to an input."""
    source = node.input(number)
    return int(source.width()), int(source.height())


def plate_read(node: Any) -> ReadInfo | None:
    """The Read that the plate input shows unchanged; None where anything else is there."""
    source = node.input(0)
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
    """A disabled node with an input hands its first input on."""
    return node.Class() != "Read" and _is_disabled(node)


def project() -> Project:
    """The script's colour management."""
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
    """Whether the script is in proxy mode, in which Writes render small pictures."""
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
    """Have the Reads inside the node look at the disk again."""
    for name in ("ReadMatte", "ReadTrimap"):
        node.node(name)["reload"].execute()


def make_read(node: Any, pattern: str, first: int, last: int) -> Any:
    """A Read of the mattes, and a Copy that puts them into the plate's alpha, beside the node.

    Both work by frame number: a frame without a matte is black, no other frame is shown for it.
    Returns the Copy.
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
    """Have these called when a VfxMatte appears, when one goes, and when a script closes."""
    nuke.addOnCreate(lambda: created(nuke.thisNode()), nodeClass=NODE_CLASS)
    nuke.addOnDestroy(lambda: destroyed(nuke.thisNode()), nodeClass=NODE_CLASS)
    nuke.addOnScriptClose(closed)


def say(text: str) -> None:
    """A line on the terminal, for renders without an interface."""
    nuke.tprint(text)
