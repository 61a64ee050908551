"""Automatic trimaps: the shape mask, the network, its weights, and what is said of bad pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.portrait_fixtures import colour_network, save_colour_weights
from vfxmatte.errors import TrimapError, UsageError, WeightsError
from vfxmatte.keyframes.portrait import (
    LEAST_CONTRAST,
    PORTRAIT_WEIGHTS,
    PortraitGuess,
    PortraitMatter,
    doubts_about,
    keyframe_labels,
)
from vfxmatte.keyframes.portrait_network import PortraitConfig, PortraitMatting
from vfxmatte.keyframes.portrait_weights import load_portrait_weights, read_portrait_info
from vfxmatte.keyframes.shape_mask import fit, mean_matte, overlap, placed
from vfxmatte.network.dim import DeepImageMatting, DimConfig
from vfxmatte.network.weights import load_weights, save_weights
from vfxmatte.network.weights_file import save_folded
from vfxmatte.types import FloatImage


def discs(*places: tuple[float, float, float], size: tuple[int, int] = (96, 128)) -> FloatImage:
    """(H, W, 3) float32: soft warm discs (y, x, radius) over a cool ground, with a fine grain."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    alpha = np.zeros(size, np.float32)
    for row, column, radius in places:
        alpha = np.maximum(alpha, np.clip((radius - np.hypot(y - row, x - column)) / 3, 0, 1))
    warm, cool = np.float32([0.8, 0.45, 0.2]), np.float32([0.15, 0.35, 0.75])
    grain = np.random.default_rng(5).normal(0, 0.01, (*size, 3)).astype(np.float32)
    mixed: FloatImage = alpha[..., None] * warm + (1 - alpha[..., None]) * cool + grain
    return mixed


@pytest.fixture(scope="module")
def matter() -> PortraitMatter:
    return PortraitMatter(colour_network())


# -- the shape mask ------------------------------------------------------------------------------


def head_and_shoulders() -> torch.Tensor:
    axis = torch.linspace(-1, 1, 64)
    y, x = axis[:, None], axis[None]
    head = torch.hypot(x, y + 0.25) < 0.3
    shoulders = torch.hypot(x / 2, y - 0.6) < 0.3
    return (head | shoulders).float()[None, None]


def test_the_mask_finds_its_place() -> None:
    mean, empty = head_and_shoulders(), torch.zeros(2, 1, 60, 80)
    poses = torch.tensor([[0.2, 0.1, -0.4, -0.3, 0.2], [-0.6, -0.1, 0.1, 0.0, -0.1]])
    target = placed(mean, poses, empty)  # the second one is cut by the frame
    assert float(overlap(placed(mean, fit(mean, target), empty), target).min()) > 0.93


def test_the_mean_of_placed_portraits_is_the_portrait() -> None:
    shape = head_and_shoulders()
    generator = torch.Generator().manual_seed(2)
    poses = 0.2 * torch.randn(6, 5, generator=generator) - torch.tensor([0, 0, 0.4, 0.4, 0])
    mean = mean_matte(placed(shape, poses, torch.zeros(6, 1, 64, 64)))
    assert float(overlap(placed(mean, fit(mean, shape), shape), shape)) > 0.93


def test_overlap_is_one_for_the_same_and_zero_for_nothing_in_common() -> None:
    mask = head_and_shoulders()
    assert float(overlap(mask, mask)) == pytest.approx(1)
    assert float(overlap(mask, 1 - mask)) == 0


# -- the network and its weights -------------------------------------------------------------------


def test_a_folded_network_gives_the_same_scores() -> None:
    torch.manual_seed(4)
    network = PortraitMatting(PortraitConfig(width=0.0625, batch_norm=True))
    image, mask = torch.rand(2, 3, 64, 96), torch.rand(2, 1, 64, 96)
    torch.nn.init.normal_(network.labels.score8.weight)
    network.labels(image, mask)  # gives the batch-norms something to remember
    before = network.eval().labels(image, mask)
    after = network.fold().labels(image, mask)
    assert before.shape == (2, 3, 64, 96)
    torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-3)
    assert not network.config.batch_norm


