# mypy: disable-error-code="valid-type, misc"
"""The add-on's preferences: the path of vfxmatte, and how it solves."""

from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty


class Answer:
    """The program's reply to the last test."""

    text = ""


answer = Answer()


class VfxmattePreferences(bpy.types.AddonPreferences):
    """The path of vfxmatte, its device and its quality."""

    bl_idname = __package__ or "vfxmatte"

    command: StringProperty(
        name="vfxmatte",
        description="The vfxmatte program or the folder of its environment; leave empty to search",
        subtype="FILE_PATH",
    )
    device: StringProperty(name="Device", description="auto, cpu, cuda or cuda:1", default="auto")
    mode: EnumProperty(
        name="Quality",
        items=(
            ("exact", "Exact", "Compute all that the unknown region depends on"),
            ("fast", "Fast", "Look half as far around the unknown region"),
            ("dense", "Dense", "Compute the whole picture"),
        ),
    )

    fit: StringProperty(
        name="Fit",
        description="A light network learns the keyframes before the first frame, and is used "
        "where that helps: auto, off, or minutes",
        default="auto",
    )

    def draw(self, context: Any) -> None:
        self.layout.prop(self, "command")
        self.layout.prop(self, "device")
        self.layout.prop(self, "mode")
        self.layout.prop(self, "fit")
        self.layout.operator("vfxmatte.test_engine")
        for line in answer.text.splitlines():
            self.layout.label(text=line)


def preferences() -> Any:
    """Return the add-on's preferences, or defaults if it was registered without being installed."""
    addon = bpy.context.preferences.addons.get(__package__)
    return _Defaults if addon is None else addon.preferences


class _Defaults:
    command, device, mode, fit = "", "auto", "exact", "auto"
