"""The sparse way to run the network: exactly the dense result, at the cost of what is unknown."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from tests.engine_tasks import TOLERANCE, dense_alpha, large_task, settings_of, solve, task
from vfxmatte.engines.deep import DeepEngine
from vfxmatte.engines.protocol import Task
from vfxmatte.engines.sparse import FAST_REACH_PX, SparseSolver
from vfxmatte.errors import DeviceError
from vfxmatte.network.course import CourseConfig
from vfxmatte.network.dim import DeepImageMatting, DimConfig
from vfxmatte.network.dim_at_pixels import DeviceLevel, SparseNetwork, device_levels
from vfxmatte.network.reach import PixelPyramid, pixel_pyramid
from vfxmatte.types import UNKNOWN


def network(seed: int = 1, kind: type[DimConfig] = DimConfig, **config: Any) -> DeepImageMatting:
    """A random network whose refinement does something, and whose alpha is not all clamped."""
    torch.manual_seed(seed)
    made = kind(**{"width": 0.125, "fc6_channels": 64, **config}).build().eval()
    if made.refinement is not None:
        torch.nn.init.normal_(made.refinement.residual.weight, std=0.05)
    for parameter in made.decoder.alpha.parameters():
        parameter.data.mul_(0.1)
    return made.requires_grad_(False)


def picture(
    unknown: NDArray[np.bool_], seed: int = 3, priors: int = 0, *, is_half_flat: bool = True
) -> NDArray[np.float32]:
    """(H, W, 4 + priors): random colours, one half of it flat, the trimap, random priors."""
    values = np.random.default_rng(seed).random((*unknown.shape, 4 + priors), np.float32)
    if is_half_flat:
        values[:, unknown.shape[1] // 2 :, :3] = 0.5  # where many activations are equal
    values[..., 3] = np.where(unknown, 0.5, values[..., 3].round())
    return values


def on_cpu(pyramid: PixelPyramid) -> list[DeviceLevel]:
    arrays = [array for level in pyramid.levels for array in level.arrays]
    return device_levels(pyramid, [torch.from_numpy(array) for array in arrays])


def both(
    made: DeepImageMatting,
    unknown: NDArray[np.bool_],
    reach_px: int | None = None,
    *,
    is_half_flat: bool = True,
) -> tuple[Tensor, Tensor]:
    """The sparse and the dense alpha of the unknown pixels, in the network's own precision."""
    is_double = next(made.parameters()).dtype == torch.float64
    values = picture(unknown, priors=made.config.priors, is_half_flat=is_half_flat)
    values = values.astype("f8" if is_double else "f4")
    reach = made.config.reach()
    reach = reach if reach_px is None else reach.at_most(reach_px)
    pyramid = pixel_pyramid(unknown, reach)
    full = pyramid.levels[0]
    listed = torch.from_numpy(values[full.y, full.x])
    sparse = SparseNetwork(made)(listed, on_cpu(pyramid), reach)
    dense = made(torch.from_numpy(values).permute(2, 0, 1)[None]).alpha[0, 0]
    return sparse, dense[torch.from_numpy(unknown)]


def spots(height: int, width: int, *places: tuple[int, int, int]) -> NDArray[np.bool_]:
    """(H, W) with squares of unknown pixels: (top, left, side)."""
    unknown = np.zeros((height, width), bool)
    for top, left, side in places:
        unknown[top : top + side, left : left + side] = True
    return unknown


CONFIGS: tuple[dict[str, Any], ...] = (
    {"skips": True},
    {"skips": False},
    {"skips": True, "fc6_kernel": 3},
    {"skips": False, "fc6_kernel": 7},
    {"skips": True, "refine": False},
    {"kind": CourseConfig, "skips": True},
    {"kind": CourseConfig, "refine": True, "prior": True},
    {"skips": True, "prior": True},
    {"skips": True, "prior": True, "refine": False},
)
REGIONS = {
    "one pixel": spots(480, 512, (250, 260, 1)),
    "a corner and an edge": spots(448, 480, (0, 0, 9), (440, 300, 8)),
    "far apart": spots(544, 640, (30, 40, 20), (500, 600, 11)),
    "everything": np.ones((64, 96), bool),
    "a band": spots(288, 320, (60, 60, 160)) & ~spots(288, 320, (80, 80, 120)),
}


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_exactly_the_dense_result(config: dict[str, Any], region: str) -> None:
    sparse, dense = both(network(**config), REGIONS[region])
    assert sparse.shape == dense.shape
    assert (sparse - dense).abs().max() <= 1e-4
    if len(dense) > 50:
        assert dense.std() > 1e-3, "a result that varies, or the comparison says nothing"


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(1, 9), columns=st.integers(1, 9))
@example(seed=400, rows=4, columns=7)
@example(seed=6197, rows=1, columns=1)
def test_exactly_the_dense_result_anywhere(seed: int, rows: int, columns: int) -> None:
    random = np.random.default_rng(seed)
    unknown = np.zeros((32 * rows, 32 * columns), bool)
    for _ in range(3):
        y, x = random.integers(32 * rows), random.integers(32 * columns)
        unknown[y : y + random.integers(1, 30), x : x + random.integers(1, 30)] = True
    made = network(seed, skips=seed % 2 == 0)
    sparse, dense = both(made, unknown)
    # Of maxima that are equal but for rounding, as in the flat half, another one may win: of 5,000
    # pictures one in 700 differs by more than 1e-4, one by 2.6e-3 …
    assert (sparse - dense).abs().max() <= 1e-2
    # … and where nothing is flat, float64 tells all of them apart.
    sparse, dense = both(made.double(), unknown, is_half_flat=False)
    assert (sparse - dense).abs().max() <= 1e-9


