"""The client package, loaded when it is first needed, so that Nuke starts without it."""

from __future__ import annotations

import importlib
import os
from typing import Any

from vfxmatte_nuke.paths import forward
from vfxmatte_nuke.problem import Problem


def package() -> Any:
    """Return the package `vfxmatte_client`; raises Problem if it was not installed."""
    try:
        return importlib.import_module("vfxmatte_nuke.vfxmatte_client")
    except ModuleNotFoundError as error:
        raise Problem(
            "vfxmatte_client is missing: it belongs to the VfxMatte node",
            f"Copy the folder nodes/vfxmatte_client of vfxmatte into {os.path.dirname(__file__)}.",
        ) from error


def tidy_path(text: str) -> str:
    """Return a typed path with forward slashes; see `vfxmatte_client.tidy_path`."""
    return forward(str(package().tidy_path(text)))
