"""The VfxMatte node inside Nuke: standard library only, Python 3.9 syntax.

`host` has every call into Nuke; everything else can be tested without it.
"""

from __future__ import annotations

from pathlib import Path

# vfxmatte_client: in this folder where it was copied, else in the clone's nodes folder
__path__.append(str(Path(__file__).resolve().parents[2]))
