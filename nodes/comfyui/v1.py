"""The nodes by the V1 mappings, for a ComfyUI without comfy_api."""

from __future__ import annotations

from typing import Any

from .specs import CATEGORY, NODES, Entry, Spec

_HIDDEN = {"prompt": "PROMPT", "unique_id": "UNIQUE_ID"}
"""What ComfyUI hands over besides the inputs."""


def _input(entry: Entry) -> tuple[Any, dict[str, Any]]:
    options: dict[str, Any] = {"tooltip": entry.tooltip}
    if entry.default is not None:
        options["default"] = entry.default
    return (list(entry.options) if entry.kind == "COMBO" else entry.kind), options


def node_of(spec: Spec) -> type:
    """The node's class."""

    def input_types(cls: type) -> dict[str, Any]:
        required = {e.name: _input(e) for e in spec.inputs if not e.is_optional}
        optional = {e.name: _input(e) for e in spec.inputs if e.is_optional}
        return {"required": required, "optional": optional, "hidden": dict(_HIDDEN)}

    def execute(self: Any, **inputs: Any) -> tuple[Any, ...]:
        prompt, node = (inputs.pop(name, None) for name in _HIDDEN)
        return spec.run(inputs, prompt, node)

    members: dict[str, Any] = {
        "INPUT_TYPES": classmethod(input_types),
        "RETURN_TYPES": tuple(kind for kind, _ in spec.outputs),
        "RETURN_NAMES": tuple(name for _, name in spec.outputs),
        "FUNCTION": "execute",
        "CATEGORY": CATEGORY,
        "DESCRIPTION": spec.description,
        "OUTPUT_NODE": spec.watches_disk,
        "execute": execute,
        "__doc__": spec.description,
    }
    if spec.watches_disk:
        # Never equal to itself: finished frames are kept, so running again costs little.
        members["IS_CHANGED"] = classmethod(lambda cls, **inputs: float("nan"))
    return type(spec.node_id, (), members)


NODE_CLASS_MAPPINGS = {spec.node_id: node_of(spec) for spec in NODES}
NODE_DISPLAY_NAME_MAPPINGS = {spec.node_id: spec.display_name for spec in NODES}
