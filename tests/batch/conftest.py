"""A folder of five shots, one of them broken, and what a batch of them prints and reports."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.conftest import write_tiny_shot
from vfxmatte.cli import commands

NAMES = ["sh010", "sh020", "sh030", "sh040", "sh050"]


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """A folder of five shots, of which sh030 has lost its plate."""
    for name in NAMES:
        write_tiny_shot(tmp_path / "shots" / name)
    shutil.rmtree(tmp_path / "shots" / "sh030" / "plate")
    return tmp_path / "shots"


def batch(*arguments: object) -> Result:
    words = ["batch", "--device", "cpu", *map(str, arguments)]
    return CliRunner().invoke(commands, words, prog_name="vfxmatte")


def events(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "batch_report.json").read_text("utf-8"))
    return found


def mattes(folder: Path) -> list[int]:
    return sorted(int(path.name.split(".")[1]) for path in folder.glob("matte/matte.*.exr"))
