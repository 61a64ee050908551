"""Alphas of several subjects that sum to at most 1, so that the background's is never below 0.

Where they sum to more, what is too much is taken from each in proportion to alpha · (1 - alpha):
the surer a subject is of a pixel, the less it gives. One that covers a pixel wholly keeps it;
several that do share it evenly. Everywhere else alphas stay as they are, to the bit.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from vfxmatte.io.canvas import crop, lay_on
from vfxmatte.io.stills.halves import narrowed, widened
from vfxmatte.io.writers import OutputSettings, alpha_type
from vfxmatte.types import FloatImage, Floats, Frame

_ROUNDING = 1e-9  # sums of 16-bit values are exact up to this
_FLOAT_STEPS = 1 << 24  # every multiple of 1 / this up to 1 is a float, and so is every sum of them


def as_filed(alpha: FloatImage, frame: Frame, settings: OutputSettings) -> FloatImage:
    """Return (H, W) alpha over the canvas as a matte's file holds it: cropped and rounded."""
    window = frame.data_window if settings.format == "exr" else frame.display_window
    values = crop(alpha, frame.canvas, window)
    kind = alpha_type(settings)
    if kind == "half":
        values = widened(narrowed(values))
    elif kind == "uint16":
        values = (np.rint(values * 65535) / np.float32(65535)).astype(np.float32)
    return lay_on(values, window, frame.canvas)


def without_excess(
    alphas: Sequence[FloatImage], kind: str, fixed: Collection[int] = ()
) -> list[tuple[NDArray[np.intp], FloatImage]]:
    """Return, for each alpha, the flat indices of the pixels that change and their new values.

    Args:
        alphas: (H, W) float32 in [0, 1], as files hold them.
        kind: how files hold alpha, see `alpha_type`; new values are held exactly.
        fixed: the indices of those that stay as they are, and to which the others give way.
    """
    total = np.zeros(alphas[0].shape, np.float64)
    for alpha in alphas:
        total += alpha
    over = np.flatnonzero(total > 1 + _ROUNDING)
    own = np.stack([alpha.reshape(-1)[over] for alpha in alphas]).astype(np.float64)
    free = [index for index in range(len(own)) if index not in fixed]
    room = np.maximum(1 - (own.sum(axis=0) - own[free].sum(axis=0)), 0)
    shared = own.copy()
    shared[free] = _reduced(own[free], room)
    changed = shared != own
    shared = _rounded_down(shared, kind)
    return [
        (over[where], values[where].astype(np.float32))
        for where, values in zip(changed, shared, strict=True)
    ]


def _reduced(own: Floats, room: Floats) -> Floats:
    """Reduce (subjects, pixels) alphas until they sum to no more than the room that there is."""
    reduced = own.copy()
    for _ in range(len(own)):  # one that reaches 0 leaves its share to the others
        excess = np.maximum(reduced.sum(axis=0) - room, 0)
        doubt = reduced * (1 - reduced)
        whole = doubt.sum(axis=0) == 0
        doubt[:, whole] = reduced[:, whole]
        weight = np.maximum(doubt.sum(axis=0), np.finfo(np.float64).tiny)
        reduced = np.maximum(reduced - excess * doubt / weight, 0)
    return reduced


def _rounded_down(values: Floats, kind: str) -> Floats:
    """Round down to values that a file holds exactly, so that they sum to at most 1 there too."""
    if kind == "half":
        near = values.astype(np.float16)
        lower = np.nextafter(near, np.float16(0))
        return np.where(near > values, lower, near).astype(np.float64)
    steps = 65535 if kind == "uint16" else _FLOAT_STEPS
    down: Floats = np.floor(values * steps + _ROUNDING) / steps
    return down
