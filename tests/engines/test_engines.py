"""One suite over every engine of the registry, then what the network's engine does of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.engine_tasks import MODES, TOLERANCE, dense_alpha, settings_of, solve, task
from vfxmatte.engines import registry
from vfxmatte.engines.deep import DeepEngine, choose_device
from vfxmatte.engines.model import not_a_number, placed
from vfxmatte.engines.protocol import Engine, EngineSettings, Mode, Task
from vfxmatte.engines.registry import engine_names, open_engine
from vfxmatte.errors import DeviceError, UsageError, WeightsError
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, Matte

# -- every engine ---------------------------------------------------------------------------------


@pytest.fixture(
    params=[(n, mode) for n in engine_names() for mode in (MODES if n == "dim" else MODES[:1])],
    ids="-".join,
)
def engine(request: pytest.FixtureRequest, tiny_weights: Path) -> Iterator[Engine]:
    name, mode = request.param
    made = open_engine(settings_of(tiny_weights, name=name, mode=mode))
    yield made
    made.close()


def test_known_pixels_are_exactly_0_or_1(engine: Engine) -> None:
    one = task(48, 64)
    (alpha,) = solve(engine, one)
    labels = one.trimap.labels
    assert alpha.shape == labels.shape and alpha.dtype == np.float32
    assert (alpha[labels == BACKGROUND] == 0).all()
    assert (alpha[labels == FOREGROUND] == 1).all()
    if engine.describe()["engine"] != "trimap":
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

    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))
    registry.register("half", lambda _: Half())
    assert "half" in engine_names()
    (alpha,) = solve(open_engine(EngineSettings(name="half")), task(4, 4, kind="all"))
    assert pytest.approx(float(alpha.mean()), abs=0.01) == 0.5
    with pytest.raises(UsageError, match="'half' already"):
        registry.register("half", lambda _: Half())


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
        "engine": "dim", "weights": deep.model.info.sha256, "precision": "float32",
    }  # fmt: skip
    half = DeepEngine.open(settings_of(tiny_weights, precision="bfloat16"))
    fast = DeepEngine.open(settings_of(tiny_weights, mode="fast"))
    assert half.describe() != deep.describe() != fast.describe()
    for mode in ("windows", "dense"):  # the same mattes but for the last bits
        described = DeepEngine.open(settings_of(tiny_weights, mode=mode)).describe()
        assert described.items() > deep.describe().items() and described["mode"] == mode


@pytest.mark.parametrize("mode", ["exact", "windows", "dense"])
@pytest.mark.parametrize(("device", "precision"), TOLERANCE)
def test_every_mode_precision_and_device_stays_near_the_dense_result(
    tiny_weights: Path, device: str, precision: str, mode: Mode
) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        assert os.environ.get("FAIL_WITHOUT_CUDA") != "1", "a GPU was expected"
        pytest.skip("no GPU")
    one = task(96, 128)
    reference = dense_alpha(tiny_weights, one)
    chosen = settings_of(tiny_weights, device=device, precision=precision, mode=mode)
    engine = DeepEngine.open(chosen)
    assert engine.device.startswith(device)
    (alpha,) = solve(engine, one)
    unknown = one.trimap.labels == UNKNOWN
    assert np.abs(alpha - reference)[unknown].max() <= TOLERANCE[device, precision]
    assert reference[unknown].std() > 0.01


@pytest.mark.parametrize("mode", ["exact", "windows"])
def test_a_batch_on_a_gpu_is_as_each_frame_alone(tiny_weights: Path, mode: Mode) -> None:
    if not torch.cuda.is_available():
        assert os.environ.get("FAIL_WITHOUT_CUDA") != "1", "a GPU was expected"
        pytest.skip("no GPU")
    engine = DeepEngine.open(settings_of(tiny_weights, device="cuda", batch=4, mode=mode))
    tasks = [task(48, 64, number) for number in range(7)]
    for together, one in zip(solve(engine, *tasks), tasks, strict=True):
        np.testing.assert_array_equal(together, solve(engine, one)[0])


class Elsewhere(nn.Module):
    """A network that can be on a GPU that is not there."""

    def to(self, *args: Any, **kwargs: Any) -> Elsewhere:
        return self


def test_float32_is_not_rounded_on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch multiplies ten bits of them there, unless told otherwise; on a CPU nothing changes."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    for device, dtype in (("cpu", torch.float32), ("cuda", torch.float16)):
        placed(Elsewhere(), torch.device(device), dtype)
        assert torch.backends.cudnn.allow_tf32
    placed(Elsewhere(), torch.device("cuda"), torch.float32)
    assert not torch.backends.cudnn.allow_tf32


def test_on_a_cpu_a_matte_depends_on_its_own_pixels_alone(engine: Engine) -> None:
    """Other frames in between, and another order: the same bits."""
    tasks = [task(64, 96, number) for number in range(4)]
    forward = solve(engine, *tasks)
    backward = solve(engine, *reversed(tasks))[::-1]
    for one, other in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("mode", MODES)
def test_a_result_that_is_not_a_number_is_refused(tiny_weights: Path, mode: Mode) -> None:
    engine = DeepEngine.open(settings_of(tiny_weights, mode=mode))
    for parameter in engine.model.network.decoder.alpha.parameters():
        parameter.fill_(float("nan"))
    with pytest.raises(WeightsError, match="not a number in float32") as caught:
        solve(engine, task(32, 32, 1003))
    assert caught.value.frame == 1003 and caught.value.hint == "use other weights"
    in_bfloat16 = not_a_number(torch.bfloat16, frame=1003, path=tiny_weights)
    assert in_bfloat16.hint == "use other weights"  # its range is that of float32
    in_half = not_a_number(torch.float16, frame=1003, path=tiny_weights)
    assert "in float16" in str(in_half) and "bfloat16" in str(in_half.hint)


def test_a_gpu_that_vanishes_is_named_and_other_errors_stay_what_they_are(
    deep: DeepEngine,
) -> None:
    on_gpu = replace(deep.model, device=torch.device("cuda:0"))
    error = on_gpu.lost(RuntimeError("CUDA error: unspecified launch failure\nmore"), 1007)
    assert isinstance(error, DeviceError) and error.frame == 1007
    assert "cuda:0 failed: CUDA error: unspecified launch failure" in str(error)
    assert "finished frames are kept" in str(error)
    other = RuntimeError("expected scalar type Float but found Half")
    assert on_gpu.lost(other, 1007) is other and deep.model.lost(error, 1) is error


def test_closing_twice_is_harmless(tiny_weights: Path) -> None:
    engine = DeepEngine.open(settings_of(tiny_weights))
    engine.close()
    engine.close()
    assert next(engine.model.network.parameters()).device.type == "cpu"
