"""A real Blender for tests: finds the Python that has bpy, and holds a session in it once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from nodes.blender.build import build

ROOT = Path(__file__).resolve().parents[2]


def blender_python() -> Path:
    """The Python that has bpy; skips where there is none, and fails in CI."""
    chosen = os.environ.get("VFXMATTE_BLENDER_PYTHON")
    python = Path(chosen) if chosen else ROOT / ".venv-bpy" / "bin" / "python"
    if not python.exists():
        missing = f"Blender as a module is not there ({python}): make blender"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    return python


def session_folder(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str, name: str, job: Any
) -> Path:
    """The folder of the session `blender_NAME.py`, held once whatever the number of workers.

    Args:
        name: of the script beside this file, without its beginning and suffix.
        job: called with the new folder; returns what JOB.json tells the script, beside
            `work`, `zip`, `engine` and `report`.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / f"blender-{name}"
    python = blender_python()
    with FileLock(f"{folder}.lock"):
        if not (folder / "output.txt").exists():
            folder.mkdir()
            _hold(python, folder, Path(__file__).with_name(f"blender_{name}.py"), job(folder))
    return folder


def report_of(folder: Path) -> dict[str, Any]:
    """What the session has seen; fails with all its output if it broke off."""
    path = folder / "report.json"
    assert path.exists(), (folder / "output.txt").read_text(encoding="utf-8")
    seen: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return seen


def _hold(python: Path, folder: Path, script: Path, job: dict[str, str]) -> None:
    usual = {
        "work": str(folder),
        "zip": str(build(folder)),
        "engine": sys.executable,
        "report": str(folder / "report.json"),
    }
    (folder / "job.json").write_text(json.dumps({**usual, **job}), encoding="utf-8")
    environment = {
        **os.environ,
        "BLENDER_USER_RESOURCES": str(folder / "resources"),
        "VFXMATTE_HOME": str(folder / "home"),
    }
    environment.pop("OCIO", None)
    done = subprocess.run(
        [str(python), str(script), str(folder / "job.json")],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=300,
    )
    (folder / "output.txt").write_text(done.stdout, encoding="utf-8")
