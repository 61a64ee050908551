"""Rasterisation of Blender's masks by its own compositor, and their keyframes.

A mask is drawn in a temporary scene, so the artist's scene, its current frame and its compositor
stay untouched. Feathers, blend modes, holes and points that follow trackers look as they do in
Blender.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from . import trees
from .frames import keyed_frames
from .labels import Coverage
from .problem import Problem

_SCENE = "vfxmatte mask"
Draw = Callable[[int], Coverage]


def key_frames(mask: Any, first: int, last: int) -> list[int]:
    """Find the scene frames from first to last on which the mask is keyed; see `keyed_frames`."""
    frames = range(first, last + 1)
    with _scene(1, 1) as scene:
        return keyed_frames(frames, [_shape_at(mask, scene, frame) for frame in frames])


def changes(mask: Any, first: int, last: int) -> bool:
    """Return True if the mask looks different on any of these scene frames."""
    with _scene(1, 1) as scene:
        before = None
        for frame in range(first, last + 1):
            look = _shape_at(mask, scene, frame).tobytes(), _layers_of(mask, scene)
            if before not in (None, look):
                return True
            before = look
    return False


@contextlib.contextmanager
def drawn(mask: Any, layers: Sequence[str], width: int, height: int) -> Iterator[Draw]:
    """Provide a function that draws these layers of the mask on a scene frame.

    Yields:
        A function from scene frame to (height, width) float32 coverage in [0, 1], top row first.
    """
    part = _with_layers(mask, layers)
    try:
        with _scene(width, height) as scene, tempfile.TemporaryDirectory() as folder:
            _show(scene, part)
            yield lambda frame: _draw(scene, frame, Path(folder))
    finally:
        bpy.data.masks.remove(part)


def _with_layers(mask: Any, layers: Sequence[str]) -> Any:
    """Copy the mask with its animation, keeping only these layers."""
    copy = mask.copy()
    for layer in list(copy.layers):
        if layer.name not in layers:
            copy.layers.remove(layer)
    return copy


@contextlib.contextmanager
def _scene(width: int, height: int) -> Iterator[Any]:
    scene = bpy.data.scenes.new(_SCENE)
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.use_compositing, render.use_sequencer, render.use_overwrite = True, False, True
    settings = render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
    try:
        yield scene
    finally:
        group = getattr(scene, "compositing_node_group", None)
        bpy.data.scenes.remove(scene)
        if group is not None:
            bpy.data.node_groups.remove(group)


def _show(scene: Any, mask: Any) -> None:
    tree = trees.tree_of(scene)
    node = tree.nodes.new("CompositorNodeMask")
    node.mask = mask
    tree.links.new(node.outputs[0], trees.output_of(tree).inputs[0])


def _draw(scene: Any, frame: int, folder: Path) -> Coverage:
    """Render an animation of one frame: a still render would not update the mask."""
    scene.frame_start = scene.frame_end = frame
    scene.render.filepath = str(folder / "mask.######")
    bpy.ops.render.render(animation=True, scene=scene.name)
    written = sorted(folder.iterdir())
    if len(written) != 1:
        raise Problem(f"Blender did not draw the mask on frame {frame}", "See its console")
    try:
        return _coverage(written[0])
    finally:
        written[0].unlink()


def _coverage(path: Path) -> Coverage:
    image = bpy.data.images.load(str(path))
    try:
        image.colorspace_settings.name = "Non-Color"
        width, height = image.size
        pixels = np.empty(width * height * image.channels, np.float32)
        image.pixels.foreach_get(pixels)
    finally:
        bpy.data.images.remove(image)
    return pixels.reshape(height, width, -1)[::-1, :, 0].copy()


def _shape_at(mask: Any, scene: Any, frame: int) -> Any:
    """Return the coordinates of all points and handles of the mask on a frame, (N,) float32."""
    scene.frame_set(frame)
    evaluated = mask.evaluated_get(scene.view_layers[0].depsgraph)
    points = [p for layer in evaluated.layers for s in layer.splines for p in s.points]
    values = [(*p.co, *p.handle_left, *p.handle_right, p.weight) for p in points]
    return np.array(values, np.float32).ravel()


def _layers_of(mask: Any, scene: Any) -> list[Any]:
    """Return what else than its shape decides how each layer looks on the scene's frame."""
    evaluated = mask.evaluated_get(scene.view_layers[0].depsgraph)
    names = ("alpha", "blend", "falloff", "hide_render", "invert", "use_fill_holes")
    return [[getattr(layer, name) for name in names] for layer in evaluated.layers]
