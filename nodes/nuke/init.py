"""Read by Nuke at start, in the interface and on the farm alike: makes the VfxMatte node known.

Nuke puts this folder on Python's path itself when it is a plug-in path (NUKE_PATH, or
`nuke.pluginAddPath` in ~/.nuke/init.py).
"""

import vfxmatte_nuke.lifetime

vfxmatte_nuke.lifetime.register()
