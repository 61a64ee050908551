"""A material's node tree with shortcuts to add nodes and links."""

from __future__ import annotations

from typing import Any

Vec3 = tuple[float, float, float]
Colour = tuple[float, float, float]


def fill_ramp(ramp: Any, stops: list[tuple[float, Colour]]) -> None:
    """Set a colour ramp node's stops; positions must increase."""
    elements = ramp.color_ramp.elements
    while len(elements) < len(stops):
        elements.new(1.0)
    for element, (position, colour) in zip(elements, stops, strict=True):
        element.position, element.color = position, (*colour, 1.0)


class Tree:
    """A material's node tree with shortcuts to add nodes and links."""

    material: Any
    world: Any

    def __init__(self, name: str) -> None:
        import bpy

        self.material = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.nodes = self.material.node_tree
        self.nodes.nodes.clear()

    @classmethod
    def of_world(cls, name: str) -> Tree:
        """Create the tree of a new world (its sky), stored in `world`."""
        import bpy

        tree = cls.__new__(cls)
        tree.world = bpy.data.worlds.new(name)
        tree.world.use_nodes = True
        tree.nodes = tree.world.node_tree
        tree.nodes.nodes.clear()
        return tree

    def add(self, kind: str, **inputs: Any) -> Any:
        """Add a node `ShaderNode<kind>`; inputs by name with `_` for a space, or a socket."""
        node = self.nodes.nodes.new(f"ShaderNode{kind}")
        for name, value in inputs.items():
            self.set(node, name.replace("_", " "), value)
        return node

    def set(self, node: Any, name: str | int, value: Any) -> None:
        """Give one input a value, a colour, or the output socket that it is linked to."""
        import bpy

        if isinstance(value, bpy.types.NodeSocket):
            self.nodes.links.new(value, node.inputs[name])
        elif isinstance(value, tuple) and len(value) == 3 and node.inputs[name].type == "RGBA":
            node.inputs[name].default_value = (*value, 1.0)
        else:
            node.inputs[name].default_value = value

    def attribute(self, name: str, output: str = "Color") -> Any:
        node = self.add("Attribute")
        node.attribute_name = name
        return node.outputs[output]

    def noise(self, scale: float, detail: float = 4.0, roughness: float = 0.6) -> Any:
        """Add noise, 0 to 1, in object space."""
        coordinates = self.add("TexCoord")
        node = self.add("TexNoise", Scale=scale, Detail=detail, Roughness=roughness)
        self.set(node, "Vector", coordinates.outputs["Object"])
        return node.outputs[0]

    def ramp(self, value: Any, stops: list[tuple[float, Colour]]) -> Any:
        node = self.add("ValToRGB")
        fill_ramp(node, stops)
        self.set(node, 0, value)
        return node.outputs["Color"]

    def multiply(self, a: Any, b: Any) -> Any:
        node = self.add("MixRGB")
        node.blend_type = "MULTIPLY"
        self.set(node, 0, 1.0)
        self.set(node, 1, a)
        self.set(node, 2, b)
        return node.outputs[0]

    def mix(self, share: Any, first: Any, second: Any) -> Any:
        """Mix two shaders; `share` 1 is the second alone."""
        node = self.add("MixShader")
        for index, value in enumerate((share, first, second)):
            self.set(node, index, value)
        return node.outputs[0]

    def finish(self, shader: Any) -> Any:
        """Link the surface and return the material."""
        output = self.add("OutputMaterial")
        self.set(output, "Surface", shader)
        return self.material


def coverage() -> Any:
    """Return a flat opaque surface for the alpha pass, created once per scene.

    Each object emits its own colour, white by default.
    """
    import bpy

    existing = bpy.data.materials.get("coverage")
    if existing is not None:
        return existing
    tree = Tree("coverage")
    own = tree.add("ObjectInfo").outputs["Color"]
    return tree.finish(tree.add("Emission", Color=own).outputs[0])
