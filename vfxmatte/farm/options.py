"""Settings as options of the command line, for workers that have no shot.toml to read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vfxmatte.pipeline.settings import RunSettings, as_plain

_ELSEWHERE = frozenset({"frames", "ocio", "engine.weights", "engine.device"})


def settings_options(settings: RunSettings) -> list[str]:
    """`--set KEY=VALUE` for each setting that is not the default.

    Frames, device, weights and the colour configuration have options of their own.
    """
    changes = _changes(as_plain(RunSettings()), as_plain(settings), "")
    options: list[str] = []
    for name, value in changes:
        if name not in _ELSEWHERE:
            options += ["--set", f"{name}={toml_value(value)}"]
    return options


def _changes(old: Any, new: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Names and values of what differs, in nested tables too."""
    if isinstance(old, Mapping) and isinstance(new, Mapping) and set(old) == set(new) and old:
        for key in new:
            yield from _changes(old[key], new[key], f"{name}.{key}" if name else key)
    elif new != old:
        yield name, new


def toml_value(value: Any) -> str:
    """A value as TOML writes it on one line."""
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
