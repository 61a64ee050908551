"""The client package, loaded when it is first needed, so that the nodes appear without it."""

from __future__ import annotations

import importlib
import os
from typing import Any


def package() -> Any:
    """Return the package `vfxmatte_client`; raises RuntimeError if it was not installed."""
    try:
        return importlib.import_module(".vfxmatte_client", __package__)
    except ModuleNotFoundError as error:
        raise RuntimeError(
            "vfxmatte_client is missing: copy the folder nodes/vfxmatte_client of vfxmatte into "
            f"{os.path.dirname(__file__)}, or link the folder instead of copying it"
        ) from error
