"""The description stored in an exported model: texts by name, the same in every format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vfxmatte.exports.working_space import NAMES, WorkingSpace
from vfxmatte.prior.constants import PRIORS
from vfxmatte.version import __version__

if TYPE_CHECKING:
    from vfxmatte.network.weights import WeightsInfo


_INPUT = "(N, 4, H, W): red, green, blue in the working space; trimap as 0, 0.5, 1"
_INPUT_WITH_PRIORS = _INPUT.replace("4", str(4 + PRIORS)) + "; alpha priors"


def record_of(
    info: WeightsInfo,
    space: WorkingSpace,
    knobs: Mapping[str, int] | None = None,
    *,
    priors: bool = False,
) -> dict[str, str]:
    """Describe the weights, their licence, and the model's input.

    Args:
        space: the default working space.
        knobs: settings of the model with their defaults, if it has any.
        priors: True if the alpha priors are part of the input.
    """
    record = {
        "vfxmatte_version": __version__,
        "weights": info.name,
        "weights_sha256": info.sha256,
        "licence": info.licence,
        "encoding": info.encoding,
        "network": json.dumps(info.network.as_dict()),
        "colorspace": NAMES[space],
        "input": _INPUT_WITH_PRIORS if priors else _INPUT,
        "output": "(N, 1, H, W): alpha, linear coverage, 0 to 1",
    }
    return record if knobs is None else {**record, "knobs": json.dumps(dict(knobs))}
