"""Registration of the add-on's classes, settings and handlers with Blender."""

from __future__ import annotations

from typing import Any

import bpy

from . import session
from .operators import OPERATORS
from .panels import PANELS
from .preferences import VfxmattePreferences
from .properties import VfxmatteSettings

_CLASSES = (VfxmatteSettings, VfxmattePreferences, *OPERATORS, *PANELS)


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def _before_load(*_: Any) -> None:
    """Cancel the run when another .blend file is opened: it belongs to the one that closes."""
    session.close()


def register() -> None:
    for each in _CLASSES:
        bpy.utils.register_class(each)
    bpy.types.Scene.vfxmatte = bpy.props.PointerProperty(type=VfxmatteSettings)
    bpy.app.handlers.load_pre.append(_before_load)


def unregister() -> None:
    session.close()
    bpy.app.handlers.load_pre.remove(_before_load)
    del bpy.types.Scene.vfxmatte
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
