"""A measurement in a process of its own, so that nothing of another one is counted in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import vfxmatte
from vfxmatte.errors import UsageError, VfxmatteError


def run_apart(kind: str, told: Mapping[str, Any], *, shot: Path | None = None) -> dict[str, Any]:
    """What the child of this kind found; its own messages go to stderr.

    told: plain values for it. Raises VfxmatteError, naming the shot, where it fails.
    """
    package = str(Path(vfxmatte.__file__).resolve().parents[1])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "vfxmatte.bench", "child", kind],
        input=json.dumps(dict(told)),
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        check=False,
    )
    if done.returncode:
        raise VfxmatteError(
            f"the measured process {_end(done.returncode)}",
            shot=shot,
            hint="its own message stands above; without one, the memory may not have sufficed",
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def answer(kind: str, told: str) -> str:
    """The child's side: JSON in, one line of JSON out."""
    kinds: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
        "run": _run,
        "network": _network,
    }
    if kind not in kinds:
        raise UsageError(f"no measured process {kind!r}", hint=f"there is {', '.join(kinds)}")
    return json.dumps(kinds[kind](json.loads(told)))


def _run(told: Mapping[str, Any]) -> dict[str, Any]:
    from vfxmatte.bench.run_cost import cost_as_told

    return cost_as_told(told)


def _network(told: Mapping[str, Any]) -> dict[str, Any]:
    from vfxmatte.bench.footprint import footprint_as_told

    return footprint_as_told(told)


def _end(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
