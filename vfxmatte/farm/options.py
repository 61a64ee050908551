"""Settings as command line options, for workers that have no shot.toml."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vfxmatte.pipeline.settings import RunSettings, differences

_OWN_OPTIONS = frozenset(
    {"frames", "ocio", "engine.weights", "engine.device", "keys", "garbage", "core", "cleanplate"}
)


def settings_options(settings: RunSettings) -> list[str]:
    """Return `--set KEY=VALUE` for each setting that differs from the default.

    Frames, device, weights, the colour configuration, and finished, garbage and core mattes have
    options of their own.
    """
    changes = differences(RunSettings(), settings)
    pairs = [f"{name}={toml_value(value)}" for name, value in changes if name not in _OWN_OPTIONS]
    return [word for pair in pairs for word in ("--set", pair)]


def toml_value(value: Any) -> str:
    """Return a value as TOML on one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False)
    if isinstance(value, Mapping):
        items = ", ".join(f"{json.dumps(str(k))} = {toml_value(v)}" for k, v in value.items())
        return f"{{{items}}}"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(toml_value, value))}]"
    return str(value)
