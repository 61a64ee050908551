"""Lens, sensor and codec: nothing at strength nothing, and energy where it belongs."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from training.samples.degrade import (
    add_grain,
    compress,
    disc_kernels,
    per_sample_blur,
    streak_kernels,
)


def picture(count=2, side=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((count, 3, 5, 5), generator=generator)
    return torch.nn.functional.interpolate(coarse, (side, side), mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize(
    "kernels",
    [disc_kernels(torch.zeros(2), 15), streak_kernels(torch.zeros(2), torch.rand(2), 15)],
    ids=["disc", "streak"],
)
def test_no_radius_is_no_change(kernels):
    x = picture()
    torch.testing.assert_close(per_sample_blur(x, kernels), x)


def test_kernels_sum_to_one_and_fit():
    radius = torch.tensor([0.0, 1.2, 3.0, 7.0])
    discs = disc_kernels(radius, 15)
    streaks = streak_kernels(torch.tensor([0.0, 3.0, 8.0, 12.0]), torch.rand(4) * math.pi, 15)
    for kernels in (discs, streaks):
        torch.testing.assert_close(kernels.sum((1, 2)), torch.ones(4))
        assert (kernels >= 0).all()
    assert ((discs > 0).sum((1, 2)).diff() > 0).all()


def test_a_streak_lies_along_its_angle():
    flat = streak_kernels(torch.tensor([9.0]), torch.tensor([0.0]), 15)[0]
    upright = streak_kernels(torch.tensor([9.0]), torch.tensor([math.pi / 2]), 15)[0]
    assert flat[7].sum() == pytest.approx(1)
    torch.testing.assert_close(upright, flat.T, atol=1e-5, rtol=0)


def test_each_sample_has_a_kernel_of_its_own():
    x = picture()
    kernels = disc_kernels(torch.tensor([0.0, 4.0]), 15)
    blurred = per_sample_blur(x, kernels)
    torch.testing.assert_close(blurred[0], x[0])
    assert (blurred[1] - x[1]).abs().max() > 0.01
    expected = cv2.filter2D(
        x[1, 0].numpy(), -1, kernels[1].numpy(), borderType=cv2.BORDER_REPLICATE
    )
    np.testing.assert_allclose(blurred[1, 0].numpy(), expected, atol=1e-5)


def test_blur_keeps_a_flat_picture_flat():
    flat = torch.full((1, 3, 32, 32), 0.3)
    kernels = disc_kernels(torch.tensor([6.0]), 15)
    torch.testing.assert_close(per_sample_blur(flat, kernels), flat)


def test_grain_has_no_mean_and_no_more_than_its_strength():
    flat = torch.full((8, 3, 64, 64), 0.5)
    grain = add_grain(flat, 0.05, torch.Generator().manual_seed(1)) - flat
    assert grain.mean().abs() < 2e-3
    assert grain.std((1, 2, 3)).max() <= 0.06
    assert len(grain.std((1, 2, 3)).unique()) == 8


def test_grain_is_strongest_in_the_middle_tones():
    tones = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 1, 3).expand(1, 3, 4000, 3).contiguous()
    grain = add_grain(tones, 0.2, torch.Generator().manual_seed(1)) - tones
    dark, middle, bright = grain[0].std((0, 1)).tolist()
    assert middle > 1.5 * dark
    assert middle > 1.5 * bright


def test_the_best_quality_hardly_changes_a_smooth_picture():
    x = picture(side=64)
    assert (compress(x, torch.full((2,), 100.0)) - x).abs().mean() < 0.01


def test_lower_quality_changes_more():
    x = picture(count=1, side=64)
    errors = [float((compress(x, torch.tensor([q])) - x).abs().mean()) for q in (90.0, 50.0, 15.0)]
    assert errors[0] < errors[1] < errors[2]


def test_compression_of_grey_is_opencvs_jpeg():
    generator = np.random.default_rng(2)
    grey = cv2.resize(generator.integers(0, 256, (12, 12), dtype=np.uint8), (64, 64))
    data = cv2.imencode(".jpg", grey, (cv2.IMWRITE_JPEG_QUALITY, 40))[1]
    expected = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE).astype(np.float32) / 255
    x = torch.from_numpy(grey.astype(np.float32) / 255).expand(1, 3, 64, 64)
    ours = compress(x, torch.tensor([40.0]))[0, 0].numpy()
    # Within rounding to 8 bits, but for the half code by which JPEG shifts its middle.
    assert np.abs(ours - expected).mean() < 0.006
