# mypy: disable-error-code="valid-type, misc"
"""Where the engine is and how it computes, kept with the user's preferences."""

from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty


class Answer:
    """What the engine said when it was tested."""

    text = ""


answer = Answer()


class VfxmattePreferences(bpy.types.AddonPreferences):
    """The engine has its own environment; Blender only starts it."""

    bl_idname = __package__ or "vfxmatte"

    command: StringProperty(
        name="vfxmatte",
        description="The vfxmatte program or the folder of its environment; empty: found by itself",
        subtype="FILE_PATH",
    )
    device: StringProperty(name="Device", description="auto, cpu, cuda or cuda:1", default="auto")
    mode: EnumProperty(
        name="Quality",
        items=(
            ("exact", "Exact", "Everything that the unknown region depends on"),
            ("fast", "Fast", "A little less"),
            ("dense", "Dense", "The whole picture"),
        ),
    )

    def draw(self, context: Any) -> None:
        self.layout.prop(self, "command")
        self.layout.prop(self, "device")
        self.layout.prop(self, "mode")
        self.layout.operator("vfxmatte.test_engine")
        for line in answer.text.splitlines():
            self.layout.label(text=line)


def preferences() -> Any:
    """The add-on's preferences; the defaults where it was registered without being installed."""
    addon = bpy.context.preferences.addons.get(__package__)
    return _Defaults if addon is None else addon.preferences


class _Defaults:
    command, device, mode = "", "auto", "exact"
