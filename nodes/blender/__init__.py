"""vfxmatte in Blender: masks become trimaps, the engine makes mattes, the compositor shows them.

Blender 4.2 and newer. The engine runs in an environment of its own; nothing heavy is imported here,
and Blender only once the add-on is registered.
"""

from __future__ import annotations


def register() -> None:
    from . import registration

    registration.register()


def unregister() -> None:
    from . import registration

    registration.unregister()