def test_the_network_refuses_other_sides() -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        colour_network().labels(torch.zeros(1, 3, 33, 64), torch.zeros(1, 1, 33, 64))


def test_weights_come_back_as_they_were(tmp_path: Path) -> None:
    torch.manual_seed(4)
    network = PortraitMatting(PortraitConfig(width=0.0625)).eval()
    evaluation = {"held-out": {"sad": 1.0}}
    path = tmp_path / "p.safetensors"
    save_folded(path, network, network.config, name="mine", evaluation=evaluation)
    info = read_portrait_info(path)
    loaded, again = load_portrait_weights(tmp_path / "p.safetensors")
    assert again == info and again.name == "mine" and again.evaluation["held-out"]["sad"] == 1.0
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor.half().float())


def test_damaged_and_foreign_weights_are_refused(tmp_path: Path) -> None:
    path = save_colour_weights(tmp_path / "p.safetensors")
    with pytest.raises(WeightsError, match="cannot be understood"):
        load_weights(path)
    other = tmp_path / "dim.safetensors"
    save_weights(other, DeepImageMatting(DimConfig(width=0.0625, fc6_channels=64)), name="dim")
    with pytest.raises(WeightsError, match="not weights for automatic trimaps"):
        load_portrait_weights(other)
    path.write_bytes(path.read_bytes()[:-2] + b"??")
    with pytest.raises(WeightsError, match="sha256 differs"):
        load_portrait_weights(path)


def test_only_folded_networks_are_saved(tmp_path: Path) -> None:
    network = PortraitMatting(PortraitConfig(width=0.0625, batch_norm=True))
    with pytest.raises(WeightsError, match="folded"):
        save_folded(tmp_path / "p.safetensors", network, network.config, name="live")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not PORTRAIT_WEIGHTS.exists(), reason="the optional weights are not installed")
def test_the_optional_weights_load_and_say_what_they_are() -> None:
    matter, info = PortraitMatter.open()
    assert info.licence == "Apache-2.0" and info.evaluation
    assert float(matter.network.mean_matte.max()) > 0.9


# -- pictures ------------------------------------------------------------------------------------


def test_a_portrait_is_found_where_it_is(matter: PortraitMatter) -> None:
    guess = matter.guess(discs((46, 70, 30)))
    y, x = np.mgrid[:96, :128]
    distance = np.hypot(y - 46, x - 70)
    assert guess.alpha[distance < 24].mean() > 0.98 and guess.alpha[distance > 36].mean() < 0.02
    assert guess.portraits == 1 and guess.agreement > 0.85 and not guess.is_coarse


def test_a_portrait_that_the_frame_cuts_is_found(matter: PortraitMatter) -> None:
    guess = matter.guess(discs((90, 10, 34)))
    assert guess.alpha[90, 5] > 0.9 and guess.alpha[10, 100] < 0.1
    assert guess.agreement > 0.7


