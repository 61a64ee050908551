"""One suite over every engine of the registry, then what the network's engine does of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vfxmatte.engines import base
from vfxmatte.engines.base import Engine, EngineSettings, Task, engine_names, open_engine
from vfxmatte.engines.deep import DeepEngine, choose_device
from vfxmatte.errors import DeviceError, UsageError, WeightsError
from vfxmatte.net.weights import load_weights
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Matte, Trimap

TOLERANCE: Mapping[tuple[str, str], float] = {
    # Largest difference of alpha to the same picture solved whole in float32 on a CPU.
    ("cpu", "float32"): 1e-5,  # the order of additions differs with the window's size
    ("cpu", "bfloat16"): 0.06,  # 8 bits of mantissa through some twenty layers
    ("cuda", "float32"): 2e-3,  # other kernels; TF32 is off
    ("cuda", "float16"): 0.02,  # 11 bits of mantissa
    ("cuda", "bfloat16"): 0.08,
}


def task(height: int, width: int, number: int = 1, kind: str = "band") -> Task:
    """A random picture with an unknown band down its middle, or all or nothing unknown."""
    image = np.random.default_rng(number).random((height, width, 3), np.float32)
    labels = np.full((height, width), UNKNOWN, np.uint8)
    if kind != "all":
        labels[:, : max(1, width // 3)] = BACKGROUND
        labels[:, 2 * width // 3 :] = FOREGROUND
    if kind == "none":
        labels[labels == UNKNOWN] = FOREGROUND
    return Task(image=image, trimap=Trimap(number=number, labels=labels, is_keyframe=True))


def solve(engine: Engine, *tasks: Task) -> list[FloatImage]:
    mattes = list(engine.mattes(iter(tasks)))
    assert [matte.number for matte in mattes] == [one.number for one in tasks]
    return [matte.alpha for matte in mattes]


def settings_of(weights: Path, **more: Any) -> EngineSettings:
    return EngineSettings(**{"weights": weights, "device": "cpu", **more})


# -- every engine ---------------------------------------------------------------------------------


@pytest.fixture(params=engine_names())
def engine(request: pytest.FixtureRequest, tiny_weights: Path) -> Iterator[Engine]:
    made = open_engine(settings_of(tiny_weights, name=request.param))
    yield made
    made.close()


def test_known_pixels_are_exactly_0_or_1(engine: Engine) -> None:
    one = task(48, 64)
    (alpha,) = solve(engine, one)
    labels = one.trimap.labels
    assert alpha.shape == labels.shape and alpha.dtype == np.float32
    assert (alpha[labels == BACKGROUND] == 0).all()
    assert (alpha[labels == FOREGROUND] == 1).all()
    assert alpha[labels == UNKNOWN].std() > 0


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (33, 57), (64, 64), (32, 1)])
def test_any_size_and_everything_unknown(engine: Engine, size: tuple[int, int]) -> None:
    (alpha,) = solve(engine, task(*size, kind="all"))
    assert alpha.shape == size
    assert np.isfinite(alpha).all() and alpha.min() >= 0 and alpha.max() <= 1


def test_without_anything_unknown_alpha_is_the_trimap(engine: Engine) -> None:
    one = task(33, 57, kind="none")
    (alpha,) = solve(engine, one)
    np.testing.assert_array_equal(alpha, one.trimap.labels == FOREGROUND)


def test_no_task_no_matte(engine: Engine) -> None:
    assert solve(engine) == []


def test_frames_together_are_as_each_alone(engine: Engine) -> None:
    tasks = [
        task(48, 64, 1), task(48, 64, 2, "none"), task(33, 57, 3), task(48, 64, 4, "all"),
        task(1, 1, 5, "all"), task(48, 64, 6),
    ]  # fmt: skip
    for together, one in zip(solve(engine, *tasks), tasks, strict=True):
        (alone,) = solve(engine, one)
        np.testing.assert_array_equal(together, alone)


def test_the_same_twice(engine: Engine) -> None:
    np.testing.assert_array_equal(*solve(engine, task(48, 64), task(48, 64)))


def test_it_does_not_run_far_ahead(engine: Engine) -> None:
    taken: list[int] = []

    def tasks() -> Iterator[Task]:
        for number in range(200):
            taken.append(number)
            yield task(32, 32, number)

    mattes = engine.mattes(tasks())
    assert next(mattes).number == 0
    assert len(taken) <= 34


def test_it_describes_itself_in_plain_words(engine: Engine) -> None:
    described = dict(engine.describe())
    assert described["engine"] in engine_names()
    assert all(isinstance(value, str | int | float | bool) for value in described.values())
    assert described == engine.describe()
    assert engine.device


# -- the registry ---------------------------------------------------------------------------------


def test_engines_stand_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    class Half:
        device = "cpu"

        def describe(self) -> Mapping[str, Any]:
            return {"engine": "half"}

        def mattes(self, tasks: Iterator[Task]) -> Iterator[Matte]:
            for one in tasks:
                alpha = one.trimap.labels / np.float32(255)
                yield Matte(number=one.number, alpha=alpha.astype(np.float32))

        def close(self) -> None:
            pass

    monkeypatch.setattr(base, "_REGISTRY", dict(base._REGISTRY))
    base.register("half", lambda _: Half())
    assert "half" in engine_names()
    (alpha,) = solve(open_engine(EngineSettings(name="half")), task(4, 4, kind="all"))
    assert pytest.approx(float(alpha.mean()), abs=0.01) == 0.5
    with pytest.raises(UsageError, match="'half' already"):
        base.register("half", lambda _: Half())


def test_an_unknown_engine_is_refused_with_near_names() -> None:
    with pytest.raises(UsageError, match="no engine 'dimm'") as caught:
        open_engine(EngineSettings(name="dimm"))
    assert "dim" in str(caught.value.hint)


@pytest.mark.parametrize(
    "wrong", [{"batch": 0}, {"batch": -1}, {"max_window_px": 0}, {"precision": "int8"}]
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(wrong))}.*{next(iter(wrong.values()))}"):
        EngineSettings(**wrong)


def test_a_task_s_picture_and_trimap_have_one_size() -> None:
    trimap = task(8, 8).trimap
    for image in (np.zeros((8, 9, 3), np.float32), np.zeros((8, 8, 3), np.float64)):
        with pytest.raises(ValueError, match="does not fit the trimap"):
            Task(image=image, trimap=trimap)


# -- Deep Image Matting: devices ------------------------------------------------------------------


@pytest.fixture
def deep(tiny_weights: Path) -> Iterator[DeepEngine]:
    engine = DeepEngine.open(settings_of(tiny_weights))
    yield engine
    engine.close()


@pytest.mark.parametrize("name", ["banana", "", "mps", "cuda:x"])
def test_unknown_devices_are_refused(name: str) -> None:
    with pytest.raises(DeviceError) as caught:
        choose_device(name)
    assert repr(name) in str(caught.value) or name in str(caught.value)
    assert "cpu" in str(caught.value.hint)


def test_a_gpu_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, tiny_weights: Path
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="cuda was asked for, and torch sees 0 GPUs") as caught:
        DeepEngine.open(settings_of(tiny_weights, device="cuda"))
    assert "--device cpu" in str(caught.value)
    assert choose_device("auto") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match="cuda:1 was asked for, and torch sees 1 GPU"):
        choose_device("cuda:1")


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such weights file") as caught:
        DeepEngine.open(settings_of(tmp_path / "lost.safetensors"))
    assert "lost.safetensors" in str(caught.value)


def test_the_description_tells_weights_and_precision(deep: DeepEngine, tiny_weights: Path) -> None:
    assert deep.describe() == {
        "engine": "dim", "weights": deep.info.sha256, "precision": "float32",
    }  # fmt: skip
    half = DeepEngine.open(settings_of(tiny_weights, precision="bfloat16"))
    assert half.describe() != deep.describe()


@pytest.mark.parametrize(
    ("device", "precision"), [key for key in TOLERANCE if key != ("cpu", "float32")]
)
def test_other_precisions_and_devices_stay_near(
    tiny_weights: Path, device: str, precision: str
) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        assert os.environ.get("FAIL_WITHOUT_CUDA") != "1", "a GPU was expected"
        pytest.skip("no GPU")
    one = task(96, 128)
    reference = dense_alpha(tiny_weights, one)
    engine = DeepEngine.open(settings_of(tiny_weights, device=device, precision=precision))
    assert engine.device.startswith(device)
    (alpha,) = solve(engine, one)
    unknown = one.trimap.labels == UNKNOWN
    assert np.abs(alpha - reference)[unknown].max() <= TOLERANCE[device, precision]
    assert reference[unknown].std() > 0.01


def test_a_batch_on_a_gpu_is_as_each_frame_alone(tiny_weights: Path) -> None:
    if not torch.cuda.is_available():
        assert os.environ.get("FAIL_WITHOUT_CUDA") != "1", "a GPU was expected"
        pytest.skip("no GPU")
    engine = DeepEngine.open(settings_of(tiny_weights, device="cuda", batch=4))
    tasks = [task(48, 64, number) for number in range(7)]
    for together, one in zip(solve(engine, *tasks), tasks, strict=True):
        np.testing.assert_array_equal(together, solve(engine, one)[0])


# -- Deep Image Matting: tiles, batches, memory ---------------------------------------------------


def dense_alpha(weights: Path, one: Task) -> FloatImage:
    """The picture padded and solved in one go, without the engine."""
    network, _ = load_weights(weights)
    height, width = one.trimap.labels.shape
    trimap = one.trimap.labels / np.float32(255)
    trimap[one.trimap.labels == UNKNOWN] = 0.5
    stacked = np.concatenate((one.image, trimap[:, :, None]), 2)
    rows, columns = -height % 32, -width % 32
    stacked = np.pad(stacked, ((0, rows), (0, columns), (0, 0)), mode="reflect")
    with torch.inference_mode():
        alpha = network(torch.from_numpy(stacked).permute(2, 0, 1)[None]).alpha
    return np.asarray(alpha[0, 0, :height, :width].numpy(), np.float32)


def large_task() -> Task:
    """Two small unknown places, far from each other in a picture of several windows."""
    one = task(700, 760, kind="none")
    labels = one.trimap.labels.copy()
    labels[300:320, 330:350] = UNKNOWN
    labels[640:660, 700:720] = UNKNOWN
    labels[0:10, 0:10] = UNKNOWN
    return Task(image=one.image, trimap=Trimap(number=1, labels=labels, is_keyframe=True))


def test_small_windows_share_a_batch_and_a_large_one_fills_it(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU: the batch follows from the window's size, whoever is there to share it."""
    engine = DeepEngine.open(settings_of(tiny_weights))
    engine.batch, engine.batch_px = 4, 3 * 64 * 64
    sizes: list[tuple[int, int]] = []
    network = engine.network

    def spy(batch: torch.Tensor) -> Any:
        sizes.append((batch.shape[0], batch.shape[-1]))
        return network(batch)

    monkeypatch.setattr(engine, "network", spy)
    small, large = [task(64, 64, number, "all") for number in range(4)], task(64, 128, 9, "all")
    together = solve(engine, *small, large, *small)
    assert sizes == [(3, 64), (3, 64), (1, 128), (3, 64)]
    for alpha, one in zip(together, [*small, large, *small], strict=True):
        np.testing.assert_array_equal(alpha, solve(engine, one)[0])


