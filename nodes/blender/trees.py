"""The compositor's node tree in Blender 4 and in Blender 5.

Up to 4.5 a scene owns one tree, which ends in a Composite node; from 5.0 on it points to a node
group, which ends in a Group Output.
"""

from __future__ import annotations

from typing import Any

import bpy


def tree_of(scene: Any) -> Any:
    """Return the scene's compositor tree, creating an empty one if it has none."""
    if not hasattr(scene, "compositing_node_group"):
        if not scene.use_nodes:
            scene.use_nodes = True
            scene.node_tree.nodes.clear()  # Blender 4 puts a render layer there
        return scene.node_tree
    if scene.compositing_node_group is None:
        name = f"{scene.name} compositor"
        scene.compositing_node_group = bpy.data.node_groups.new(name, "CompositorNodeTree")
    return scene.compositing_node_group


def existing_tree(scene: Any) -> Any | None:
    """Return the scene's compositor tree, or None."""
    if hasattr(scene, "compositing_node_group"):
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def output_of(tree: Any) -> Any:
    """Return the output node, whose first input is the result, creating it if there is none."""
    kind = "NodeGroupOutput" if hasattr(tree, "interface") and _is_group() else _COMPOSITE
    for node in tree.nodes:
        if node.bl_idname == kind:
            break
    else:
        if kind != _COMPOSITE and not tree.interface.items_tree:
            tree.interface.new_socket(name="Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        node = tree.nodes.new(kind)
    return node


def apply_alpha(node: Any, *, multiplied: bool) -> None:
    """Make a Set Alpha node multiply the image by the alpha, or replace its alpha if the image is
    multiplied by it already."""
    if "Type" in node.inputs:
        node.inputs["Type"].default_value = "Replace Alpha" if multiplied else "Apply Mask"
    else:
        node.mode = "REPLACE_ALPHA" if multiplied else "APPLY"


_COMPOSITE = "CompositorNodeComposite"


def _is_group() -> bool:
    return "compositing_node_group" in bpy.types.Scene.bl_rna.properties