def test_no_pixel_less_would_do() -> None:
    """The outermost listed ring is seen: the reach is not longer than it must be by much."""
    made, unknown = network(skips=True), REGIONS["one pixel"]
    errors = []
    for reach_px in (40, 120, 188):
        sparse, dense = both(made, unknown, reach_px)
        errors.append(float((sparse - dense).abs().max()))
    assert errors[0] > 1e-6, "a short reach must be seen in the result"
    assert errors[0] >= errors[1] >= errors[2]


def test_the_result_does_not_depend_on_what_was_solved_before() -> None:
    """Memory is used again from call to call."""
    made = network(skips=True)
    runner = SparseNetwork(made)
    reach = made.config.reach()

    def run(unknown: NDArray[np.bool_]) -> Tensor:
        pyramid = pixel_pyramid(unknown, reach)
        full = pyramid.levels[0]
        listed = torch.from_numpy(picture(unknown)[full.y, full.x])
        return runner(listed, on_cpu(pyramid), reach)

    small, large = spots(128, 128, (60, 60, 5)), np.ones((160, 160), bool)
    first = run(small)
    run(large)
    assert torch.equal(run(small), first)


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    """Chunks of a shot computed on other machines are the same pixels."""
    made, unknown = network(skips=True), REGIONS["a band"]
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(both(made, unknown)[0])
    finally:
        torch.set_num_threads(before)
    assert torch.equal(results[0], results[1]) and torch.equal(results[0], results[2])


def test_batch_norms_are_to_be_folded_first() -> None:
    with pytest.raises(ValueError, match="fold"):
        SparseNetwork(DeepImageMatting(DimConfig(width=0.125, batch_norm=True)))


# -- the solver -----------------------------------------------------------------------------------


def solver_of(engine: DeepEngine) -> SparseSolver:
    assert isinstance(engine.solver, SparseSolver)
    return engine.solver


def differences(weights: Path, one: Task, alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    unknown = one.trimap.labels == UNKNOWN
    return np.abs(alpha - dense_alpha(weights, one))[unknown]


@pytest.mark.parametrize("size", [(45, 57), (32, 31), (1, 3), (33, 300)])
def test_odd_sizes_are_padded_by_reflection(tiny_weights: Path, size: tuple[int, int]) -> None:
    one = task(*size, kind="all")
    (alpha,) = solve(DeepEngine.open(settings_of(tiny_weights)), one)
    if min(size) >= 32:  # what the reference can pad
        assert differences(tiny_weights, one, alpha).max() <= TOLERANCE["cpu", "float32"]
    windows = DeepEngine.open(settings_of(tiny_weights, mode="windows"))
    np.testing.assert_allclose(alpha, solve(windows, one)[0], atol=TOLERANCE["cpu", "float32"])


@pytest.mark.parametrize(("most_px", "count"), [(None, 1), (200_000, 2), (1, 3)])
def test_pieces_give_the_dense_result(tiny_weights: Path, most_px: int | None, count: int) -> None:
    one = large_task()
    engine = DeepEngine.open(settings_of(tiny_weights, max_window_px=most_px))
    pieces = count_pieces(solver_of(engine))
    (alpha,) = solve(engine, one)
    assert differences(tiny_weights, one, alpha).max() <= TOLERANCE["cpu", "float32"]
    assert len(pieces) == count


def count_pieces(solver: SparseSolver) -> list[int]:
    """How many pixels each piece depends on that is solved from now on."""
    seen: list[int] = []
    inner = solver._network

    class Spy(SparseNetwork):
        def __init__(self) -> None: ...

        def __call__(self, picture: Tensor, levels: Any, reach: Any) -> Tensor:
            seen.append(len(picture))
            return inner(picture, levels, reach)

        def free_memory(self) -> None:
            inner.free_memory()

    solver._network = Spy()
    return seen


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.lists(st.sampled_from([(32, 32), (33, 57), (64, 32)]), min_size=1, max_size=5),
    kinds=st.data(),
)
def test_companions_never_change_a_matte(
    tiny_weights: Path, sizes: list[tuple[int, int]], kinds: st.DataObject
) -> None:
    engine = DeepEngine.open(settings_of(tiny_weights))
    kind = st.sampled_from(["band", "all", "none"])
    tasks = [task(*size, number, kinds.draw(kind)) for number, size in enumerate(sizes)]
    for together, one in zip(solve(engine, *tasks), tasks, strict=True):
        np.testing.assert_array_equal(together, solve(engine, one)[0])


