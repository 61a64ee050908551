"""The colour spaces that an exported model can be fed in, and their way to linear Rec.709.

A `.cat` or an `.onnx` meets no OpenColorIO, so the few spaces that compositors work in are part of
the model: a matrix for the linear ones, a curve for display-referred pictures.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from vfxmatte.colour import DEFAULT_CONFIG, ColourConfig
from vfxmatte.errors import UsageError
from vfxmatte.types import FloatImage


class WorkingSpace(IntEnum):
    """What the picture's values mean; the number is the value of the knob `colorspace`."""

    LINEAR_REC709 = 0
    ACESCG = 1
    SRGB = 2

    @classmethod
    def named(cls, name: str) -> WorkingSpace:
        """By the name that the command line uses; raises UsageError."""
        found = next((space for space, known in NAMES.items() if known == name), None)
        if found is None:
            raise UsageError(
                f"an exported model knows no working space {name!r}",
                hint=f"use {', '.join(NAMES.values())}",
            )
        return found

    @property
    def ocio_name(self) -> str:
        """Its name in the built-in ACES configuration."""
        return _OCIO_NAMES[self]


NAMES = {
    WorkingSpace.LINEAR_REC709: "linear-rec709",
    WorkingSpace.ACESCG: "acescg",
    WorkingSpace.SRGB: "srgb",
}
_OCIO_NAMES = {
    WorkingSpace.LINEAR_REC709: "lin_rec709",
    WorkingSpace.ACESCG: "ACEScg",
    WorkingSpace.SRGB: "sRGB - Texture",
}


def colours() -> ColourConfig:
    """The built-in configuration, whatever $OCIO says: an exported model is the same everywhere."""
    return ColourConfig.load(DEFAULT_CONFIG)


def matrix_to_rec709(space: WorkingSpace) -> FloatImage:
    """(3, 3) float32 with linear Rec.709 = matrix @ rgb; the identity for sRGB, which has a curve.

    OpenColorIO's own: what it makes of the three primaries.
    """
    if space is WorkingSpace.SRGB:
        return np.eye(3, dtype=np.float32)
    primaries = np.eye(3, dtype=np.float32)
    converted = colours().to_linear_rec709(primaries, space.ocio_name)
    return np.ascontiguousarray(converted.T)
