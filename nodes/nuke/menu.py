"""Adds VfxMatte to the Nodes menu, under Keyer; Nuke executes this with an interface only."""

import nuke

nuke.menu("Nodes").addCommand("Keyer/VfxMatte", "nuke.createNode('VfxMatte')")
