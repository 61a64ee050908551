"""The compositor's node tree, as Blender 4 and Blender 5 have it.

Up to 4.5 a scene owns one tree whose result goes to a Composite node; from 5.0 on it points to a
node group whose result goes to the group's output.
"""

from __future__ import annotations

from typing import Any

import bpy


def tree_of(scene: Any) -> Any:
    """The scene's compositor tree; made, without any node, where it has none."""
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
    """The scene's compositor tree, or None where it has none."""
    if hasattr(scene, "compositing_node_group"):
        return scene.compositing_node_group
    return scene.node_tree if scene.use_nodes else None


def output_of(tree: Any) -> Any:
    """The node whose first input becomes the picture; made where there is none."""
    kind = "NodeGroupOutput" if hasattr(tree, "interface") and _is_group() else _COMPOSITE
    for node in tree.nodes:
        if node.bl_idname == kind:
            break
    else:
        if kind != _COMPOSITE and not tree.interface.items_tree:
            tree.interface.new_socket(name="Image", in_out="OUTPUT", socket_type="NodeSocketColor")
        node = tree.nodes.new(kind)
    return node


def apply_alpha(node: Any) -> None:
    """Let a Set Alpha node multiply the picture by the alpha, not replace one."""
    if "Type" in node.inputs:
        node.inputs["Type"].default_value = "Apply Mask"
    else:
        node.mode = "APPLY"


_COMPOSITE = "CompositorNodeComposite"


def _is_group() -> bool:
    return "compositing_node_group" in bpy.types.Scene.bl_rna.properties
