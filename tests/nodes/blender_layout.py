"""A layout that draws nothing and believes nothing: it checks each call against Blender's own one.

Panels are drawn only with a window. Here a misspelt property, operator, icon or argument is an
error, as it would be there.
"""

from __future__ import annotations

from typing import Any

import bpy

_FUNCTIONS = bpy.types.UILayout.bl_rna.functions
_BOXES = ("box", "row", "column")


class StrictLayout:
    """Records the words that an artist would read, in `texts`."""

    def __init__(self, texts: list[str] | None = None) -> None:
        self.texts = [] if texts is None else texts

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "texts" and name not in bpy.types.UILayout.bl_rna.properties:
            raise AttributeError(f"a layout has no {name}")
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in _FUNCTIONS:
            raise AttributeError(f"a layout has no {name}")
        return lambda *values, **options: self._call(name, values, options)

    def _call(self, name: str, values: tuple[Any, ...], options: dict[str, Any]) -> Any:
        known = [p.identifier for p in _FUNCTIONS[name].parameters if not p.is_output]
        arguments = {**dict(zip(known, values, strict=False)), **options}
        unknown = set(arguments) - set(known)
        if unknown:
            raise TypeError(f"{name}() has no {', '.join(sorted(unknown))}")
        _check_icon(name, arguments)
        self._read(name, arguments)
        return StrictLayout(self.texts) if name in _BOXES else None

    def _read(self, name: str, arguments: dict[str, Any]) -> None:
        if name == "prop":
            self.texts.append(arguments["data"].bl_rna.properties[arguments["property"]].name)
        elif name == "operator":
            category, action = arguments["operator"].split(".")
            self.texts.append(getattr(getattr(bpy.ops, category), action).get_rna_type().name)
        elif "text" in arguments:
            self.texts.append(arguments["text"])


def _check_icon(name: str, arguments: dict[str, Any]) -> None:
    if "icon" in arguments:
        icons = _FUNCTIONS[name].parameters["icon"].enum_items
        if arguments["icon"] not in icons:
            raise TypeError(f"there is no icon {arguments['icon']}")


def draw(kind: Any) -> list[str]:
    """What the panel or the preferences `kind` say, drawn with the present context."""
    panel = type("Drawn", (), {"layout": StrictLayout(), "bl_rna": kind.bl_rna})()
    kind.draw(panel, bpy.context)
    texts: list[str] = panel.layout.texts
    return texts
