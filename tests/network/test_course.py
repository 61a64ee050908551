"""The course network: its layers, its reach, its weights, and that every way to run it agrees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vfxmatte.engines.protocol import EngineSettings, Task
from vfxmatte.engines.registry import open_engine
from vfxmatte.errors import WeightsError
from vfxmatte.exports.stages import (
    Stage1,
    pool_alone,
    pool_with_indices,
    unpool_by_comparison,
    unpool_by_indices,
)
from vfxmatte.network.course import CourseConfig, CourseMatting
from vfxmatte.network.dim import STRIDE, DimConfig
from vfxmatte.network.weights import load_weights, save_weights
from vfxmatte.types import UNKNOWN, FloatImage, Trimap


def varied_network() -> CourseMatting:
    """A small one whose alpha is neither flat nor clamped."""
    torch.manual_seed(4)
    network = CourseConfig(width=0.125).build().eval().requires_grad_(False)
    network.decoder.alpha.weight.mul_(0.3)
    assert network.decoder.alpha.bias is not None
    network.decoder.alpha.bias.fill_(0.4)
    return network


def test_the_network_is_the_published_one() -> None:
    with torch.device("meta"):
        network = CourseConfig().build()
    convolutions = {
        name: tuple(module.weight.shape)
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Conv2d)
    }
    encoder = [n for n in convolutions if n.startswith("encoder.blocks")]
    decoder = [n for n in convolutions if n.startswith("decoder")]
    assert (len(encoder), len(decoder), len(convolutions)) == (13, 6, 20)
    assert convolutions["encoder.adapter"] == (3, 4, 1, 1)
    assert convolutions["encoder.blocks.0.0.conv"] == (64, 3, 3, 3)
    assert convolutions["decoder.steps.0.conv"] == (256, 512, 5, 5)
    assert convolutions["decoder.alpha"] == (1, 64, 5, 5)
    picture = torch.zeros((1, 4, 64, 96), device="meta")
    lowest, skips, indices = network.encoder(picture)
    assert lowest.shape == (1, 512, 4, 6)
    assert len(skips) == len(indices) == len(network.decoder.steps) == 4


def test_parameters_keep_their_names() -> None:
    """Weights and checkpoints of earlier versions must still fit."""
    usual = DimConfig(width=0.0625).build().state_dict()
    short = CourseConfig(width=0.0625).build().state_dict()
    assert "encoder.fc6.conv.weight" in usual and "decoder.steps.4.conv.weight" in usual
    assert set(short) - set(usual) == {"encoder.adapter.weight", "encoder.adapter.bias"}
    missing = {name.rpartition(".")[0] for name in set(usual) - set(short)}
    assert {name.split(".conv")[0] for name in missing if "refinement" not in name} == {
        "encoder.fc6", "decoder.steps.4",
    }  # fmt: skip


def test_it_has_no_fourteenth_convolution() -> None:
    with pytest.raises(ValueError, match="fc6_kernel must be one of 0, found 3"):
        CourseConfig(fc6_kernel=3)


def test_no_pixel_sees_beyond_the_halo() -> None:
    made = varied_network()
    furthest, halo = made.config.reach().levels[0].encoder_in, made.config.halo_px()
    assert 0 <= halo - furthest < STRIDE
    picture = torch.rand(
        1, 4, 2 * halo, 2 * halo, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    reach = 0
    for row in (halo - 1, halo):
        (gradient,) = torch.autograd.grad(made(picture).stage1[0, 0, row, halo], picture)
        rows = torch.nonzero(gradient[0].abs().sum((0, 2)))[:, 0]
        reach = max(reach, row - int(rows.min()), int(rows.max()) - row)
    assert reach == furthest


@pytest.mark.parametrize(
    ("pool", "unpool"),
    [(pool_with_indices, unpool_by_indices), (pool_alone, unpool_by_comparison)],
)
def test_exporters_follow_it(pool: Any, unpool: Any) -> None:
    network = varied_network()
    picture = torch.rand((1, 4, 64, 96), generator=torch.Generator().manual_seed(1))
    normalised = (picture - network.mean) / network.std
    expected = network(picture).raw
    assert expected.std() > 1e-3
    torch.testing.assert_close(Stage1(network, pool, unpool)(normalised), expected)


LABELS = np.zeros((150, 170), np.uint8)
LABELS[40:110, 50:120] = 255
LABELS[30:60, 40:130] = UNKNOWN


def solve(weights: Path, mode: Any) -> FloatImage:
    """Return the engine's alpha of a noisy picture with the trimap LABELS."""
    image = np.random.default_rng(1).random((*LABELS.shape, 3), np.float32)
    settings = EngineSettings(weights=weights, device="cpu", mode=mode, max_window_px=160 * 160)
    engine = open_engine(settings)
    trimap = Trimap(number=1, labels=LABELS, is_keyframe=True)
    (matte,) = engine.mattes([Task(image=image, trimap=trimap)])
    engine.close()
    return matte.alpha


