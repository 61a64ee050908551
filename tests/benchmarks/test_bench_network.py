"""The network's stage: what is compared with what, its memory apart, and what it imports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.benchmarks import network
from tests.benchmarks.child import answer
from tests.benchmarks.network import NetworkSettings, difference, measure_network
from tests.benchmarks.process import run_apart
from tests.benchmarks.solver import EngineSolver, PlainForward, SolverSettings, open_solver
from vfxmatte.bench.scene import Scene
from vfxmatte.engines.protocol import Task
from vfxmatte.errors import UsageError, VfxmatteError
from vfxmatte.types import UNKNOWN, FloatImage

ROOT = Path(__file__).parents[2]
SCENE = Scene(width=128, height=96, unknown_share=0.1)


@pytest.fixture
def settings(tiny_weights: Path) -> NetworkSettings:
    return NetworkSettings(
        sizes=[(128, 96)],
        shares=[0.1],
        device="cpu",
        weights=tiny_weights,
        repeats=2,
        warmup=0,
        memory="none",
    )


def rows_of(settings: NetworkSettings) -> dict[str, dict[str, Any]]:
    (rows,) = measure_network(settings)
    return {row["mode"]: row for row in rows}


def test_every_mode_is_measured_side_by_side(settings: NetworkSettings) -> None:
    rows = rows_of(settings)
    assert list(rows) == ["dense", "exact", "fast", "plain"]
    for mode, row in rows.items():
        assert row["failure"] is None and row["device"] == "cpu" and row["frames"] == 1, mode
        assert row["unknown_share"] == pytest.approx(0.1, rel=0.02)
        timing = row["seconds_per_frame"]
        assert len(timing["raw"]) == 2 and min(timing["raw"]) > 0
        assert timing["median"] == pytest.approx(sum(timing["raw"]) / 2)
        assert row["unknown_mpx_per_s"] == pytest.approx(SCENE.unknown_px / 1e6 / timing["median"])
        assert set(row["speed_up"]) == {"dense", "plain"}
        assert row["engine"]["precision"] == "float32"
    dense, exact = (rows[mode]["seconds_per_frame"]["median"] for mode in ("dense", "exact"))
    assert rows["exact"]["speed_up"]["dense"] == pytest.approx(dense / exact)
    assert rows["dense"]["speed_up"]["dense"] == 1


def test_differences_are_those_from_the_dense_pass(settings: NetworkSettings) -> None:
    rows = rows_of(settings)
    assert rows["dense"]["difference"]["maximum"] == 0
    assert rows["exact"]["difference"]["maximum"] < 1e-4
    assert rows["plain"]["difference"]["maximum"] < 1e-4
    assert rows["exact"]["difference"]["within_1_255"] == 1


class Altered:
    """A solver whose alpha is the engine's, but for some unknown pixels."""

    device = "cpu"

    def __init__(self, solver: Any, error: Exception | None = None) -> None:
        self.solver, self.error = solver, error

    def describe(self) -> dict[str, Any]:
        return {"engine": "altered", "precision": "float32"}

    def __call__(self, tasks: Sequence[Task]) -> list[FloatImage]:
        if self.error is not None:
            raise self.error
        (alpha,) = self.solver(tasks)
        unknown = np.flatnonzero(tasks[0].trimap.labels == UNKNOWN)
        changed = alpha.copy()
        changed.ravel()[unknown[:100]] = np.abs(changed.ravel()[unknown[:100]] - 0.25)
        changed[tasks[0].trimap.labels != UNKNOWN] = 7  # known pixels are of no interest
        return [changed]

    def close(self) -> None:
        return


