"""Mattes in the compositor: an image sequence node, and a Set Alpha node for the plate.

Links made by the artist are never changed. Nodes made here before carry a custom property that
names the plate and the mask: they are found by it and brought up to date.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from . import trees
from .plate import Plate
from .results import Mattes, ShotFolder

_KEY = "vfxmatte"  # the custom property of a node: what it shows
_CUT_OUT = "cut out/"
_ROW = 420  # height of the nodes for one mask
_MOST_OF_A_NAME = 50  # characters; Blender 4 cuts labels off at 63


def load_mattes(mattes: Mattes, name: str) -> Any:
    """Return the Image of a matte sequence; an existing one is reloaded."""
    path = mattes.files[mattes.first]
    image = next((image for image in bpy.data.images if _shows(image, path)), None)
    if image is None:
        image = bpy.data.images.load(str(path))
        image.name = name
    image.filepath = _beside_the_file(path)
    image.reload()
    image.source = "SEQUENCE"
    image.colorspace_settings.name = "Non-Color"
    image.alpha_mode = "PREMUL"  # colour and alpha as they stand in the file
    return image


def _shows(image: Any, path: Path) -> bool:
    """Return True if a local Image shows the mattes in the folder of `path`."""
    absolute = bpy.path.abspath(image.filepath)
    if image.library is not None or not absolute:
        return False
    return Path(absolute).parent.resolve() == path.parent.resolve()


def _beside_the_file(path: Path) -> str:
    """Return the path relative to the .blend file, so that both can move together."""
    if not bpy.data.filepath:
        return str(path)
    try:
        return str(bpy.path.relpath(str(path)))
    except ValueError:  # another drive of Windows
        return str(path)


def wire(
    scene: Any,
    plate: Plate,
    block: Any,
    mattes: Mattes,
    folder: ShotFolder,
    *,
    foreground: bool = False,
) -> Any:
    """Wire plate and mattes into a Set Alpha node, and that into the output if it is free.

    Args:
        scene: the scene whose compositor is wired.
        plate, block: the plate and its MovieClip or Image.
        mattes: the mattes on disk.
        folder: theirs; nodes are named after its plate, and its subject or mask.
        foreground: the mattes hold the foreground's premultiplied colour, which takes the place of
            the plate's.

    Returns:
        The Set Alpha node, whose Image is premultiplied by the matte.
    """
    owner, subject = folder.owner, folder.subject
    name = f"{owner.plate} {subject or owner.mask or 'painted'}"[:_MOST_OF_A_NAME]
    key = f"{owner.plate}/{owner.mask or ''}" + (f"/{subject}" if subject else "")
    tree = trees.tree_of(scene)
    plate_node = _plate_node(tree, plate, block)
    below = -_ROW * sum(node.get(_KEY, "").startswith(_CUT_OUT) for node in tree.nodes)
    matte = _node(tree, "CompositorNodeImage", f"matte/{key}", (-300, below - 280))
    matte.label = f"{name} matte"
    matte.image = load_mattes(mattes, f"{name} matte")
    _play(matte, plate, mattes.first, mattes.last)
    alpha = _node(tree, "CompositorNodeSetAlpha", f"{_CUT_OUT}{key}", (40, below))
    alpha.label = f"{name} cut out"
    trees.apply_alpha(alpha, multiplied=foreground)
    colours = [plate_node.outputs["Image"], matte.outputs["Image"]]
    _link_one(tree, colours[foreground], colours[not foreground], alpha.inputs["Image"])
    _link(tree, matte.outputs["Alpha"], alpha.inputs["Alpha"])
    output = trees.output_of(tree)
    output.location.x = max(output.location.x, 300)
    _link(tree, alpha.outputs["Image"], output.inputs[0])
    return alpha


def node_showing(scene: Any, block: Any) -> Any | None:
    """Return the first compositor node of the scene that shows this MovieClip or Image, or None."""
    tree = trees.existing_tree(scene)
    nodes = [] if tree is None else tree.nodes
    matches = (n for n in nodes if block in (getattr(n, "clip", None), getattr(n, "image", None)))
    return next(matches, None)


def _plate_node(tree: Any, plate: Plate, block: Any) -> Any:
    is_clip = isinstance(block, bpy.types.MovieClip)
    kind, attribute = ("MovieClip", "clip") if is_clip else ("Image", "image")
    for node in tree.nodes:
        if node.bl_idname == f"CompositorNode{kind}" and getattr(node, attribute) == block:
            return node
    node = tree.nodes.new(f"CompositorNode{kind}")
    node.label, node.location = plate.title, (-300, 120)
    setattr(node, attribute, block)
    if not is_clip:
        _play(node, plate, plate.first, plate.last)
    return node


def _play(node: Any, plate: Plate, first: int, last: int) -> None:
    """Make an Image node show each file from `first` to `last` on its scene frame."""
    node.frame_duration = last - first + 1
    node.frame_start = plate.scene_frame_of(first)
    node.frame_offset = first - 1
    node.use_cyclic = False
    node.use_auto_refresh = True


def _node(tree: Any, kind: str, key: str, place: tuple[int, int]) -> Any:
    """Return the node made earlier for `key`, or a new one."""
    for node in tree.nodes:
        if node.bl_idname == kind and node.get(_KEY) == key:
            return node
    node = tree.nodes.new(kind)
    node[_KEY], node.location = key, place
    return node


def _link_one(tree: Any, source: Any, other: Any, target: Any) -> None:
    """Link a free input, or one that `other`, of the same pair, was linked to."""
    if target.is_linked and target.links[0].from_socket == other:
        tree.links.remove(target.links[0])
    _link(tree, source, target)


def _link(tree: Any, source: Any, target: Any) -> None:
    if not target.is_linked:
        tree.links.new(source, target)
