"""A second run: what is kept and what is done again, after changes, kills and interrupts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from tests.pipeline.moving_runs import (
    NUMBERS,
    WINDOW,
    Solve,
    contents,
    leftovers,
    paint,
    plate_path,
    redone,
    solver,
    states,
    threads_left,
    trimap_path,
    write_shot,
)
from vfxmatte.engines.deep import DeepEngine
from vfxmatte.engines.protocol import EngineSettings, Task
from vfxmatte.errors import OutputLockedError
from vfxmatte.io.stills.exr import write_exr
from vfxmatte.io.stills.reading import read_image
from vfxmatte.network.dim import DeepImageMatting, DimConfig
from vfxmatte.network.weights import save_weights
from vfxmatte.pipeline.run import run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
from vfxmatte.types import UNKNOWN, Matte


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_shot(tmp_path)


@pytest.fixture
def solve(tiny_weights: Path) -> Solve:
    return solver(tiny_weights)


def test_a_second_run_keeps_everything_and_writes_no_matte(folder: Path, solve: Any) -> None:
    first = solve(folder)
    times = {path: path.stat().st_mtime_ns for path in (folder / "matte").rglob("*.exr")}
    second = solve(folder)
    assert states(second) == dict.fromkeys(NUMBERS, "kept")
    assert [r.path for r in second] == [r.path for r in first]
    assert [r.stats for r in second] == [r.stats for r in first]
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert redone(solve(folder, overwrite=True)) == NUMBERS


def brighter(folder: Path, number: int) -> None:
    """The same plate with one frame's picture changed."""
    planes = read_image(plate_path(folder, number)).pixels * 1.5
    write_exr(
        plate_path(folder, number), {c: planes[:, :, i] for i, c in enumerate("RGB")},
        data_window=WINDOW, display_window=WINDOW,
    )  # fmt: skip


def wider_key(folder: Path, number: int) -> None:
    labels = cv2.imread(str(trimap_path(folder, number)), cv2.IMREAD_GRAYSCALE)
    labels[:, 30:34] = UNKNOWN
    paint(trimap_path(folder, number), labels)


def paint_over(folder: Path, number: int) -> None:
    """Take a propagated trimap, paint on it, and make it a keyframe."""
    (folder / "matte" / "trimaps" / f"trimap.{number}.png").rename(trimap_path(folder, number))
    wider_key(folder, number)


@pytest.mark.parametrize(
    ("change", "number", "affected"),
    [
        (wider_key, 1004, [1002, 1003, 1004, 1005, 1006, 1007]),
        (wider_key, 1001, [1001, 1002, 1003]),
        (brighter, 1002, [1002, 1003]),
        (paint_over, 1006, [1005, 1006, 1007]),
        (lambda folder, n: (folder / "matte" / f"matte.{n}.exr").unlink(), 1005, [1005]),
    ],
)
def test_a_change_does_again_what_it_affects_as_if_all_were_new(
    folder: Path, tmp_path: Path, solve: Any, change: Any, number: int, affected: list[int]
) -> None:
    solve(folder)
    change(folder, number)
    assert redone(solve(folder)) == affected
    solve(folder, tmp_path / "afresh")
    assert contents(folder / "matte") == contents(tmp_path / "afresh")


def test_other_weights_or_settings_do_all_again(folder: Path, tmp_path: Path, solve: Any) -> None:
    solve(folder)
    torch.manual_seed(77)
    other = tmp_path / "other.safetensors"
    save_weights(other, DeepImageMatting(DimConfig(width=0.0625, fc6_channels=64)), name="other")
    engine = {"weights": str(other), "device": "cpu"}
    assert redone(solve(folder, engine=engine)) == NUMBERS
    assert redone(solve(folder, engine=engine, output={"compression": "zips"})) == NUMBERS


KILLED = """
import sys
from pathlib import Path
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.pipeline.run import run
from vfxmatte.pipeline.settings import RunSettings
from vfxmatte.pipeline.shot import Shot
folder, output, weights = map(Path, sys.argv[1:])
settings = RunSettings(engine=EngineSettings(weights=weights, device="cpu"))
for done, result in enumerate(run(Shot.open(folder, output=output), settings), 1):
    print(result.number, flush=True)
    if done == 3:
        sys.stdin.read()
"""


def test_a_killed_run_goes_on_and_ends_as_if_undisturbed(
    folder: Path, tmp_path: Path, solve: Any, tiny_weights: Path
) -> None:
    output = tmp_path / "killed"
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root, "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), str(output), str(tiny_weights)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    assert child.stdout is not None
    seen = [int(child.stdout.readline()) for _ in range(3)]
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    assert seen == NUMBERS[:3] and not (output / "manifest.json").exists()
    (output / ".matte.1005.99999.part.exr").write_bytes(b"half")  # cut off while writing
    results = solve(folder, output)
    assert states(results) == dict.fromkeys(seen, "kept") | dict.fromkeys(NUMBERS[3:], "written")
    solve(folder, tmp_path / "undisturbed")
    assert contents(output) == contents(tmp_path / "undisturbed")
    assert leftovers(output) == [] and list((tmp_path / "tmp").iterdir()) == []


def test_an_interrupt_leaves_no_thread_and_the_run_goes_on(
    folder: Path, tmp_path: Path, solve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C arrives in the main thread, most likely in the network."""
    mattes = DeepEngine.mattes

    def interrupted(self: DeepEngine, tasks: Iterator[Task]) -> Iterator[Matte]:
        for matte in mattes(self, tasks):
            if matte.number == 1007:
                raise KeyboardInterrupt
            yield matte

    with monkeypatch.context() as patch:
        patch.setattr(DeepEngine, "mattes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            solve(folder)
    assert threads_left() == [] and leftovers(folder / "matte") == []
    results = solve(folder)
    assert "kept" in states(results).values() and 1007 in redone(results)
    solve(folder, tmp_path / "undisturbed")
    assert contents(folder / "matte") == contents(tmp_path / "undisturbed")


def test_leaving_early_leaves_no_thread(folder: Path, solve: Any, tiny_weights: Path) -> None:
    settings = RunSettings(engine=EngineSettings(weights=tiny_weights, device="cpu"))
    results = run(Shot.open(folder), settings)
    assert next(results).number == 1001
    results.close()  # type: ignore[attr-defined]
    assert threads_left() == [] and leftovers(folder / "matte") == []
    assert states(solve(folder))[1001] == "kept"


def test_two_runs_on_one_output_are_refused(folder: Path, solve: Any, tiny_weights: Path) -> None:
    settings = RunSettings(engine=EngineSettings(weights=tiny_weights, device="cpu"))
    first = run(Shot.open(folder), settings)
    next(first)
    with pytest.raises(OutputLockedError, match="another run") as caught:
        solve(folder)
    assert caught.value.shot == folder.name and caught.value.path == str(folder / "matte")
    assert len(list(first)) == 7
