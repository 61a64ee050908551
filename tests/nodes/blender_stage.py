"""A stage for the add-on inside Blender: clips, masks that move, renders. Needs bpy."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy

_ROUND = 0.5523  # a circle from four Bezier segments: the handles' length in radii


def fresh_scene(name: str, width: int, height: int) -> Any:
    """A new scene, shown, that renders float EXR of this size and composites."""
    scene = bpy.data.scenes.new(name)
    bpy.context.window.scene = scene
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    settings = render.image_settings
    settings.file_format, settings.color_mode, settings.color_depth = "OPEN_EXR", "RGBA", "32"
    return scene


def compositor(scene: Any) -> Any:
    """The scene's compositor tree, as this Blender has it; an empty one where there was none."""
    if hasattr(scene, "compositing_node_group"):  # from 5.0 on
        if scene.compositing_node_group is None:
            tree = bpy.data.node_groups.new("artist's", "CompositorNodeTree")
            scene.compositing_node_group = tree
        return scene.compositing_node_group
    if not scene.use_nodes:
        scene.use_nodes = True
        scene.node_tree.nodes.clear()
    return scene.node_tree


def render(scene: Any, first: int, last: int, folder: Path) -> None:
    """Frames first to last as `folder`/0001.exr and so on."""
    scene.frame_start, scene.frame_end = first, last
    scene.render.filepath = str(folder / "####")
    bpy.ops.render.render(animation=True, scene=scene.name)


def disc(layer: Any, size: tuple[int, int], centre: tuple[float, float], radius: float) -> None:
    """Make the layer one circle, in px from the top left corner of a picture of this size."""
    while layer.splines:
        layer.splines.remove(layer.splines[0])
    layer.select = True
    spline = layer.splines.new()
    spline.use_cyclic = True
    spline.points.add(3)
    move_disc(layer, size, centre, radius)


def move_disc(
    layer: Any, size: tuple[int, int], centre: tuple[float, float], radius: float
) -> None:
    """Put the circle elsewhere. Clockwise: Blender feathers the other way around inward."""
    x, y, r, h = centre[0], size[1] - centre[1], radius, _ROUND * radius
    places = [(x, y + r, -h, 0), (x + r, y, 0, h), (x, y - r, h, 0), (x - r, y, 0, -h)]
    for point, (at_x, at_y, dx, dy) in zip(layer.splines[0].points, places, strict=True):
        point.select = True
        point.handle_left_type = point.handle_right_type = "FREE"
        point.co = _mask_point(size, at_x, at_y)
        point.handle_left = _mask_point(size, at_x + dx, at_y + dy)
        point.handle_right = _mask_point(size, at_x - dx, at_y - dy)


def _mask_point(size: tuple[int, int], x: float, y: float) -> tuple[float, float]:
    """Mask coordinates: 1 is the picture's longer side, the middle is (0.5, 0.5)."""
    longer = max(size)
    return 0.5 + (x - size[0] / 2) / longer, 0.5 + (y - size[1] / 2) / longer


@contextlib.contextmanager
def mask_editor(mask: Any) -> Iterator[None]:
    """What the operators of masks want around them: an editor that shows the mask."""
    area = bpy.context.screen.areas[0]
    before = area.type
    area.type = "IMAGE_EDITOR"
    space = area.spaces.active
    space.ui_mode = "MASK"
    space.mask = mask
    region = next(region for region in area.regions if region.type == "WINDOW")
    shown = {"window": bpy.context.window, "area": area, "region": region, "space_data": space}
    with bpy.context.temp_override(**shown):
        yield
    area.type = before


def key(scene: Any, mask: Any, frame: int) -> None:
    """A shape key of the mask as it is now; `frame` must be the scene's already."""
    assert scene.frame_current == frame
    with mask_editor(mask):
        assert bpy.ops.mask.shape_key_insert() == {"FINISHED"}
