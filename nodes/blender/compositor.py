"""The mattes in the compositor: an image sequence beside the plate, and the alpha set.

Nothing that the artist has linked is linked anew. What was made here before is found again by its
label and put up to date.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from . import trees
from .plate import Plate
from .results import Mattes


def load_mattes(mattes: Mattes, plate: Plate) -> Any:
    """The Image datablock of a matte sequence: reread where it is there already."""
    path = mattes.files[mattes.first]
    name = f"{plate.title} matte"
    image = bpy.data.images.get(name)
    if image is None or Path(bpy.path.abspath(image.filepath)) != path:
        image = bpy.data.images.load(str(path))
        image.name = name
    else:
        image.reload()
    image.source = "SEQUENCE"
    image.colorspace_settings.name = "Non-Color"
    image.alpha_mode = "STRAIGHT"
    return image


def wire(scene: Any, plate: Plate, block: Any, mattes: Mattes) -> Any:
    """Plate and mattes into a Set Alpha node, and that into the output where nothing is yet.

    Args:
        scene: whose compositor.
        plate, block: the plate and its MovieClip or Image.
        mattes: what the run has written.

    Returns the Set Alpha node, whose Image is premultiplied by the matte.
    """
    tree = trees.tree_of(scene)
    shown = _plate_node(tree, plate, block)
    matte = _node(tree, "CompositorNodeImage", f"{plate.title} matte", (-300, -280))
    matte.image = load_mattes(mattes, plate)
    _play(matte, plate, mattes.first, mattes.last)
    alpha = _node(tree, "CompositorNodeSetAlpha", f"{plate.title} cut out", (40, 0))
    trees.apply_alpha(alpha)
    _link(tree, shown.outputs["Image"], alpha.inputs["Image"])
    _link(tree, matte.outputs["Alpha"], alpha.inputs["Alpha"])
    output = trees.output_of(tree)
    output.location.x = max(output.location.x, 300)
    _link(tree, alpha.outputs["Image"], output.inputs[0])
    return alpha


def node_showing(scene: Any, block: Any) -> Any | None:
    """The first compositor node of the scene that shows this MovieClip or Image."""
    tree = trees.existing_tree(scene)
    nodes = [] if tree is None else tree.nodes
    shown = (n for n in nodes if block in (getattr(n, "clip", None), getattr(n, "image", None)))
    return next(shown, None)


def _plate_node(tree: Any, plate: Plate, block: Any) -> Any:
    is_clip = isinstance(block, bpy.types.MovieClip)
    kind, attribute = ("MovieClip", "clip") if is_clip else ("Image", "image")
    for node in tree.nodes:
        if node.bl_idname == f"CompositorNode{kind}" and getattr(node, attribute) == block:
            return node
    node = _node(tree, f"CompositorNode{kind}", plate.title, (-300, 120))
    setattr(node, attribute, block)
    if not is_clip:
        _play(node, plate, plate.first, plate.last)
    return node


def _play(node: Any, plate: Plate, first: int, last: int) -> None:
    """Let an Image node show file `first` on its own scene frame, and so on until `last`."""
    node.frame_duration = last - first + 1
    node.frame_start = plate.scene_frame_of(first)
    node.frame_offset = first - 1
    node.use_cyclic = False
    node.use_auto_refresh = True


def _node(tree: Any, kind: str, label: str, place: tuple[int, int]) -> Any:
    for node in tree.nodes:
        if node.bl_idname == kind and node.label == label:
            return node
    node = tree.nodes.new(kind)
    node.label, node.location = label, place
    return node


def _link(tree: Any, source: Any, target: Any) -> None:
    if not target.is_linked:
        tree.links.new(source, target)