def test_the_fast_mode_looks_less_far(tiny_weights: Path) -> None:
    one = large_task()
    engines = [DeepEngine.open(settings_of(tiny_weights, mode=m)) for m in ("exact", "fast")]
    listed = [count_pieces(solver_of(engine)) for engine in engines]
    exact, fast = (solve(engine, one)[0] for engine in engines)
    assert listed[1][0] < 0.6 * listed[0][0]
    assert engines[1].describe()["reach_px"] == FAST_REACH_PX
    unknown = one.trimap.labels == UNKNOWN
    assert 0 < np.abs(exact - fast)[unknown].max() < 0.1


def fail_above(
    solver: SparseSolver, most_px: int, monkeypatch: pytest.MonkeyPatch, *, after: int = 0
) -> list[int]:
    """Let the device run out of memory above so many pixels, after so many calls; returns what
    was asked for."""
    asked: list[int] = []
    calls = itertools.count()
    solve_piece = solver._solve

    def limited(piece: Any) -> Tensor:
        asked.append(len(piece.pyramid.levels[0]))
        if next(calls) >= after and asked[-1] > most_px:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return solve_piece(piece)

    monkeypatch.setattr(solver, "_solve", limited)
    return asked


def test_out_of_memory_on_any_frame_means_smaller_pieces(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [large_task(), task(32, 32, 2), task(700, 760, 3, "all"), task(48, 64, 4)]
    expected = solve(DeepEngine.open(settings_of(tiny_weights)), *tasks)
    for after in (0, 2):
        engine = DeepEngine.open(settings_of(tiny_weights))
        asked = fail_above(solver_of(engine), 400_000, monkeypatch, after=after)
        for alpha, wanted in zip(solve(engine, *tasks), expected, strict=True):
            assert np.abs(alpha - wanted).max() <= TOLERANCE["cpu", "float32"]
        assert max(asked) > 400_000 and asked[-1] <= 400_000
        assert solver_of(engine).most_px < 700 * 760


def test_too_little_memory_for_the_smallest_piece_is_an_error_and_not_a_loop(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = DeepEngine.open(settings_of(tiny_weights))
    fail_above(solver_of(engine), 1000, monkeypatch)
    with pytest.raises(DeviceError, match="cpu has too little memory for") as caught:
        solve(engine, task(200, 220, 1007, "all"))
    assert caught.value.frame == 1007 and caught.value.hint


def test_other_errors_of_the_network_are_not_taken_for_too_little_memory(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = DeepEngine.open(settings_of(tiny_weights))

    def broken(*_: object) -> Tensor:
        raise RuntimeError("expected scalar type Float but found Half")

    monkeypatch.setattr(solver_of(engine), "_solve", broken)
    with pytest.raises(RuntimeError, match="expected scalar type"):
        solve(engine, task(32, 32))


def test_without_anything_unknown_the_network_is_not_asked(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = DeepEngine.open(settings_of(tiny_weights))

    def never(*_: object) -> Tensor:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(solver_of(engine), "_solve", never)
    for alpha in solve(engine, task(48, 64, kind="none"), task(33, 57, kind="none")):
        assert set(np.unique(alpha)) <= {0.0, 1.0}


class Late:
    """A device that, like a GPU, goes on after it was called: what it gave is there only when its
    mark has been waited for."""

    ahead, workers = 1, 3

    def __init__(self) -> None:
        self.asked: list[tuple[Tensor, Tensor]] = []
        self.marks = 0

    def room(self, rows: int, columns: int) -> Tensor:
        return torch.empty(rows, columns)

    def send(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [tensor.clone() for tensor in tensors]

    def fetch(self, tensor: Tensor) -> Tensor:
        there = torch.full(tensor.shape, float("nan"))
        self.asked.append((there, tensor.float().clone()))
        return there

    def mark(self) -> Late:
        self.marks += 1
        return self

    def synchronize(self) -> None:
        for there, tensor in self.asked:
            there.copy_(tensor)
        self.asked.clear()


def test_a_closed_engine_holds_no_memory_and_can_go_on(tiny_weights: Path) -> None:
    one = task(48, 64)
    engine = DeepEngine.open(settings_of(tiny_weights))
    (before,) = solve(engine, one)
    engine.close()
    assert not solver_of(engine)._network._room._buffers
    np.testing.assert_array_equal(solve(engine, one)[0], before)


def test_a_device_that_answers_late_gives_the_same(tiny_weights: Path) -> None:
    """Frames are launched one ahead, and awaited before they are put together."""
    tasks = [task(48, 64, n, kind) for n, kind in enumerate(["band", "none", "all", "band"])]
    expected = solve(DeepEngine.open(settings_of(tiny_weights)), *tasks)
    engine = DeepEngine.open(settings_of(tiny_weights))
    late = Late()
    solver_of(engine)._transfer = late
    mattes = engine.mattes(iter(tasks))
    first = next(mattes)
    assert late.marks == 2, "the second frame is under way when the first is given"
    alphas = [first.alpha, *(matte.alpha for matte in mattes)]
    for alpha, wanted in zip(alphas, expected, strict=True):
        np.testing.assert_array_equal(alpha, wanted)
