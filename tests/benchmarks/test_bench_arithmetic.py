"""Operations counted and cross-checked by hand; the GPU's figures by the same code on a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.benchmarks.arithmetic import (
    convolution_flops,
    convolution_seconds,
    device_timing,
    matrix_peak,
    measure_arithmetic,
    solver_flops,
)
from tests.benchmarks.busy import Busy, covered
from tests.benchmarks.solver import SolverSettings, open_solver
from vfxmatte.bench.scene import Scene
from vfxmatte.network.dim import DECODER_CHANNELS, ENCODER_BLOCKS, DeepImageMatting, DimConfig

CPU = torch.device("cpu")


def by_hand(config: DimConfig, height: int, width: int) -> int:
    """2 · k² · channels in · channels out · pixels, layer by layer, from the paper's figure."""
    count, pixels, total = config.channels, height * width, 0
    fan_in = 4
    for level, block in enumerate(ENCODER_BLOCKS):
        for fan_out in block:
            total += 2 * 9 * fan_in * count(fan_out) * (pixels // 4**level)
            fan_in = count(fan_out)
    fc6 = count(config.fc6_channels)
    smallest = pixels // 4**5
    total += 2 * config.fc6_kernel**2 * fan_in * fc6 * smallest + 2 * fc6 * count(512) * smallest
    fan_in = count(512)
    for level, fan_out in zip(reversed(range(5)), DECODER_CHANNELS, strict=True):
        total += 2 * 25 * fan_in * count(fan_out) * (pixels // 4**level)
        fan_in = count(fan_out)
    total += 2 * 25 * fan_in * pixels
    refined = count(64)
    return total + 2 * 9 * (4 * refined + 2 * refined * refined + refined) * pixels


@pytest.mark.parametrize(
    "config",
    [
        DimConfig(width=0.0625, fc6_channels=64),
        DimConfig(width=0.125, fc6_kernel=3, fc6_channels=128, skips=True),
    ],
)
def test_operations_are_those_of_the_paper_s_layers(config: DimConfig) -> None:
    network = DeepImageMatting(config).eval()
    assert convolution_flops(network, 64, 96) == by_hand(config, 64, 96)
    assert convolution_flops(network, 1088, 1920) == by_hand(config, 1088, 1920)


def test_the_full_network_has_the_known_amount_of_work() -> None:
    """2.79 TFLOP for a 1080p frame with a 1×1 fourteenth layer and the refinement."""
    assert by_hand(DimConfig(), 1088, 1920) == pytest.approx(2.79e12, rel=0.02)


def test_sides_off_the_stride_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        convolution_flops(DeepImageMatting(DimConfig(width=0.0625)), 64, 100)


def test_a_plain_pass_does_the_padded_picture_s_work(tiny_weights: Path) -> None:
    plain = open_solver(SolverSettings(mode="plain", device="cpu", weights=tiny_weights))
    task = Scene(width=100, height=75, unknown_share=0.1).task()
    config = DimConfig(width=0.0625, fc6_channels=64)
    assert solver_flops(plain, [task]) == by_hand(config, 96, 128)


def test_work_without_arithmetic_is_none() -> None:
    assert solver_flops(lambda tasks: list(tasks), []) is None


def test_the_same_code_measures_a_small_network_here() -> None:
    network = DeepImageMatting(DimConfig(width=0.0625, fc6_channels=64))
    found = measure_arithmetic(
        network, CPU, torch.float32, window=(64, 64), batch=2, matrix_size=64, repeats=3
    ).as_dict()
    assert found["device"] == "cpu" and found["precision"] == "float32"
    assert len(found["matrix_seconds"]["raw"]) == len(found["forward_seconds"]["raw"]) == 3
    assert found["matrix_flops_per_s"] == pytest.approx(
        2 * 64**3 / found["matrix_seconds"]["median"]
    )
    assert found["forward_flops"] == 2 * by_hand(network.config, 64, 64)
    share = found["forward_flops_per_s"] / found["matrix_flops_per_s"]
    assert found["forward_share_of_peak"] == pytest.approx(share)
    assert found["convolution_flops_per_s"] > 0 and found["convolution_share_of_peak"] > 0


def test_convolutions_are_a_part_of_the_forward() -> None:
    network = torch.nn.Sequential(torch.nn.Conv2d(4, 8, 3), torch.nn.ReLU())
    assert convolution_seconds(network, torch.zeros(1, 4, 64, 64)) > 0
    assert convolution_seconds(torch.nn.ReLU(), torch.zeros(1, 4, 64, 64)) == 0


def test_device_timing_repeats_after_a_warm_up() -> None:
    calls: list[int] = []
    timing = device_timing(lambda: calls.append(1), CPU, repeats=4, warmup=3)
    assert len(calls) == 7 and len(timing.seconds) == 4
    assert len(matrix_peak(CPU, torch.bfloat16, size=16, repeats=2).seconds) == 2


def test_moments_with_several_kernels_count_once() -> None:
    assert covered([]) == 0
    assert covered([(5, 7), (0, 2), (1, 3), (1.5, 2.5), (3, 4)]) == 6


def test_a_recording_finds_work_that_was_done() -> None:
    with Busy("cpu") as busy:
        for _ in range(20):
            torch.randn(64, 64) @ torch.randn(64, 64)
    assert busy.seconds > 0
    with Busy("cpu") as idle:
        pass
    assert idle.seconds < busy.seconds
