"""Makes the Nuke node's package and the stand-ins importable, as a plug-in path does in Nuke."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PLUGIN = REPOSITORY / "nodes" / "nuke"
GIZMO = (PLUGIN / "VfxMatte.gizmo").read_text()

for place in (Path(__file__).parent, PLUGIN):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))
