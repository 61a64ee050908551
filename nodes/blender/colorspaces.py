"""Blender's names of colour spaces, as the engine's own configuration knows them."""

from __future__ import annotations

import os

BY_BLENDER_NAME = {
    "ACES2065-1": "ACES2065-1",
    "ACEScc": "ACEScc",
    "ACEScct": "ACEScct",
    "ACEScg": "ACEScg",
    "Display P3": "sRGB Encoded P3-D65",
    "Linear DCI-P3 D65": "Linear P3-D65",
    "Linear Rec.2020": "Linear Rec.2020",
    "Linear Rec.709": "Linear Rec.709 (sRGB)",
    "Rec.1886": "Rec.1886 Rec.709 - Display",
    "Rec.2100-HLG": "Rec.2100-HLG - Display",
    "Rec.2100-PQ": "Rec.2100-PQ - Display",
    "sRGB": "sRGB Encoded Rec.709 (sRGB)",
}


def engine_name(blender_name: str) -> str | None:
    """What to tell the engine, or None to let it decide by the file.

    With $OCIO set both read the same configuration, and the name is passed on as it is. Without
    it Blender has a configuration of its own: what has a counterpart is translated; pictures that
    are marked as no colour, or with a view transform baked in, have none.
    """
    if os.environ.get("OCIO"):
        return blender_name
    return BY_BLENDER_NAME.get(blender_name)
