"""The engine's client, `command.py`: beside this file, or in the clone's nodes folder."""

from __future__ import annotations

import importlib.util
import os
import sys
from types import ModuleType
from typing import Any

_HERE = os.path.dirname(os.path.realpath(__file__))
_PLACES = (
    os.path.join(_HERE, "command.py"),
    os.path.join(os.path.dirname(_HERE), "command.py"),
)
_NAME = "vfxmatte_command"
_engine: Any = None


def command_module() -> ModuleType:
    """`nodes/command.py` as a module, loaded once; raises RuntimeError where it is not there."""
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
    raise RuntimeError(
        f"command.py is missing: copy nodes/command.py of vfxmatte into {_HERE}, "
        "or link the folder instead of copying it"
    )


def engine() -> Any:
    """The engine's client; nothing starts yet.

    Which program it is, is the server's business and never a workflow's.
    """
    global _engine
    if _engine is None:
        _engine = command_module().Engine()
    return _engine
