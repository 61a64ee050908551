"""The dense way to run the network: windows, batches, memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.engine_tasks import TOLERANCE, dense_alpha, large_task, settings_of, solve, task
from vfxmatte.engines.deep import DeepEngine
from vfxmatte.engines.protocol import EngineSettings
from vfxmatte.engines.windows import WindowSolver
from vfxmatte.errors import DeviceError
from vfxmatte.types import UNKNOWN, FloatImage


def windows(weights: Path, **more: Any) -> EngineSettings:
    return settings_of(weights, **{"mode": "windows", **more})


def solver_of(engine: DeepEngine) -> WindowSolver:
    assert isinstance(engine.solver, WindowSolver)
    return engine.solver


@pytest.fixture
def windowed(tiny_weights: Path) -> Iterator[DeepEngine]:
    engine = DeepEngine.open(windows(tiny_weights))
    yield engine
    engine.close()


def test_small_windows_share_a_batch_and_a_large_one_fills_it(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: the batch follows from the window's size, whoever is there to share it."""
    engine = DeepEngine.open(windows(tiny_weights))
    solver = solver_of(engine)
    solver.batch, solver.batch_px = 4, 3 * 64 * 64
    sizes: list[tuple[int, int]] = []
    network = engine.model.network

    def spy(batch: torch.Tensor) -> Any:
        sizes.append((batch.shape[0], batch.shape[-1]))
        return network(batch)

    monkeypatch.setattr(solver, "model", replace(engine.model, network=spy))
    small, large = [task(64, 64, number, "all") for number in range(4)], task(64, 128, 9, "all")
    together = solve(engine, *small, large, *small)
    assert sizes == [(3, 64), (3, 64), (1, 128), (3, 64)]
    for alpha, one in zip(together, [*small, large, *small], strict=True):
        np.testing.assert_array_equal(alpha, solve(engine, one)[0])


@pytest.mark.parametrize("batch", [1, 3])
def test_tiles_and_batches_give_the_dense_result(tiny_weights: Path, batch: int) -> None:
    one = large_task()
    engine = DeepEngine.open(windows(tiny_weights, max_window_px=270_000, batch=batch))
    seen = spy_on_windows(engine)
    (alpha,) = solve(engine, one)
    assert len(seen) == 3 and max(h * w for h, w in seen) <= 270_000
    unknown = one.trimap.labels == UNKNOWN
    difference = np.abs(alpha - dense_alpha(tiny_weights, one))[unknown]
    assert difference.max() <= TOLERANCE["cpu", "float32"]


def test_odd_sizes_are_padded_by_reflection(windowed: DeepEngine, tiny_weights: Path) -> None:
    one = task(45, 57, kind="all")
    (alpha,) = solve(windowed, one)
    difference = np.abs(alpha - dense_alpha(tiny_weights, one))
    assert difference.max() <= TOLERANCE["cpu", "float32"]


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.lists(st.sampled_from([(32, 32), (33, 57), (64, 32)]), min_size=1, max_size=5),
    batch=st.integers(1, 4),
    kinds=st.data(),
)
def test_companions_never_change_a_matte(
    tiny_weights: Path, sizes: list[tuple[int, int]], batch: int, kinds: st.DataObject
) -> None:
    engine = DeepEngine.open(windows(tiny_weights, batch=batch))
    kind = st.sampled_from(["band", "all", "none"])
    tasks = [task(*size, number, kinds.draw(kind)) for number, size in enumerate(sizes)]
    for together, one in zip(solve(engine, *tasks), tasks, strict=True):
        np.testing.assert_array_equal(together, solve(engine, one)[0])


def spy_on_windows(engine: DeepEngine) -> list[tuple[int, int]]:
    """The size of every window that the network sees from now on."""
    seen: list[tuple[int, int]] = []
    solver = solver_of(engine)
    forward = solver._forward

    def spy(windows: list[FloatImage]) -> FloatImage:
        seen.extend((w.shape[0], w.shape[1]) for w in windows)
        return forward(windows)

    solver._forward = spy  # type: ignore[method-assign]
    return seen


def test_a_trimap_without_unknown_needs_no_network(
    windowed: DeepEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: object) -> FloatImage:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(solver_of(windowed), "_forward", never)
    for alpha in solve(windowed, task(48, 64, kind="none"), task(33, 57, kind="none")):
        assert set(np.unique(alpha)) <= {0.0, 1.0}


def fail_above(engine: DeepEngine, most_px: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the device run out of memory above so many pixels; returns what was asked for."""
    asked: list[int] = []
    solver = solver_of(engine)
    forward = solver._forward

    def limited(windows: list[FloatImage]) -> FloatImage:
        asked.append(solver.batch * windows[0].shape[0] * windows[0].shape[1])
        if asked[-1] > most_px:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(windows)

    monkeypatch.setattr(solver, "_forward", limited)
    return asked


def test_out_of_memory_means_a_smaller_batch_then_a_smaller_window(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [large_task(), task(32, 32, 2), task(700, 760, 3, "all")]
    expected = solve(DeepEngine.open(windows(tiny_weights)), *tasks)
    engine = DeepEngine.open(windows(tiny_weights, batch=4))
    asked = fail_above(engine, 300_000, monkeypatch)
    for alpha, wanted in zip(solve(engine, *tasks), expected, strict=True):
        assert np.abs(alpha - wanted).max() <= TOLERANCE["cpu", "float32"]
    solver = solver_of(engine)
    assert solver.batch == 1 and solver.window_px < 700 * 760
    assert asked[0] > asked[1] > 300_000  # the batch went first
    assert asked[-1] <= 300_000


def test_too_little_memory_for_the_smallest_window_is_an_error_and_not_a_loop(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = DeepEngine.open(windows(tiny_weights, batch=2))
    fail_above(engine, 10_000, monkeypatch)
    with pytest.raises(DeviceError, match="cpu has too little memory for a window") as caught:
        solve(engine, task(700, 760, 1007, "all"))
    assert caught.value.frame == 1007 and caught.value.hint


def test_other_errors_of_the_network_are_not_taken_for_too_little_memory(
    windowed: DeepEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> FloatImage:
        raise RuntimeError("expected scalar type Float but found Half")

    monkeypatch.setattr(solver_of(windowed), "_forward", broken)
    with pytest.raises(RuntimeError, match="expected scalar type"):
        solve(windowed, task(32, 32))


def test_dense_means_everything(tiny_weights: Path) -> None:
    """The whole picture is computed, however little of it is unknown."""
    one, areas = large_task(), {}
    for mode in ("windows", "dense"):
        engine = DeepEngine.open(windows(tiny_weights, mode=mode, max_window_px=270_000))
        seen = spy_on_windows(engine)
        (alpha,) = solve(engine, one)
        areas[mode] = sum(height * width for height, width in seen)
        unknown = one.trimap.labels == UNKNOWN
        difference = np.abs(alpha - dense_alpha(tiny_weights, one))[unknown]
        assert difference.max() <= TOLERANCE["cpu", "float32"]
    assert areas["dense"] > 704 * 768 and areas["windows"] < areas["dense"]
