"""What an exported model says of itself: plain text by name, the same in every format."""

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
_GIVEN_PRIORS = _INPUT.replace("4", str(4 + PRIORS)) + "; alpha priors"


def record_of(
    info: WeightsInfo,
    space: WorkingSpace,
    knobs: Mapping[str, int] | None = None,
    *,
    priors: bool = False,
) -> dict[str, str]:
    """Where the weights come from, under which licence, and how to feed the model.

    space: the working space that it was exported for. knobs: what may be set, and its
    default. priors: it is given the alpha priors.
    """
    record = {
        "vfxmatte_version": __version__,
        "weights": info.name,
        "weights_sha256": info.sha256,
        "licence": info.licence,
        "encoding": info.encoding,
        "network": json.dumps(info.network.as_dict()),
        "colorspace": NAMES[space],
        "input": _GIVEN_PRIORS if priors else _INPUT,
        "output": "(N, 1, H, W): alpha, linear coverage, 0 to 1",
    }
    return record if knobs is None else {**record, "knobs": json.dumps(dict(knobs))}
