"""Translation of Blender's colour space names to those of the engine's OpenColorIO config."""

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
    """Return the engine's name of a colour space, or None to let the engine choose by file.

    With $OCIO set, both programs read the same config and the name is passed on unchanged. Without
    it Blender uses a config of its own: names with a counterpart are translated. Non-colour data
    and images with a baked-in view transform have none.
    """
    if os.environ.get("OCIO"):
        return blender_name
    return BY_BLENDER_NAME.get(blender_name)