@pytest.mark.parametrize("batch", [1, 3])
def test_tiles_and_batches_give_the_dense_result(tiny_weights: Path, batch: int) -> None:
    one = large_task()
    engine = DeepEngine.open(settings_of(tiny_weights, max_window_px=270_000, batch=batch))
    windows = spy_on_windows(engine)
    (alpha,) = solve(engine, one)
    assert len(windows) == 3 and max(h * w for h, w in windows) <= 270_000
    unknown = one.trimap.labels == UNKNOWN
    difference = np.abs(alpha - dense_alpha(tiny_weights, one))[unknown]
    assert difference.max() <= TOLERANCE["cpu", "float32"]


def test_odd_sizes_are_padded_by_reflection(deep: DeepEngine, tiny_weights: Path) -> None:
    one = task(45, 57, kind="all")
    (alpha,) = solve(deep, one)
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
    engine = DeepEngine.open(settings_of(tiny_weights, batch=batch))
    kind = st.sampled_from(["band", "all", "none"])
    tasks = [task(*size, number, kinds.draw(kind)) for number, size in enumerate(sizes)]
    for together, one in zip(solve(engine, *tasks), tasks, strict=True):
        np.testing.assert_array_equal(together, solve(engine, one)[0])


def spy_on_windows(engine: DeepEngine) -> list[tuple[int, int]]:
    """The size of every window that the network sees from now on."""
    seen: list[tuple[int, int]] = []
    forward = engine._forward

    def spy(windows: list[FloatImage]) -> FloatImage:
        seen.extend((w.shape[0], w.shape[1]) for w in windows)
        return forward(windows)

    engine._forward = spy  # type: ignore[method-assign]
    return seen


