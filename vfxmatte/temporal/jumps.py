"""How far a matte jumps from one frame to the next where their pictures do not.

What flickers or is soft differs by a little; a subject that is lost, or an occluder taken for it,
by nearly all of alpha, however clean the matte.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import cv2
import numpy as np

from vfxmatte.propagation.flow import consistency_error, halved, looked_up, positions
from vfxmatte.temporal.moment import Moment, Neighbour, reduced
from vfxmatte.types import FloatImage, Picture

_FLICKER = 0.5  # difference of alpha that is no jump
_CONSISTENT_PX = 1.0  # forward-backward error of motion that is followed
_UNLIKE = 20.0  # mean difference of pictures, of 255, from which on they show something else
_COMPARED_PX, _BLUR_PX = 3, 1.5


def jumped_px(now: Moment, neighbours: Iterable[Neighbour]) -> float:
    """Sum alpha's jumps along the motion to the nearest neighbours, in px of the full frame.

    The larger of both sides: a frame beside a jump may be the wrong one. 0 without neighbours.
    """
    return max((_jumps(now, neighbour) for neighbour in neighbours), default=0.0)


def _jumps(now: Moment, neighbour: Neighbour) -> float:
    flows, other = neighbour.flows, neighbour.moment
    where = positions(flows.forward.shape[:2]) + flows.forward
    own = reduced(now.alpha, flows)
    apart = cv2.GaussianBlur(looked_up(reduced(other.alpha, flows), where) - own, (0, 0), _BLUR_PX)
    shown = looked_up(halved(other.picture), where)
    unlike = cv2.blur(_difference(shown, halved(now.picture)), (_COMPARED_PX, _COMPARED_PX))
    followed = consistency_error(flows.forward, flows.backward) < _CONSISTENT_PX
    jumps = np.maximum(np.abs(apart) - _FLICKER, 0)[followed & (unlike < _UNLIKE)]
    return float(jumps.sum(dtype=np.float64)) * now.alpha.size / own.size


def _difference(first: Picture, second: Picture) -> FloatImage:
    return cast(FloatImage, cv2.absdiff(first, second).astype(np.float32).mean(2))
