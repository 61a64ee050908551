"""vfxmatte for Blender: masks become trimaps, the engine solves mattes, the compositor shows them.

For Blender 4.2 and newer. The engine runs in an environment of its own, so nothing heavy is
imported here; `bpy` is imported only once the add-on is registered.
"""

from __future__ import annotations


def register() -> None:
    from . import registration

    registration.register()


def unregister() -> None:
    from . import registration

    registration.unregister()
