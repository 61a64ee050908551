"""The engine client: bundled in the extension, one directory up in a checkout."""

from __future__ import annotations

import importlib
from typing import Any


def _client() -> Any:
    package = __package__ or ""
    try:
        return importlib.import_module(".command", package)
    except ModuleNotFoundError:
        return importlib.import_module("..command", package)


_module = _client()
Engine: Any = _module.Engine
EngineError: Any = _module.EngineError
remember_command: Any = _module.remember_command
