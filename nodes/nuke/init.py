"""Registers the VfxMatte node; Nuke executes this at start, with and without an interface.

Nuke puts this folder on Python's path itself when it is a plug-in path (NUKE_PATH, or
`nuke.pluginAddPath` in ~/.nuke/init.py).
"""

import vfxmatte_nuke.lifetime

vfxmatte_nuke.lifetime.register()
