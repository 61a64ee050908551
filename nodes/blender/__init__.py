"""vfxmatte for Blender: masks become trimaps, vfxmatte solves mattes, the compositor shows them.

For Blender 4.2 and newer. vfxmatte runs in an environment of its own, so nothing heavy is
imported here; `bpy` is imported only once the add-on is registered.
"""

from __future__ import annotations

from pathlib import Path

# vfxmatte_client: in this folder once installed, in the folder above in a clone
__path__.append(str(Path(__file__).resolve().parents[1]))


def register() -> None:
    from . import registration

    registration.register()


def unregister() -> None:
    from . import registration

    registration.unregister()