def test_an_error_of_a_mode_is_found(
    settings: NetworkSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(told: SolverSettings) -> Any:
        solver = open_solver(told)
        return Altered(solver) if told.mode == "fast" else solver

    monkeypatch.setattr(network, "open_solver", opened)
    found = rows_of(settings)["fast"]["difference"]
    assert found["maximum"] == pytest.approx(0.25, abs=1e-3)
    assert found["within_1_255"] == pytest.approx(1 - 100 / SCENE.unknown_px)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("out of memory"), VfxmatteError("too little memory")]
)
def test_a_mode_without_memory_is_told_and_the_others_go_on(
    settings: NetworkSettings, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def opened(told: SolverSettings) -> Any:
        solver = open_solver(told)
        return Altered(solver, error) if told.mode == "plain" else solver

    monkeypatch.setattr(network, "open_solver", opened)
    rows = rows_of(settings)
    assert "memory" in rows["plain"]["failure"] and rows["plain"]["seconds_per_frame"] is None
    assert rows["exact"]["seconds_per_frame"] is not None
    assert set(rows["exact"]["speed_up"]) == {"dense"}


def test_other_errors_are_raised(
    settings: NetworkSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RuntimeError("a mistake")
    monkeypatch.setattr(network, "open_solver", lambda told: Altered(None, error))
    with pytest.raises(RuntimeError, match="a mistake"):
        rows_of(replace(settings, modes=["fast"]))


@pytest.mark.usefixtures("warm_children")
def test_memory_is_measured_in_a_process_of_its_own(settings: NetworkSettings) -> None:
    chosen = replace(settings, shares=[0.3, 0.1], modes=["plain"], memory="one", threads=1)
    far, usual = (rows[0] for rows in measure_network(chosen))
    assert far["memory"] is None and far["flops"] is None
    memory = usual["memory"]
    assert memory["peak_gpu_bytes"] is None
    assert 50e6 < memory["rss_before_bytes"] <= memory["peak_rss_bytes"] < 4e9
    assert usual["flops"] > 1e6


@pytest.mark.usefixtures("warm_children")
def test_a_process_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(VfxmatteError, match="ended with exit code 2"):
        run_apart("nothing", {})
    with pytest.raises(UsageError, match="no measured process 'nothing'"):
        answer("nothing", "{}")


def test_difference_of_known_alphas() -> None:
    expected = np.linspace(0, 1, 1001, dtype=np.float32)
    found = expected.copy()
    found[0], found[1000] = 0.5, 1.5  # beyond 1 is 1
    figures = difference(found, expected)
    assert figures["maximum"] == 0.5 and figures["mean"] == pytest.approx(0.5 / 1001)
    assert figures["within_1_255"] == pytest.approx(1000 / 1001)
    assert figures["p999"] <= 0.5


def test_the_plain_forward_is_the_whole_picture(tiny_weights: Path) -> None:
    odd = Scene(width=101, height=75, unknown_share=0.2)
    told = SolverSettings(mode="plain", device="cpu", weights=tiny_weights)
    plain, dense = open_solver(told), open_solver(replace(told, mode="dense"))
    assert isinstance(plain, PlainForward) and isinstance(dense, EngineSolver)
    (alpha,), (expected,) = plain([odd.task()]), dense([odd.task()])
    unknown = odd.labels == UNKNOWN
    assert alpha.shape == (75, 101)
    assert np.abs(alpha - expected)[unknown].max() < 1e-4
    assert {p.is_contiguous() for p in plain.network.parameters()} == {True}  # NCHW


def test_wrong_modes_are_refused(settings: NetworkSettings) -> None:
    with pytest.raises(UsageError, match="no mode 'sparse'"):
        replace(settings, modes=["dense", "sparse"])
    with pytest.raises(UsageError, match="no memory 'some'"):
        replace(settings, memory="some")


def test_the_network_is_measured_without_any_image_library(
    tiny_weights: Path, tmp_path: Path
) -> None:
    program = (
        "import runpy, sys\n"
        "class Blocked:\n"
        "    names = {'OpenEXR', 'Imath', 'av', 'OpenImageIO', 'PyOpenColorIO', 'fileseq',\n"
        "             'scipy', 'filelock', 'pymatting'}\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in self.names:\n"
        "            raise ImportError(f'{name} is not here')\n"
        "sys.meta_path.insert(0, Blocked())\n"
        "sys.argv[0] = 'bench'\n"
        "runpy.run_module('tests.benchmarks', run_name='__main__', alter_sys=True)\n"
    )
    record = tmp_path / "out.json"
    done = subprocess.run(
        [
            *(sys.executable, "-c", program, "network", "--json", str(record)),
            *("--sizes", "128x96", "--unknown", "0.1", "--weights", str(tiny_weights)),
            *("--device", "cpu", "--repeats", "1", "--warmup", "0", "--memory", "none"),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(record.read_text(encoding="utf-8"))
    assert [row["mode"] for row in found["network"]] == ["dense", "exact", "fast", "plain"]
    assert found["complete"] and found["stages"] == [] and "The network" in done.stdout
