"""The nodes by ComfyUI's V3 interface (comfy_api.latest)."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import ComfyExtension, io

from .specs import CATEGORY, NODES, Entry, Spec

_TYPES = {
    "IMAGE": io.Image,
    "MASK": io.Mask,
    "STRING": io.String,
    "INT": io.Int,
    "BOOLEAN": io.Boolean,
    "COMBO": io.Combo,
}


def _input(entry: Entry) -> Any:
    options: dict[str, Any] = {"tooltip": entry.tooltip, "optional": entry.is_optional}
    if entry.options:
        options["options"] = list(entry.options)
    if entry.default is not None:
        options["default"] = entry.default
    return _TYPES[entry.kind].Input(entry.name, **options)


def schema_of(spec: Spec) -> Any:
    """The node's io.Schema."""
    return io.Schema(
        node_id=spec.node_id,
        display_name=spec.display_name,
        category=CATEGORY,
        description=spec.description,
        inputs=[_input(entry) for entry in spec.inputs],
        outputs=[_TYPES[kind].Output(name, display_name=name) for kind, name in spec.outputs],
        hidden=[io.Hidden.prompt, io.Hidden.unique_id],
        is_output_node=spec.watches_disk,
    )


def node_of(spec: Spec) -> Any:
    """The node's class."""

    class Node(io.ComfyNode):  # type: ignore[misc]
        @classmethod
        def define_schema(cls) -> Any:
            return schema_of(spec)

        @classmethod
        def execute(cls, **inputs: Any) -> Any:
            hidden = getattr(cls, "hidden", None)
            prompt, node = getattr(hidden, "prompt", None), getattr(hidden, "unique_id", None)
            return io.NodeOutput(*spec.run(inputs, prompt, node))

    if spec.watches_disk:
        # Never equal to itself: finished frames are kept, so running again costs little.
        Node.fingerprint_inputs = classmethod(lambda cls, **inputs: float("nan"))
    Node.__name__ = Node.__qualname__ = spec.node_id
    Node.__doc__ = spec.description
    return Node


class VfxmatteExtension(ComfyExtension):  # type: ignore[misc]
    async def get_node_list(self) -> list[Any]:
        return [node_of(spec) for spec in NODES]


async def comfy_entrypoint() -> VfxmatteExtension:
    """Called by ComfyUI."""
    return VfxmatteExtension()
