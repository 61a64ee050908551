"""Read by Nuke with an interface only: VfxMatte in the Nodes menu, under Keyer."""

import nuke

nuke.menu("Nodes").addCommand("Keyer/VfxMatte", "nuke.createNode('VfxMatte')")
