"""Draws the gizmo's inner graph from its own text: `python nodes/nuke/diagram/draw.py OUT.png`.

Run from the environment of vfxmatte (NumPy and OpenCV); Nuke never loads it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

if __package__ in (None, ""):  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from diagram.script import Gizmo, ScriptNode, read_gizmo

Picture = NDArray[np.uint8]

_GIZMO = Path(__file__).resolve().parents[1] / "VfxMatte.gizmo"
_SCALE_X, _SCALE_Y = 1.85, 1.6
_BOX, _MARGIN = (205, 56), 24
_GROUND, _LINE, _INK = (48, 48, 48), (190, 190, 190), (20, 20, 20)
_COLOURS = {  # BGR, near to Nuke's own
    "Input": (150, 190, 150), "Output": (150, 190, 150), "Read": (190, 190, 190),
    "Write": (110, 185, 225), "Switch": (190, 160, 150), "Copy": (205, 150, 190),
    "Merge2": (205, 150, 120), "Premult": (205, 150, 120), "Expression": (150, 200, 210),
}  # fmt: skip
_SHOWN = {
    "Switch": ("which",), "Read": ("file",), "Write": ("file_type",), "Merge2": ("operation",),
    "Copy": ("from0",), "Expression": ("expr0", "expr3"), "Input": ("number",),
}  # fmt: skip


def draw(gizmo: Gizmo) -> Picture:
    """Draw every node at its place, with wires from its inputs, as (H, W, 3) uint8 BGR."""
    places = _places(gizmo)
    width = max(x for x, _ in places.values()) + _BOX[0] + _MARGIN
    height = max(y for _, y in places.values()) + _BOX[1] + _MARGIN
    picture: Picture = np.full((height, width, 3), _GROUND, np.uint8)
    for node in gizmo.inner:
        for number, source in enumerate(node.inputs):
            _wire(picture, places[source.name], places[node.name], number, len(node.inputs))
    for node in gizmo.inner:
        _box(picture, node, places[node.name])
    return picture


def _places(gizmo: Gizmo) -> dict[str, tuple[int, int]]:
    """Return the top left corners of the nodes by name, (x, y) in pixels."""
    at = {n.name: (int(n.knobs["xpos"]), int(n.knobs["ypos"])) for n in gizmo.inner}
    left, top = min(x for x, _ in at.values()), min(y for _, y in at.values())
    return {
        name: (_MARGIN + int((x - left) * _SCALE_X), _MARGIN + int((y - top) * _SCALE_Y))
        for name, (x, y) in at.items()
    }


def _wire(
    picture: Picture, source: tuple[int, int], node: tuple[int, int], number: int, count: int
) -> None:
    start = (source[0] + _BOX[0] // 2, source[1] + _BOX[1])
    end = (node[0] + _BOX[0] * (number + 1) // (count + 1), node[1])
    tip = 8 / max(8.0, float(np.hypot(end[0] - start[0], end[1] - start[1])))
    cv2.arrowedLine(picture, start, end, _LINE, 2, cv2.LINE_AA, tipLength=tip)
    if count > 1:
        _text(picture, str(number), (end[0] + 9, end[1] - 3), 0.4, _LINE)


def _box(picture: Picture, node: ScriptNode, at: tuple[int, int]) -> None:
    corner = (at[0] + _BOX[0], at[1] + _BOX[1])
    cv2.rectangle(picture, at, corner, _COLOURS.get(node.kind, (170, 170, 170)), -1, cv2.LINE_AA)
    cv2.rectangle(picture, at, corner, _INK, 1, cv2.LINE_AA)
    title = f"{node.kind}: {node.name}" if node.kind != node.name else node.kind
    _text(picture, title, (at[0] + 7, at[1] + 22), 0.48, _INK)
    _text(picture, _detail(node), (at[0] + 7, at[1] + 45), 0.42, (70, 70, 70))


def _detail(node: ScriptNode) -> str:
    knobs = [
        f"{name} {node.knobs[name].strip('{}[]')}"
        for name in _SHOWN.get(node.kind, ())
        if name in node.knobs
    ]
    text = ", ".join(knobs).replace("value parent.", "").replace("parent.", "")
    return text + (", disabled at rest" if node.knobs.get("disable") == "true" else "")


def _text(
    picture: Picture, text: str, at: tuple[int, int], size: float, colour: tuple[int, int, int]
) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


if __name__ == "__main__":
    if not cv2.imwrite(sys.argv[1], draw(read_gizmo(_GIZMO.read_text(encoding="utf-8")))):
        raise SystemExit(f"{sys.argv[1]} cannot be written")