def test_a_trimap_without_unknown_needs_no_network(
    deep: DeepEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: object) -> FloatImage:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(deep, "_forward", never)
    for alpha in solve(deep, task(48, 64, kind="none"), task(33, 57, kind="none")):
        assert set(np.unique(alpha)) <= {0.0, 1.0}


def fail_above(engine: DeepEngine, most_px: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the device run out of memory above so many pixels; returns what was asked for."""
    asked: list[int] = []
    forward = engine._forward

    def limited(windows: list[FloatImage]) -> FloatImage:
        asked.append(engine.batch * windows[0].shape[0] * windows[0].shape[1])
        if asked[-1] > most_px:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(windows)

    monkeypatch.setattr(engine, "_forward", limited)
    return asked


def test_out_of_memory_means_a_smaller_batch_then_a_smaller_window(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [large_task(), task(32, 32, 2), task(700, 760, 3, "all")]
    expected = solve(DeepEngine.open(settings_of(tiny_weights)), *tasks)
    engine = DeepEngine.open(settings_of(tiny_weights, batch=4))
    asked = fail_above(engine, 300_000, monkeypatch)
    for alpha, wanted in zip(solve(engine, *tasks), expected, strict=True):
        assert np.abs(alpha - wanted).max() <= TOLERANCE["cpu", "float32"]
    assert engine.batch == 1 and engine.window_px < 700 * 760
    assert asked[0] > asked[1] > 300_000  # the batch went first
    assert asked[-1] <= 300_000


def test_too_little_memory_for_the_smallest_window_is_an_error_and_not_a_loop(
    tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = DeepEngine.open(settings_of(tiny_weights, batch=2))
    fail_above(engine, 10_000, monkeypatch)
    with pytest.raises(DeviceError, match="cpu has too little memory for a window") as caught:
        solve(engine, task(700, 760, 1007, "all"))
    assert caught.value.frame == 1007 and caught.value.hint


def test_other_errors_of_the_network_are_not_taken_for_too_little_memory(
    deep: DeepEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object) -> FloatImage:
        raise RuntimeError("expected scalar type Float but found Half")

    monkeypatch.setattr(deep, "_forward", broken)
    with pytest.raises(RuntimeError, match="expected scalar type"):
        solve(deep, task(32, 32))


def test_a_result_that_is_not_a_number_is_refused(deep: DeepEngine) -> None:
    with torch.no_grad():
        deep.network.decoder.alpha.bias.fill_(float("nan"))  # type: ignore[union-attr]
    with pytest.raises(WeightsError, match="not a number in float32") as caught:
        solve(deep, task(32, 32, 1003))
    assert caught.value.frame == 1003 and "bfloat16" in str(caught.value.hint)


def test_on_a_cpu_a_window_s_result_depends_on_its_pixels_alone(deep: DeepEngine) -> None:
    """Other frames in between, and another order: the same bits."""
    tasks = [task(64, 96, number) for number in range(4)]
    forward = solve(deep, *tasks)
    backward = solve(deep, *reversed(tasks))[::-1]
    for one, other in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(one, other)


def test_closing_twice_is_harmless(tiny_weights: Path) -> None:
    engine = DeepEngine.open(settings_of(tiny_weights))
    engine.close()
    engine.close()
    assert next(engine.network.parameters()).device.type == "cpu"
