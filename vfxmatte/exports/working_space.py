"""The colour spaces of an exported model's input, and their conversion to linear Rec.709.

A `.cat` or `.onnx` has no OpenColorIO, so the conversion of compositors' working spaces is part of
the model: a matrix for linear ones, a curve for display-referred pictures.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from vfxmatte.colour import DEFAULT_CONFIG, ColourConfig
from vfxmatte.errors import UsageError
from vfxmatte.types import FloatImage


class WorkingSpace(IntEnum):
    """The colour space of the input; the number is the value of the knob `colorspace`."""

    LINEAR_REC709 = 0
    ACESCG = 1
    SRGB = 2

    @classmethod
    def named(cls, name: str) -> WorkingSpace:
        """Return the space of a name on the command line; raises UsageError."""
        if name not in NAMES.values():
            raise UsageError(
                f"an exported model knows no working space {name!r}",
                hint=f"use {', '.join(NAMES.values())}",
            )
        return next(space for space, known in NAMES.items() if known == name)

    @property
    def ocio_name(self) -> str:
        """The name in the built-in ACES configuration."""
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
    """Load the built-in configuration, ignoring $OCIO: exports are the same everywhere."""
    return ColourConfig.load(DEFAULT_CONFIG)


def matrix_to_rec709(space: WorkingSpace) -> FloatImage:
    """Return (3, 3) float32 with linear Rec.709 = matrix @ rgb; the identity for sRGB (a curve).

    OpenColorIO converts the three primaries to its columns.
    """
    if space is WorkingSpace.SRGB:
        return np.eye(3, dtype=np.float32)
    primaries = np.eye(3, dtype=np.float32)
    converted = colours().to_linear_rec709(primaries, space.ocio_name)
    return np.ascontiguousarray(converted.T)
