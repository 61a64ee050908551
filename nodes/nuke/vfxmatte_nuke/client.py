"""The engine's client, `nodes/command.py`: beside this package, or in the clone's nodes folder."""

from __future__ import annotations

import importlib.util
import os
import sys
from types import ModuleType
from typing import Any

from vfxmatte_nuke.paths import forward
from vfxmatte_nuke.problem import Problem

_HERE = os.path.dirname(os.path.abspath(__file__))
_PLACES = (
    os.path.join(_HERE, "command.py"),
    os.path.join(_HERE, os.pardir, os.pardir, "command.py"),
)
_NAME = "vfxmatte_command"
_engine: Any = None


def command_module() -> ModuleType:
    """`nodes/command.py` as a module, loaded once; raises Problem where it is not to be found."""
    if _NAME in sys.modules:
        return sys.modules[_NAME]
    for place in _PLACES:
        if os.path.isfile(place):
            spec = importlib.util.spec_from_file_location(_NAME, place)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[_NAME] = module
            spec.loader.exec_module(module)
            return module
    raise Problem(
        "command.py is missing: it belongs to the VfxMatte node",
        f"Copy nodes/command.py of vfxmatte into {_HERE}.",
    )


def engine() -> Any:
    """The engine's client; nothing is started yet.

    Which program it is, is set on the machine (command.txt, $VFXMATTE_COMMAND, the PATH) and
    never by a script: scripts are passed around.
    """
    global _engine
    if _engine is None:
        _engine = command_module().Engine()
    return _engine


def tidy_path(text: str) -> str:
    """A path as it was meant, with forward slashes: see `command.tidy_path`."""
    return forward(str(command_module().tidy_path(text)))