def test_the_engine_runs_it_in_every_mode(tmp_path: Path) -> None:
    weights = tmp_path / "course.safetensors"
    save_weights(weights, varied_network(), name="course")
    dense = solve(weights, "dense")
    assert dense[LABELS == UNKNOWN].std() > 1e-3
    for mode in ("exact", "windows"):
        np.testing.assert_allclose(solve(weights, mode), dense, atol=1e-4)


def rewrite(weights: Path, **changes: Any) -> None:
    """Change a sidecar; None removes an entry."""
    sidecar = weights.with_suffix(".json")
    record = {**json.loads(sidecar.read_text()), **changes}
    record = {key: value for key, value in record.items() if value is not None}
    sidecar.write_text(json.dumps(record))


def test_the_sidecar_names_the_architecture(tmp_path: Path) -> None:
    for config in (CourseConfig(width=0.0625), DimConfig(width=0.0625)):
        weights = tmp_path / "w.safetensors"
        save_weights(weights, config.build(), name="w")
        record = json.loads(weights.with_suffix(".json").read_text())
        assert record["architecture"] == config.architecture
        network, info = load_weights(weights)
        assert type(network) is type(config.build()) and info.network == network.config == config


def test_sidecars_of_earlier_versions_are_still_read(tmp_path: Path) -> None:
    weights = tmp_path / "course.safetensors"
    save_weights(weights, varied_network(), name="course")
    expected = solve(weights, "exact")
    fields = {**CourseConfig(width=0.125).as_dict(), "pools": 4, "adapter": True}
    rewrite(weights, architecture=None, network=fields)
    assert load_weights(weights)[1].network == CourseConfig(width=0.125)
    np.testing.assert_array_equal(solve(weights, "exact"), expected)

    usual = tmp_path / "usual.safetensors"
    save_weights(usual, DimConfig(width=0.0625).build(), name="usual")
    fields = {**DimConfig(width=0.0625).as_dict(), "pools": 5, "adapter": False}
    rewrite(usual, architecture=None, network=fields)
    assert load_weights(usual)[1].network == DimConfig(width=0.0625)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"architecture": "transformer"}, "no architecture 'transformer'; there are dim, course"),
        ({"architecture": ["dim"]}, "unhashable"),
        ({"architecture": None, "network": {"pools": 4}}, "no network with 4 poolings"),
        ({"architecture": None, "network": {"pools": [4]}}, "unhashable"),
        ({"network": {"colour": 4}}, "colour"),
    ],
)
def test_other_networks_are_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    weights = tmp_path / "w.safetensors"
    save_weights(weights, CourseConfig(width=0.0625).build(), name="w")
    rewrite(weights, **changes)
    with pytest.raises(WeightsError, match=rf"cannot be understood: .*{words}.*w\.json"):
        load_weights(weights)
