"""A measurement in a process of its own, so that nothing of another one is counted in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vfxmatte.errors import VfxmatteError


def run_apart(kind: str, told: Mapping[str, Any], *, shot: Path | None = None) -> dict[str, Any]:
    """What the child of this kind found; its own messages go to stderr.

    told: plain values for it. Raises VfxmatteError, naming the shot, where it fails.
    """
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "child", kind],
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


def _end(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
