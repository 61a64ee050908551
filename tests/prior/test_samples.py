"""Known pixels of other frames tell what a frame's own do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vfxmatte.engines.single_threaded import single_threads
from vfxmatte.prior import alpha_prior
from vfxmatte.prior.affinities import distant
from vfxmatte.prior.alpha_prior import alpha_priors, samples_of
from vfxmatte.prior.samples import MOST, Samples
from vfxmatte.types import BACKGROUND, FOREGROUND, UNKNOWN, FloatImage, Labels

RED, BLUE, GREEN = np.eye(3, dtype=np.float32)[[0, 2, 1]] * 0.6 + 0.1
SHAPE = (120, 160)
PATCH = (slice(40, 80), slice(60, 84))


def scene() -> tuple[FloatImage, Labels]:
    """Blue background, red foreground, and a green patch in the middle of the unknown region."""
    image = np.where(np.arange(SHAPE[1])[None, :, None] < 80, BLUE, RED) * np.ones((*SHAPE, 1))
    image[PATCH] = GREEN
    image += np.random.default_rng(3).normal(0, 0.01, image.shape)
    labels = np.full(SHAPE, UNKNOWN, np.uint8)
    labels[:, :50], labels[:, 110:] = BACKGROUND, FOREGROUND
    return image.astype(np.float32), labels


def keyframe(label: int) -> Samples:
    """The same picture, on which all is solved: the patch is foreground, or background."""
    image, labels = scene()
    alpha = (np.arange(SHAPE[1])[None] >= 80) * np.ones((SHAPE[0], 1))
    alpha[PATCH] = label == FOREGROUND
    return samples_of(image, labels, alpha.astype(np.float32))


def test_another_keyframe_tells_whose_a_colour_is() -> None:
    image, labels = scene()
    found = {
        label: alpha_priors(image, labels, samples=keyframe(label))[PATCH].mean(axis=(0, 1))
        for label in (BACKGROUND, FOREGROUND)
    }
    assert (found[FOREGROUND] > 0.9).all() and (found[BACKGROUND] < 0.1).all()
    elsewhere = alpha_priors(image, labels, samples=keyframe(FOREGROUND))
    assert (elsewhere[90:, 52:78] < 0.1).all() and (elsewhere[90:, 84:108] > 0.9).all()
    assert (elsewhere[:, :50] == 0).all() and (elsewhere[:, 110:] == 1).all()


def test_samples_are_certain_pixels_near_the_band_with_their_places() -> None:
    image, labels = scene()
    alpha = np.full(SHAPE, 0.5, np.float32)
    alpha[:, :70], alpha[:, 100:] = 0, 1
    found = samples_of(image, labels, alpha)
    assert set(np.unique(found.alphas)) == {0, 1}
    rows, columns = found.places.T
    assert rows.min() == 0 and rows.max() == SHAPE[0] // 2 - 1
    assert ((columns < 35) == (found.alphas == 0)).all() and (
        columns[found.alphas == 1] >= 50
    ).all()
    assert np.abs(found.colours[found.alphas == 1] - RED).max() < 0.1
    moved = found.seen_from(4, 8)
    assert (moved.places == found.places - (4, 8)).all() and moved.alphas is found.alphas


def test_places_are_those_of_the_whole_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The unknown region's box begins anywhere: samples lie where their colours are."""
    image, labels = scene()
    larger = np.pad(image, ((256, 0), (256, 0), (0, 0)), "edge")
    around = np.pad(labels, ((256, 0), (256, 0)))
    apart: list[float] = []

    def watched(colours: FloatImage, region: Any, samples: Samples) -> Any:
        rows, columns = samples.places.astype(int).T
        assert rows.min() > 0 and columns.min() > 0
        apart.append(float(np.abs(colours[rows, columns] - samples.colours).max()))
        return distant(colours, region, samples)

    monkeypatch.setattr(alpha_prior, "distant", watched)
    alpha_priors(larger, around, samples=keyframe(FOREGROUND).seen_from(-128, -128))
    assert apart == [0]


def test_without_a_sample_all_is_as_without_samples() -> None:
    image, labels = scene()
    nothing = Samples(
        colours=np.zeros((0, 3), np.float32),
        places=np.zeros((0, 2), np.float32),
        alphas=np.zeros(0, np.float32),
    )
    assert np.array_equal(alpha_priors(image, labels, samples=nothing), alpha_priors(image, labels))


def test_the_same_bits_with_any_number_of_threads() -> None:
    image, labels = scene()
    before = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(alpha_priors(image, labels, samples=keyframe(FOREGROUND)))
    finally:
        torch.set_num_threads(before)
    with single_threads(1) as alone:
        found.append(
            alone.submit(alpha_priors, image, labels, samples=keyframe(FOREGROUND)).result()
        )
    assert all(np.array_equal(one, found[0]) for one in found)


def test_on_a_gpu_pictures_with_samples_have_the_processor_s_priors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alpha_prior, "priors_on", None)
    image, labels = scene()
    samples, gpu = keyframe(FOREGROUND), torch.device("cuda")
    found = alpha_priors(image, labels, samples=samples, device=gpu)
    assert np.array_equal(found, alpha_priors(image, labels, samples=samples))


def test_many_are_thinned_evenly() -> None:
    one = keyframe(FOREGROUND)
    assert Samples.joined([]) is None
    joined = Samples.joined([one] * 40)
    assert joined is not None and MOST / 2 < len(joined.alphas) <= MOST
    assert abs(joined.alphas.mean() - one.alphas.mean()) < 0.05


def test_they_are_kept_as_they_are(tmp_path: Path) -> None:
    one = keyframe(BACKGROUND)
    (tmp_path / "one.npz").write_bytes(one.packed())
    again = Samples.unpacked(tmp_path / "one.npz")
    for name in ("colours", "places", "alphas"):
        assert np.array_equal(getattr(again, name), getattr(one, name))
        assert getattr(again, name).dtype == np.float32
    assert one.packed() == keyframe(BACKGROUND).packed()
