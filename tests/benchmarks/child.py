"""The child's side of a measurement in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from tests.benchmarks.footprint import footprint_as_told
from tests.benchmarks.run_cost import cost_as_told
from vfxmatte.errors import UsageError

_KINDS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "run": cost_as_told,
    "network": footprint_as_told,
}


def answer(kind: str, options: str) -> str:
    """Measure one kind of thing; JSON in, one line of JSON out."""
    if kind not in _KINDS:
        raise UsageError(f"no measured process {kind!r}", hint=f"there is {', '.join(_KINDS)}")
    return json.dumps(_KINDS[kind](json.loads(options)))
