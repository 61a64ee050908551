"""Alpha priors of training pictures: reproducible, of the whole composite, at times left out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from training.config import TrainConfig
from training.samples.bank import PictureBank
from training.samples.compose import Compositor
from training.samples.priors import WithPriors, add_priors, cropped
from training.samples.sources import PackSource
from training.samples.synthesis import SynthesisConfig
from vfxmatte.errors import TrainingError
from vfxmatte.network.dim import DimConfig
from vfxmatte.prior.constants import PRIORS

CPU = torch.device("cpu")
CONFIG = TrainConfig(
    network=DimConfig(width=0.0625, batch_norm=True, skips=True, prior=True),
    synthesis=SynthesisConfig(crop_px=64),
    validation_samples=4,
)


@pytest.fixture
def batch(small_pack):
    return Compositor(PictureBank(small_pack, CPU), CONFIG.synthesis).batch(6, 3)


def test_the_same_seed_gives_the_same_priors_with_any_number_of_threads(batch):
    first = add_priors(batch, 4, missing=0.3)
    assert torch.equal(first.priors, add_priors(batch, 4, missing=0.3, threads=3).priors)
    assert first.input.shape == (6, 4 + PRIORS, 64, 64)
    assert torch.equal(first.input[:, 4:], first.priors)
    assert torch.equal(first.part(2, 5).priors, first.priors[2:5])


def test_priors_are_right_where_the_trimap_is_certain(batch):
    priors = add_priors(batch, 4, missing=0.0).priors
    certain = (batch.unknown == 0).expand(-1, PRIORS, -1, -1)
    assert torch.equal(priors[certain], batch.trimap.expand(-1, PRIORS, -1, -1)[certain])
    assert (priors[~certain] != 0.5).any()


def test_a_missing_prior_is_the_trimap(batch):
    priors = add_priors(batch, 4, missing=1.0).priors
    assert torch.equal(priors, batch.trimap.expand(-1, PRIORS, -1, -1))
    seen = add_priors(batch, 4, missing=0.0).priors
    some = add_priors(batch, 4, missing=0.5).priors
    left_out = [torch.equal(a, b) for a, b in zip(some, priors, strict=True)]
    shown = [torch.equal(a, b) for a, b in zip(some, seen, strict=True)]
    assert 0 < sum(left_out) < 6 and sum(left_out) + sum(shown) == 6


def test_moving_pairs_are_shown_alike(small_pack):
    synthesis = SynthesisConfig(crop_px=64, moving_pairs=True)
    batch = Compositor(PictureBank(small_pack, CPU), synthesis).batch(8, 3)
    trimap = batch.trimap.expand(-1, PRIORS, -1, -1)
    full, some = (add_priors(batch, 1, missing=share).priors for share in (0.0, 0.5))
    telling = [not torch.equal(prior, t) for prior, t in zip(full, trimap, strict=True)]
    left_out = [torch.equal(prior, t) for prior, t in zip(some, trimap, strict=True)]
    pairs = [n for n in range(4) if telling[n] and telling[n + 4]]
    assert len(pairs) > 1
    assert all(left_out[n] == left_out[n + 4] for n in pairs)


def test_crops_are_parts_of_the_composite_around_unknown_pixels(batch):
    whole = add_priors(batch, 4, missing=0.0)
    crops = cropped(whole, 9, 32, seed=5)
    assert crops.input.shape == (9, 4 + PRIORS, 32, 32)
    assert (crops.unknown.flatten(1).sum(1) > 0).all()
    for number in range(9):
        picture, part = whole.input[number % 6], crops.input[number]
        places = [
            (y, x) for y in range(33) for x in range(33)
            if torch.equal(picture[:, y : y + 32, x : x + 32], part)
        ]  # fmt: skip
        assert places, "every plane is cut at the same place"
    assert not torch.equal(crops.input, cropped(whole, 9, 32, seed=6).input)


def test_a_maker_takes_crops_of_larger_composites(small_pack):
    config = replace(CONFIG, prior_context_px=128, prior_crops=3, prior_missing=0.0)
    maker = PackSource(small_pack).batches(config, CPU)
    made = maker.batch(7, 2)
    assert isinstance(maker, WithPriors) and made.input.shape == (7, 4 + PRIORS, 64, 64)
    assert torch.equal(made.input, PackSource(small_pack).batches(config, CPU).batch(7, 2).input)


def test_networks_without_priors_get_none(small_pack):
    config = replace(CONFIG, network=DimConfig(width=0.0625))
    assert PackSource(small_pack).batches(config, CPU).batch(2, 1).priors is None


def test_held_out_pictures_always_have_their_priors(small_pack):
    source = PackSource(replace_held_out(small_pack))
    (batch,) = source.held_out_batches(replace(CONFIG, prior_missing=1.0), CPU)
    assert not torch.equal(batch.priors, batch.trimap.expand(-1, PRIORS, -1, -1))


def replace_held_out(pack):
    return replace(pack, held_out=frozenset(element.name for element in pack.elements[:1]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prior_missing": 1.5}, "prior_missing"),
        ({"prior_crops": 0}, "prior_crops"),
        ({"prior_context_px": 32}, "at least crop_px"),
        ({"prior_context_px": 128, "network": DimConfig()}, "takes alpha priors"),
        ({"prior_context_px": 128, "synthesis": SynthesisConfig(crop_px=64, moving_pairs=True)},
         "without moving pairs"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(TrainingError, match=words):
        replace(CONFIG, **changes)