def test_a_large_picture_is_solved_smaller_and_says_so(
    matter: PortraitMatter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vfxmatte.keyframes.portrait.LAYER_SIDE_PX", 64)
    guess = matter.guess(discs((46, 70, 30)))
    assert guess.is_coarse and guess.solved == (48, 64) and guess.alpha.shape == (96, 128)
    assert guess.alpha[46, 70] > 0.95 and guess.alpha[5, 5] < 0.05


def test_of_several_portraits_the_largest_is_taken_or_all(matter: PortraitMatter) -> None:
    image = discs((48, 36, 28), (48, 104, 16))
    one, both = matter.guess(image), matter.guess(image, every=True)
    assert one.portraits == both.portraits == 2
    assert one.alpha[48, 36] > 0.9 and one.alpha[48, 104] == 0
    assert both.alpha[48, 36] > 0.9 and both.alpha[48, 104] > 0.9


def test_a_picture_without_a_portrait_is_refused(matter: PortraitMatter) -> None:
    with pytest.raises(TrimapError, match=r"no portrait was found: 0\.00%"):
        matter.guess(discs())


def test_what_has_not_the_shape_of_a_portrait_is_refused(matter: PortraitMatter) -> None:
    corners = [(y, x, 13.0) for y in (6, 90) for x in (6, 122)]
    with pytest.raises(TrimapError, match="agrees with a portrait's shape by"):
        matter.guess(discs(*corners))


def test_a_picture_of_a_few_pixels_is_refused(matter: PortraitMatter) -> None:
    with pytest.raises(TrimapError, match="20x16 is too small"):
        matter.guess(np.zeros((16, 20, 3), np.float32))


def test_not_a_number_in_a_picture_does_no_harm(matter: PortraitMatter) -> None:
    image = discs((46, 70, 30))
    image[10, 10], image[46, 70] = np.nan, np.inf
    assert matter.guess(image).alpha[46, 66] > 0.9


def test_the_band_is_a_choice() -> None:
    y, x = np.mgrid[:64, :64]
    alpha = (np.hypot(y - 32, x - 32) < 20).astype(np.float32)
    shares = [float((keyframe_labels(guess_of(alpha), px) == 128).mean()) for px in (1, 4, 8)]
    assert shares[0] < shares[1] < shares[2]
    labels = keyframe_labels(guess_of(alpha), 4)
    assert labels[32, 32] == 255 and labels[0, 0] == 0 and labels[32, 12] == 128
    nearly = keyframe_labels(guess_of(np.clip(alpha, 0.04, 0.96)), 4)
    np.testing.assert_array_equal(nearly, labels)
    with pytest.raises(UsageError, match="negative"):
        keyframe_labels(guess_of(alpha), -1)


def test_what_the_network_doubts_is_unknown() -> None:
    alpha = np.zeros((40, 40), np.float32)
    alpha[10:30, 10:30] = 1
    doubtful = np.zeros((40, 40), bool)
    doubtful[18:22, 18:38] = True
    labels = keyframe_labels(guess_of(alpha, doubtful), 2)
    assert (labels[doubtful] == 128).all() and labels[14, 14] == 255 and labels[4, 4] == 0


def test_what_cannot_be_a_portrait_is_doubtful() -> None:
    y, x = np.mgrid[:64, :64]
    alpha = (np.hypot(y - 32, x - 32) < 20).astype(np.float32)
    guess = guess_of(alpha)
    assert doubts_about(guess, keyframe_labels(guess)) == []
    (flat,) = doubts_about(replace(guess, contrast=0.004), keyframe_labels(guess))
    assert "hardly any contrast" in flat and "0.0040" in flat
    full = guess_of(np.ones((64, 64), np.float32))
    assert doubts_about(full, keyframe_labels(full)) == ["100% of the picture would be foreground"]


def test_contrast_is_that_of_the_picture_without_its_grain(matter: PortraitMatter) -> None:
    seen = matter.guess(discs((46, 70, 30))).contrast
    assert 0.05 < seen < 0.2
    faint = 0.4 + 0.02 * discs((46, 70, 30), size=(192, 256))
    grain = np.random.default_rng(3).normal(0, 0.02, faint.shape)
    guess = matter.guess((faint + grain).astype(np.float32))
    assert guess.contrast < LEAST_CONTRAST < float(np.std(faint + grain))


@pytest.mark.skipif(not PORTRAIT_WEIGHTS.exists(), reason="the optional weights are not installed")
@pytest.mark.parametrize("is_noise", [False, True])
def test_black_frames_and_noise_are_doubtful_portraits(is_noise: bool) -> None:
    matter, _ = PortraitMatter.open()
    noise = np.random.default_rng(0).random((270, 480, 3), np.float32) ** np.float32(1 / 2.2)
    guess = matter.guess(noise if is_noise else np.zeros_like(noise))
    doubts = doubts_about(guess, keyframe_labels(guess))
    assert any(("be foreground" if is_noise else "any contrast") in doubt for doubt in doubts)


def guess_of(alpha: FloatImage, doubtful: NDArray[np.bool_] | None = None) -> PortraitGuess:
    none = np.zeros(alpha.shape, bool)
    return PortraitGuess(
        alpha=alpha, doubtful=none if doubtful is None else doubtful, agreement=1.0,
        share=float(alpha.mean()), contrast=0.2, portraits=1,
        solved=(alpha.shape[0], alpha.shape[1]),
    )  # fmt: skip
