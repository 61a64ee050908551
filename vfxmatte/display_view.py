"""A display's view of scene-linear pictures; importing this module imports no OpenColorIO."""

from __future__ import annotations

from typing import Any

import numpy as np

from vfxmatte.types import FloatImage, Picture


class DisplayView:
    """A display's view of scene-linear pictures as a table: fast, right to a few steps of 8 bits.

    Views that map tones take a microsecond a pixel as they stand.
    """

    _STOPS = (-11.0, 8.0)  # of the table: 2^-11 to 2^8
    _SIDE = 65  # of the table

    def __init__(self, config: Any, transform: Any) -> None:
        """Tabulate an OpenColorIO transform from scene-linear colour to a display."""
        import PyOpenColorIO as ocio

        least = 2.0 ** self._STOPS[0]
        shaper = ocio.AllocationTransform(
            allocation=ocio.ALLOCATION_LG2,
            vars=[*self._STOPS, least],
            direction=ocio.TRANSFORM_DIR_FORWARD,
        )
        back = ocio.AllocationTransform(
            allocation=ocio.ALLOCATION_LG2,
            vars=[*self._STOPS, least],
            direction=ocio.TRANSFORM_DIR_INVERSE,
        )
        table = ocio.Lut3DTransform(self._SIDE)
        table.setInterpolation(ocio.INTERP_TETRAHEDRAL)
        grid = np.linspace(0, 1, self._SIDE, dtype=np.float32)
        values = np.stack(np.meshgrid(grid, grid, grid, indexing="ij"), -1).reshape(-1, 3).copy()
        exact = config.getProcessor(ocio.GroupTransform([back, transform])).getDefaultCPUProcessor()
        exact.applyRGB(values)
        table.setData(values.reshape(-1))
        processor = config.getProcessor(ocio.GroupTransform([shaper, table]))
        self._processor = processor.getOptimizedCPUProcessor(
            ocio.BIT_DEPTH_F32, ocio.BIT_DEPTH_UINT8, ocio.OPTIMIZATION_DEFAULT
        )

    def apply(self, linear: FloatImage) -> Picture:
        """Return (H, W, 3) uint8 of a contiguous (H, W, 3) float32 scene-linear picture."""
        import PyOpenColorIO as ocio

        height, width = linear.shape[:2]
        picture = np.empty(linear.shape, np.uint8)
        order = ocio.CHANNEL_ORDERING_RGB
        self._processor.apply(
            ocio.PackedImageDesc(
                linear, width, height, order, ocio.BIT_DEPTH_F32, 4, 12, 12 * width
            ),
            ocio.PackedImageDesc(
                picture, width, height, order, ocio.BIT_DEPTH_UINT8, 1, 3, 3 * width
            ),
        )
        return picture
