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
    """Records the words that an artist would read, in `said`."""

    def __init__(self, said: list[str] | None = None) -> None:
        self.said = [] if said is None else said

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "said" and name not in bpy.types.UILayout.bl_rna.properties:
            raise AttributeError(f"a layout has no {name}")
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in _FUNCTIONS:
            raise AttributeError(f"a layout has no {name}")
        return lambda *values, **options: self._call(name, values, options)

    def _call(self, name: str, values: tuple[Any, ...], options: dict[str, Any]) -> Any:
        known = [p.identifier for p in _FUNCTIONS[name].parameters if not p.is_output]
        given = {**dict(zip(known, values, strict=False)), **options}
        unknown = set(given) - set(known)
        if unknown:
            raise TypeError(f"{name}() has no {', '.join(sorted(unknown))}")
        _check_icon(name, given)
        self._read(name, given)
        return StrictLayout(self.said) if name in _BOXES else None

    def _read(self, name: str, given: dict[str, Any]) -> None:
        if name == "prop":
            self.said.append(given["data"].bl_rna.properties[given["property"]].name)
        elif name == "operator":
            category, action = given["operator"].split(".")
            self.said.append(getattr(getattr(bpy.ops, category), action).get_rna_type().name)
        elif "text" in given:
            self.said.append(given["text"])


def _check_icon(name: str, given: dict[str, Any]) -> None:
    if "icon" in given:
        icons = _FUNCTIONS[name].parameters["icon"].enum_items
        if given["icon"] not in icons:
            raise TypeError(f"there is no icon {given['icon']}")


def draw(kind: Any) -> list[str]:
    """What the panel or the preferences `kind` say, drawn with the present context."""
    panel = type("Drawn", (), {"layout": StrictLayout(), "bl_rna": kind.bl_rna})()
    kind.draw(panel, bpy.context)
    said: list[str] = panel.layout.said
    return said
