"""A small shot that is fitted in two steps, and what its runs say."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import write_tiny_shot
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.fitting import fit as fit_module
from vfxmatte.fitting.settings import FitSettings
from vfxmatte.pipeline.run import Run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot

QUICK = FitSettings(when="on", minutes=2 / 120, crop_px=64, batch=2)
QUICK_OPTIONS = ["--fit", "0.0167", "--set", "fit.crop_px=64", "--set", "fit.batch=2"]
"""`QUICK` on the command line."""


def shot_in(folder: Path, weights: Path) -> Shot:
    settings = RunSettings(engine=EngineSettings(weights=weights, device="cpu"), fit=QUICK)
    return replace(Shot.open(folder), settings=settings)


@pytest.fixture
def shot(tiny_shot: Path, light_weights: Path) -> Shot:
    return shot_in(tiny_shot, light_weights)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fit counts as better."""
    monkeypatch.setattr(fit_module, "_BETTER", 1e9)


@pytest.fixture(scope="session")
def fitted_folder(tmp_path_factory: pytest.TempPathFactory, light_weights: Path) -> Path:
    """The folder of such a shot, fitted and solved once for all tests; read only."""
    folder = write_tiny_shot(tmp_path_factory.mktemp("fitted") / "tiny shot")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_module, "_BETTER", 1e9)
        found, _, steps = statuses(shot_in(folder, light_weights))
    assert set(found.values()) == {"written"} and steps == QUICK.steps
    return folder


@pytest.fixture
def fitted(shot: Shot, tiny_shot: Path, fitted_folder: Path, always: None) -> Shot:
    """The same shot as `statuses(shot)` leaves it: a copy."""
    shutil.rmtree(tiny_shot)
    shutil.copytree(fitted_folder, tiny_shot)
    return reopened(shot, tiny_shot)


def statuses(shot: Shot, **options: Any) -> tuple[dict[int, str], list[str], int]:
    """Status by frame, what was said, and the number of steps that were told."""
    said: list[str] = []
    steps: list[int] = []
    with Run(shot, **options) as run:
        run.on_note = said.append
        run.on_fit = lambda progress: steps.append(progress.step)
        found = {result.number: result.status for result in run.frames()}
    return found, said, len(steps)


def fits(shot: Shot) -> list[Path]:
    return sorted((shot.output / "fit").glob("*.safetensors"))


def changed(shot: Shot, **settings: Any) -> Shot:
    return replace(shot, settings=replace(shot.settings, **settings))


def reopened(shot: Shot, folder: Path) -> Shot:
    """The shot with the keyframes that are there now."""
    return replace(Shot.open(folder), settings=shot.settings)
