"""A shot and a list of shots for jobs of farms, and the programs that run the jobs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vfxmatte.bench.moving_shot import MovingShot
from vfxmatte.cli import commands
from vfxmatte.io.stills.reading import read_image
from vfxmatte.journal.journal import Journal

ROOT = str(Path(__file__).parents[2])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shot = MovingShot(frames=8, width=64, height=48, keyframes=(1001, 1004, 1008))
    return shot.write(tmp_path / "show a" / "creature")


def write_program(path: Path, python: Path | str) -> Path:
    """Write a script by which workers call vfxmatte."""
    path.write_text(
        f'#!/bin/sh\nPYTHONPATH="{ROOT}" OMP_NUM_THREADS=1 exec "{python}" -m vfxmatte.cli "$@"\n'
    )
    path.chmod(0o755)
    return path


@pytest.fixture
def program(tmp_path: Path, warm_python: Path, warm_children: None) -> Path:
    """How workers call vfxmatte; `openjd` starts warm, too."""
    return write_program(tmp_path / "vfxmatte.sh", warm_python)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(commands, [str(a) for a in arguments], prog_name="vfxmatte")


def openjd(*arguments: object) -> str:
    """What the program says; it must be content."""
    pytest.importorskip("openjd.cli")
    done = subprocess.run(
        [sys.executable, "-m", "openjd", *map(str, arguments)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def parameters(bundle: Path) -> str:
    return f"file://{bundle / 'openjd_parameters.json'}"


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def assert_same(one: Path, other: Path, numbers: list[int]) -> None:
    for number in numbers:
        a, b = (read_image(f / f"matte.{number}.exr") for f in (one, other))
        assert a.pixels.tobytes() == b.pixels.tobytes() and a.pixels.std() > 0
    a, b = ({n: r.fingerprint for n, r in Journal.peek(f).records.items()} for f in (one, other))
    assert a == b and sorted(a) == numbers


def step_names(bundle: Path) -> list[str]:
    return [step["name"] for step in read(bundle / "template.json")["steps"]]


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Two shots of different settings and lengths, a third in another place, and their list."""
    for name, count in (("show/sh010", 4), ("show/sh020", 6), ("elsewhere/sh010", 4)):
        numbers = (1001, 1000 + count)
        MovingShot(frames=count, width=64, height=48, keyframes=numbers).write(tmp_path / name)
    (tmp_path / "tonight.txt").write_text(
        "show/sh010\nshow/sh020 --frames 1002-1006x2 --keyframe-growth 0.5\nelsewhere/sh010\n"
    )
    return tmp_path / "tonight.txt"
